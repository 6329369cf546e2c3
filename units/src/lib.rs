//! Typed quantities as people write them in YAML: durations, byte sizes, percents, energy.
//!
//! Owns parsing, printing and the JSON schema of each; does no arithmetic beyond that. Every type prints a
//! form that it parses back to the same value.

mod bytes;
mod duration;
mod energy;
mod percent;

pub use bytes::Bytes;
pub use duration::Duration;
pub use energy::Energy;
pub use percent::Percent;

/// A text that is not a quantity of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: write it like {example}")]
pub struct QuantityError {
    pub kind: &'static str,
    pub text: String,
    pub example: &'static str,
}

/// Splits `12.5ms` into the number and its unit; `None` when there is no non-negative finite number in front.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let value: f64 = text.get(..end)?.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some((value, text.get(end..)?))
}

/// Serde, schema and text conversions for a quantity that implements `FromStr` and `Display`.
macro_rules! textual {
    ($type:ident, $pattern:literal, $about:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "pattern": $pattern, "maxLength": 32, "description": $about
                })
            }
        }
    };
}
pub(crate) use textual;
