//! Presets, and how a user's values replace theirs.

use super::activation::Activation;
use super::config::{
    BlockChoice, HeadConfig, HeadStyle, MobileBlocksConfig, Preset, StageConfig, StemConfig,
};

/// A configuration without gaps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filled {
    pub(super) channels: u32,
    pub(super) classes: u32,
    pub(super) resolutions: Vec<u32>,
    pub(super) widths: Vec<f64>,
    pub(super) depths: Vec<u32>,
    pub(super) kernels: Vec<u32>,
    pub(super) expands: Vec<u32>,
    pub(super) blocks: Vec<BlockChoice>,
    pub(super) squeeze_excite: Vec<bool>,
    pub(super) activation: Activation,
    pub(super) stem: StemConfig,
    pub(super) stages: Vec<StageConfig>,
    pub(super) head: HeadConfig,
}

pub(super) fn fill(config: &MobileBlocksConfig) -> Filled {
    let MobileBlocksConfig {
        preset,
        channels,
        classes,
        resolutions,
        widths,
        depths,
        kernels,
        expands,
        blocks,
        squeeze_excite,
        activation,
        stem,
        stages,
        head,
    } = config.clone();
    let preset = match preset {
        Preset::MobileSmall => mobile_small(),
        Preset::Mobile => mobile(),
    };
    Filled {
        channels: channels.unwrap_or(preset.channels),
        classes: classes.unwrap_or(preset.classes),
        resolutions: resolutions.unwrap_or(preset.resolutions),
        widths: widths.unwrap_or(preset.widths),
        depths: depths.unwrap_or(preset.depths),
        kernels: kernels.unwrap_or(preset.kernels),
        expands: expands.unwrap_or(preset.expands),
        blocks: blocks.unwrap_or(preset.blocks),
        squeeze_excite: squeeze_excite.unwrap_or(preset.squeeze_excite),
        activation: activation.unwrap_or(preset.activation),
        stem: stem.unwrap_or(preset.stem),
        stages: stages.unwrap_or(preset.stages),
        head: head.unwrap_or(preset.head),
    }
}

fn stage(channels: u32, stride: u32) -> StageConfig {
    StageConfig {
        channels,
        stride,
        activation: None,
    }
}

/// 28×28 grey images in ten classes; few enough blocks that a device measures all within a minute.
fn mobile_small() -> Filled {
    Filled {
        channels: 1,
        classes: 10,
        resolutions: vec![28],
        widths: vec![0.5, 0.75, 1.0],
        depths: vec![1, 2, 3],
        kernels: vec![3, 5],
        expands: vec![2, 4],
        blocks: vec![BlockChoice::Separable, BlockChoice::InvertedResidual],
        squeeze_excite: vec![false],
        activation: Activation::Relu6,
        stem: StemConfig {
            channels: 16,
            kernel: 3,
            stride: 2,
        },
        stages: vec![stage(24, 1), stage(48, 2), stage(96, 2)],
        head: HeadConfig {
            style: HeadStyle::Light,
            channels: 128,
        },
    }
}

fn mobile() -> Filled {
    Filled {
        channels: 3,
        classes: 1000,
        resolutions: vec![160, 224],
        widths: vec![0.5, 0.75, 1.0],
        depths: vec![1, 2, 3, 4],
        kernels: vec![3, 5, 7],
        expands: vec![3, 6],
        blocks: vec![BlockChoice::InvertedResidual],
        squeeze_excite: vec![false],
        activation: Activation::Relu6,
        stem: StemConfig {
            channels: 32,
            kernel: 3,
            stride: 2,
        },
        stages: vec![
            stage(16, 1),
            stage(24, 2),
            stage(40, 2),
            stage(80, 2),
            stage(112, 1),
            stage(192, 2),
            stage(320, 1),
        ],
        head: HeadConfig {
            style: HeadStyle::Convolution,
            channels: 1280,
        },
    }
}
