use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What follows a convolution.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Activation {
    /// max(x, 0): the cheapest, unbounded.
    Relu,
    /// ReLU cut at 6, as in MobileNetV1 and V2: quantises well.
    #[default]
    Relu6,
    /// x·ReLU6(x+3)/6, as in the deeper half of MobileNetV3.
    HardSwish,
}

impl Activation {
    pub const ALL: [Self; 3] = [Self::Relu, Self::Relu6, Self::HardSwish];

    /// The word used in the text form of keys and architectures.
    pub fn word(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::HardSwish => "hswish",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.word() == word)
    }
}
