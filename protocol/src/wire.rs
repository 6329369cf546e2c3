//! Bytes to messages: size, UTF-8 and depth are checked before anything is parsed.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Deepest nesting of a message; a graph's options need most.
pub const MAX_DEPTH: usize = 32;

/// Why bytes are not a message. Names what to count and log, never the content.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("{size} bytes are over the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("not UTF-8 text")]
    NotUtf8,
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
}

pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLarge {
            size: bytes.len(),
            limit,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8)?;
    if depth(text) > MAX_DEPTH {
        return Err(WireError::TooDeep);
    }
    Ok(serde_json::from_str(text)?)
}

pub fn to_bytes<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    Ok(serde_json::to_vec(message)?)
}

/// Deepest nesting of JSON text, not counting brackets inside strings.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_before_parsing() {
        let deep = "[".repeat(40) + &"]".repeat(40);
        assert!(matches!(
            from_bytes::<serde_json::Value>(deep.as_bytes(), 1000),
            Err(WireError::TooDeep)
        ));
        assert!(matches!(
            from_bytes::<u8>(b"1234", 3),
            Err(WireError::TooLarge { size: 4, limit: 3 })
        ));
        assert!(matches!(from_bytes::<u8>(&[0xff], 3), Err(WireError::NotUtf8)));
        assert_eq!(depth(r#"{"a[[[": "\"[["}"#), 1);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(from_bytes::<serde_json::Value>(&bytes, 64));
        }
    }
}
