//! The search space as a user writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activation::Activation;

/// The architectures to choose from: exactly one of the keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SearchSpaceConfig {
    /// Networks of MobileNetV1, V2 and V3 blocks.
    MobileBlocks(MobileBlocksConfig),
}

impl Default for SearchSpaceConfig {
    fn default() -> Self {
        Self::MobileBlocks(MobileBlocksConfig::default())
    }
}

/// Networks of a stem, stages of mobile blocks, and a head. What is not given comes from the preset.
///
/// Each block of a stage chooses its kind, kernel, expansion and squeeze-and-excite; each stage its depth; the
/// whole network its resolution and width.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MobileBlocksConfig {
    /// Where the values come from that are not given here.
    pub preset: Preset,
    /// Channels of the input: 1 for grey images, 3 for colour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4))]
    pub channels: Option<u32>,
    /// How many classes to tell apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 10_000))]
    pub classes: Option<u32>,
    /// Heights and widths of the input to choose from, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), inner(range(min = 16, max = 512)))]
    pub resolutions: Option<Vec<u32>>,
    /// Factors on all channel counts to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), inner(range(min = 0.1, max = 4.0)))]
    pub widths: Option<Vec<f64>>,
    /// Numbers of blocks in a stage to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), inner(range(min = 1, max = 8)))]
    pub depths: Option<Vec<u32>>,
    /// Kernel sizes of the depthwise convolutions to choose from: 3, 5, 7.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3), inner(range(min = 3, max = 7)))]
    pub kernels: Option<Vec<u32>>,
    /// How many times an inverted residual widens its input, to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), inner(range(min = 1, max = 10)))]
    pub expands: Option<Vec<u32>>,
    /// Kinds of block to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    pub blocks: Option<Vec<BlockChoice>>,
    /// Whether blocks weigh their channels by a squeeze-and-excite: `[false]`, `[true]`, or both to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    pub squeeze_excite: Option<Vec<bool>>,
    /// The activation of stem, head, and stages that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// The first layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stem: Option<StemConfig>,
    /// The stages, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 12))]
    pub stages: Option<Vec<StageConfig>>,
    /// The last layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadConfig>,
}

/// A ready-made space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// For 28 to 96 pixels: trains on two cores.
    #[default]
    MobileSmall,
    /// For 128 to 224 pixels, stages as in MobileNetV2.
    Mobile,
}

/// A kind of block a stage may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BlockChoice {
    /// MobileNetV1: depthwise, then pointwise.
    Separable,
    /// MobileNetV2 and V3: expand, depthwise, linear projection.
    InvertedResidual,
}

/// The first layer: a plain convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StemConfig {
    /// Its output channels at width 1.
    #[schemars(range(min = 4, max = 512))]
    pub channels: u32,
    /// Its kernel size, odd.
    #[schemars(range(min = 1, max = 7))]
    pub kernel: u32,
    /// Its stride.
    #[schemars(range(min = 1, max = 4))]
    pub stride: u32,
}

impl Default for StemConfig {
    fn default() -> Self {
        Self {
            channels: 16,
            kernel: 3,
            stride: 2,
        }
    }
}

/// One stage: blocks of the same output channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StageConfig {
    /// Its output channels at width 1.
    #[schemars(range(min = 4, max = 4096))]
    pub channels: u32,
    /// Stride of its first block.
    #[schemars(range(min = 1, max = 4))]
    pub stride: u32,
    /// Its activation, when it differs from the network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
}

/// The last layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HeadConfig {
    /// How the last layers are ordered.
    pub style: HeadStyle,
    /// Channels before the classes at width 1; a width below 1 does not make them fewer.
    #[schemars(range(min = 4, max = 8192))]
    pub channels: u32,
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self {
            style: HeadStyle::Convolution,
            channels: 128,
        }
    }
}

/// How the last layers are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HeadStyle {
    /// As in MobileNetV2: 1×1 convolution, then pool.
    #[default]
    Convolution,
    /// As in MobileNetV3: pool first.
    Light,
}
