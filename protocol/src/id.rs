//! Typed ids. One rule for all that go into a topic: `[a-z0-9-]{1,63}`, so that no wildcard and no `$` fits.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: 1 to 63 of a-z, 0-9 and - are allowed")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$about:meta])* $name:ident, $kind:literal) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let fits = (1..=63).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if fits {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { kind: $kind, text: text.chars().take(80).collect() })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One device, unique in the fleet; equal to its MQTT client id.
    DeviceId, "device id"
);
id!(
    /// One restaurant.
    SiteId, "site id"
);
id!(
    /// Same hardware and same runtime: what a profile and a model belong to.
    DeviceClass, "device class"
);
id!(
    /// The last part of a telemetry topic.
    StreamId, "stream id"
);

/// One start of the agent's process; a sequence number counts within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub uuid::Uuid);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Lower-case hexadecimal SHA-256 of a file's bytes: the name of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(hex::encode(sha2::Sha256::digest(bytes)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 characters, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl FromStr for Digest {
    type Err = IdError;

    /// Takes the bare hexadecimal and the form `sha256:…`.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bare = text.strip_prefix("sha256:").unwrap_or(text);
        if bare.len() == 64
            && bare
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            Ok(Self(bare.to_owned()))
        } else {
            Err(IdError {
                kind: "sha256 digest (64 of 0-9, a-f)",
                text: text.chars().take(80).collect(),
            })
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_wildcards_out() {
        assert!("cam-01".parse::<DeviceId>().is_ok());
        for text in ["", "a/b", "+", "#", "$share", "A", "ü", &"x".repeat(64)] {
            assert!(text.parse::<DeviceId>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<SiteId>(r#""a/b""#).is_err());
    }

    #[test]
    fn reads_both_forms_of_a_digest() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest.clone()));
        assert_eq!(digest.as_str().parse(), Ok(digest));
        assert!("sha256:12".parse::<Digest>().is_err());
    }
}
