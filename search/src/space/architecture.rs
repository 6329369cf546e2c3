//! One network, whole: what is trained, exported, measured and named.

use std::fmt;
use std::str::FromStr;

use super::activation::Activation;
use super::key::{BlockKey, BlockKind};

/// A network of mobile blocks, independent of the space it came from.
///
/// Its text, for instance `m1/28x1/stem-h16-k3-s2-relu6/ir-h64-o24-k3-s2-relu6/head-h128-o10-k1-s1-relu6`, is
/// its one encoding: in messages, tables and files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture {
    /// Height and width of the input.
    pub resolution: u32,
    /// Channels of the input: 1 (grey) or 3 (RGB).
    pub channels: u32,
    /// Stem, blocks and head, in order.
    pub(super) parts: Vec<Part>,
}

/// A block without what follows from its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Part {
    pub(super) kind: BlockKind,
    pub(super) hidden: u32,
    pub(super) outputs: u32,
    pub(super) kernel: u32,
    pub(super) stride: u32,
    pub(super) squeeze_excite: bool,
    pub(super) activation: Activation,
}

impl Architecture {
    /// The blocks with their places filled in.
    pub fn blocks(&self) -> Vec<BlockKey> {
        let (mut inputs, mut resolution) = (self.channels, self.resolution);
        let place = |part: &Part| {
            let key = part.at(inputs, resolution);
            (inputs, resolution) = (key.outputs, key.output_resolution());
            key
        };
        self.parts.iter().map(place).collect()
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> u32 {
        self.parts.last().map_or(0, |head| head.outputs)
    }

    /// A short name: the same for the same network on every machine.
    pub fn id(&self) -> String {
        // FNV-1a, 64 bits: no protection against an attacker is needed here.
        let hash = self
            .to_string()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
        format!("{hash:016x}")
    }
}

impl Part {
    pub(super) fn at(&self, inputs: u32, resolution: u32) -> BlockKey {
        let Self {
            kind,
            hidden,
            outputs,
            kernel,
            stride,
            squeeze_excite,
            activation,
        } = *self;
        BlockKey {
            kind,
            inputs,
            hidden,
            outputs,
            resolution,
            kernel,
            stride,
            squeeze_excite,
            activation,
        }
    }
}

/// A text that is no architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an architecture: {problem} in {text:?}")]
pub struct ArchitectureError {
    problem: &'static str,
    text: String,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m1/{}x{}", self.resolution, self.channels)?;
        for part in &self.parts {
            let Part {
                kind,
                hidden,
                outputs,
                kernel,
                stride,
                squeeze_excite,
                activation,
            } = part;
            let se = if *squeeze_excite { "se-" } else { "" };
            let (kind, activation) = (kind.word(), activation.word());
            write!(
                f,
                "/{kind}-h{hidden}-o{outputs}-k{kernel}-s{stride}-{se}{activation}"
            )?;
        }
        Ok(())
    }
}

impl FromStr for Architecture {
    type Err = ArchitectureError;

    fn from_str(text: &str) -> Result<Self, ArchitectureError> {
        let error = |problem| ArchitectureError {
            problem,
            text: text.chars().take(400).collect(),
        };
        let mut words = text.split('/');
        if words.next() != Some("m1") {
            return Err(error("the version is not m1"));
        }
        let input = words
            .next()
            .and_then(|word| word.split_once('x'))
            .ok_or_else(|| error("no input size"))?;
        let size = |text: &str, most| text.parse().ok().filter(|n| (1..=most).contains(n));
        let resolution = size(input.0, 1024).ok_or_else(|| error("a bad resolution"))?;
        let channels = size(input.1, 16).ok_or_else(|| error("a bad channel count"))?;
        let parts = words
            .map(|word| part(word).ok_or_else(|| error("a bad block")))
            .collect::<Result<Vec<_>, _>>()?;
        check(&parts).map_err(error)?;
        Ok(Self {
            resolution,
            channels,
            parts,
        })
    }
}

fn part(word: &str) -> Option<Part> {
    // The text of a key without `c` and `r`: one parser for both.
    let (kind, rest) = word.split_once("-h")?;
    let (sizes, rest) = rest.split_once("-k")?;
    let key: BlockKey = format!("{kind}-c1-h{sizes}-r1-k{rest}").parse().ok()?;
    let BlockKey {
        kind,
        hidden,
        outputs,
        kernel,
        stride,
        squeeze_excite,
        activation,
        ..
    } = key;
    Some(Part {
        kind,
        hidden,
        outputs,
        kernel,
        stride,
        squeeze_excite,
        activation,
    })
}

fn check(parts: &[Part]) -> Result<(), &'static str> {
    let [stem, blocks @ .., head] = parts else {
        return Err("less than a stem and a head");
    };
    let is_block = |part: &Part| matches!(part.kind, BlockKind::Separable | BlockKind::InvertedResidual);
    let is_odd = |part: &Part| part.kernel % 2 == 1 && part.kernel <= 31 && part.stride <= 4;
    match () {
        () if stem.kind != BlockKind::Stem => Err("no stem at the start"),
        () if !matches!(head.kind, BlockKind::Head | BlockKind::LightHead) => Err("no head at the end"),
        () if head.kernel != 1 || head.stride != 1 => Err("a head whose kernel or stride is not 1"),
        () if blocks.len() > 256 => Err("more than 256 blocks"),
        () if !blocks.iter().all(is_block) => Err("a stem or head in the middle"),
        () if !parts.iter().all(is_odd) => Err("an even or too large kernel or stride"),
        () => Ok(()),
    }
}

super::as_text!(Architecture);

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "m1/28x1/stem-h1-o16-k3-s2-relu6/ir-h64-o24-k5-s2-se-hswish/ir-h48-o24-k3-s1-relu6/head-h128-o10-k1-s1-relu6";

    #[test]
    fn places_its_blocks() {
        let architecture: Architecture = TEXT.parse().unwrap();
        let keys: Vec<_> = architecture.blocks().iter().map(ToString::to_string).collect();
        assert_eq!(
            keys,
            [
                "stem-c1-h1-o16-r28-k3-s2-relu6",
                "ir-c16-h64-o24-r14-k5-s2-se-hswish",
                "ir-c24-h48-o24-r7-k3-s1-relu6",
                "head-c24-h128-o10-r7-k1-s1-relu6",
            ]
        );
        assert_eq!(architecture.classes(), 10);
        assert_eq!(architecture.to_string(), TEXT);
    }

    #[test]
    fn keeps_its_name() {
        let architecture: Architecture = TEXT.parse().unwrap();
        assert_eq!(architecture.id(), "3e2651f68785e9b3");
        assert_eq!(
            serde_json::to_value(&architecture).unwrap(),
            serde_json::json!(TEXT)
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, problem) in [
            ("", "the version is not m1"),
            ("m1", "no input size"),
            ("m1/0x1", "a bad resolution"),
            ("m1/28x1/stem-h1-o16-k3-s2-relu6", "less than a stem and a head"),
            (
                "m1/28x1/stem-h1-o16-k4-s2-relu6/head-h8-o10-k1-s1-relu6",
                "an even or too large kernel or stride",
            ),
            (
                "m1/28x1/stem-h1-o16-k3-s2-relu6/nonsense/head-h8-o10-k1-s1-relu6",
                "a bad block",
            ),
        ] {
            assert_eq!(
                text.parse::<Architecture>().unwrap_err().problem,
                problem,
                "{text}"
            );
        }
    }
}
