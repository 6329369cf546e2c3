use std::fmt;
use std::str::FromStr;

use crate::{QuantityError, split_number, textual};

/// A size in bytes, written `4Mi`, `64Ki`, `1.5Gi`, `500k`, `2M`, `1G` or plain `800`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(u64);

const UNITS: [(&str, u64); 7] = [
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

impl Bytes {
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError {
            kind: "size",
            text: text.to_owned(),
            example: "4Mi, 64Ki, 1.5Gi or 500k",
        };
        let (value, unit) = split_number(text).ok_or_else(error)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let bytes = value * *factor as f64;
        if bytes > 1e18 {
            return Err(error());
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(&("", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

textual!(
    Bytes,
    r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|k|M|G)?$",
    "A size such as 4Mi, 64Ki, 1.5Gi or 500k."
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [("4Mi", 4 << 20), ("800", 800), ("1.5Ki", 1536), ("500k", 500_000)] {
            assert_eq!(text.parse(), Ok(Bytes::new(bytes)), "{text}");
        }
        for text in ["", "Mi", "-4Mi", "4mb", "4 Mi x", "1e99"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(bytes in 0_u64..1 << 50) {
            prop_assert_eq!(Bytes::new(bytes).to_string().parse(), Ok(Bytes::new(bytes)));
        }
    }
}
