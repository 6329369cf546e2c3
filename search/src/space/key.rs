//! A block as a device sees it: what is measured, what a profile row belongs to.

use std::fmt;
use std::str::FromStr;

use super::activation::Activation;

/// What a block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockKind {
    /// First convolution.
    Stem,
    /// MobileNetV1: depthwise, then pointwise, both with an activation; no residual.
    Separable,
    /// MobileNetV2 and V3: expand, depthwise, SE, linear projection, residual where the shape allows it.
    InvertedResidual,
    /// 1×1 convolution, average pool, linear layer to the classes.
    Head,
    /// MobileNetV3's light final block: average pool first, then two linear layers.
    LightHead,
}

impl BlockKind {
    const ALL: [Self; 5] = [
        Self::Stem,
        Self::Separable,
        Self::InvertedResidual,
        Self::Head,
        Self::LightHead,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Stem => "stem",
            Self::Separable => "ds",
            Self::InvertedResidual => "ir",
            Self::Head => "head",
            Self::LightHead => "lighthead",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }
}

/// One block at its place: everything its time on a device depends on.
///
/// Its text, for instance `ir-c16-h64-o24-r14-k3-s2-relu6`, is the key of a profile's row and never changes
/// its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey {
    pub kind: BlockKind,
    pub inputs: u32,
    /// Channels inside: expanded (inverted residual), before the classes (heads), else equal to `inputs`.
    pub hidden: u32,
    pub outputs: u32,
    /// Height and width of the input.
    pub resolution: u32,
    pub kernel: u32,
    pub stride: u32,
    pub squeeze_excite: bool,
    pub activation: Activation,
}

impl BlockKey {
    /// Height and width of the output.
    pub fn output_resolution(&self) -> u32 {
        self.resolution.div_ceil(self.stride)
    }

    /// Whether the input is added to the output.
    pub fn residual(&self) -> bool {
        self.kind == BlockKind::InvertedResidual && self.stride == 1 && self.inputs == self.outputs
    }
}

/// A text that is no block key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a block key: one looks like ir-c16-h64-o24-r14-k3-s2-relu6")]
pub struct BlockKeyError(String);

impl fmt::Display for BlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            inputs,
            hidden,
            outputs,
            resolution,
            kernel,
            stride,
            squeeze_excite,
            activation,
        } = self;
        let se = if *squeeze_excite { "se-" } else { "" };
        write!(
            f,
            "{}-c{inputs}-h{hidden}-o{outputs}-r{resolution}-k{kernel}-s{stride}-{se}{}",
            kind.word(),
            activation.word()
        )
    }
}

impl FromStr for BlockKey {
    type Err = BlockKeyError;

    fn from_str(text: &str) -> Result<Self, BlockKeyError> {
        parse(text).ok_or_else(|| BlockKeyError(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<BlockKey> {
    let mut words = text.split('-');
    let kind = BlockKind::from_word(words.next()?)?;
    let mut number = |prefix: char| {
        words
            .next()?
            .strip_prefix(prefix)?
            .parse::<u32>()
            .ok()
            .filter(|n| (1..=1 << 16).contains(n))
    };
    let (inputs, hidden, outputs) = (number('c')?, number('h')?, number('o')?);
    let (resolution, kernel, stride) = (number('r')?, number('k')?, number('s')?);
    let mut word = words.next()?;
    let squeeze_excite = word == "se";
    if squeeze_excite {
        word = words.next()?;
    }
    let activation = Activation::from_word(word)?;
    words.next().is_none().then_some(BlockKey {
        kind,
        inputs,
        hidden,
        outputs,
        resolution,
        kernel,
        stride,
        squeeze_excite,
        activation,
    })
}

super::as_text!(BlockKey);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn its_text_is_stable() {
        let key = BlockKey {
            kind: BlockKind::InvertedResidual,
            inputs: 16,
            hidden: 64,
            outputs: 24,
            resolution: 14,
            kernel: 5,
            stride: 2,
            squeeze_excite: true,
            activation: Activation::HardSwish,
        };
        assert_eq!(key.to_string(), "ir-c16-h64-o24-r14-k5-s2-se-hswish");
        assert_eq!(key.output_resolution(), 7);
        for text in [
            "",
            "ir",
            "ir-c16-h64-o24-r14-k5-s2",
            "ir-c0-h64-o24-r14-k5-s2-relu",
            "x-c1-h1-o1-r1-k1-s1-relu",
        ] {
            assert!(text.parse::<BlockKey>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_prints(kind in 0..5_usize, numbers in proptest::array::uniform6(1_u32..2000), se: bool, activation in 0..3_usize) {
            let [inputs, hidden, outputs, resolution, kernel, stride] = numbers;
            let (kind, activation) = (BlockKind::ALL[kind], Activation::ALL[activation]);
            let key = BlockKey { kind, inputs, hidden, outputs, resolution, kernel, stride, squeeze_excite: se, activation };
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }
}
