//! The layers a block consists of. Cost model, ONNX export and training all walk this one list, so that what
//! is counted, measured and trained is the same network.

use super::activation::Activation;
use super::key::{BlockKey, BlockKind};

/// One layer; the names are those of its tensors within the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Convolution without bias, batch normalisation, activation.
    Convolution(Convolution),
    /// Average over all pixels → `reduce` → ReLU → `expand` → hard sigmoid; scales the channels.
    SqueezeExcite {
        channels: u32,
        squeezed: u32,
        resolution: u32,
    },
    /// Average over all pixels, then flat.
    Pool { channels: u32, resolution: u32 },
    /// Fully connected with bias.
    Linear {
        name: &'static str,
        inputs: u32,
        outputs: u32,
        activation: Option<Activation>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    pub name: &'static str,
    pub inputs: u32,
    pub outputs: u32,
    pub kernel: u32,
    pub stride: u32,
    /// 1, or `inputs` for a depthwise one.
    pub groups: u32,
    /// Height and width of the input.
    pub resolution: u32,
    pub activation: Option<Activation>,
}

impl Convolution {
    /// Pixels added on each side, so that stride 1 keeps the size.
    pub fn padding(&self) -> u32 {
        self.kernel / 2
    }

    pub fn output_resolution(&self) -> u32 {
        self.resolution.div_ceil(self.stride)
    }
}

impl BlockKey {
    /// The layers in order; [`BlockKey::residual`] says whether the block's input is added at the end.
    pub fn layers(&self) -> Vec<Layer> {
        match self.kind {
            BlockKind::Stem => vec![self.convolution("conv", self.outputs, Some(self.activation))],
            BlockKind::Separable => self.separable(),
            BlockKind::InvertedResidual => self.inverted_residual(),
            BlockKind::Head => vec![
                self.convolution("conv", self.hidden, Some(self.activation)),
                Layer::Pool {
                    channels: self.hidden,
                    resolution: self.output_resolution(),
                },
                Layer::Linear {
                    name: "linear",
                    inputs: self.hidden,
                    outputs: self.outputs,
                    activation: None,
                },
            ],
            BlockKind::LightHead => vec![
                Layer::Pool {
                    channels: self.inputs,
                    resolution: self.resolution,
                },
                Layer::Linear {
                    name: "hidden",
                    inputs: self.inputs,
                    outputs: self.hidden,
                    activation: Some(self.activation),
                },
                Layer::Linear {
                    name: "linear",
                    inputs: self.hidden,
                    outputs: self.outputs,
                    activation: None,
                },
            ],
        }
    }

    fn separable(&self) -> Vec<Layer> {
        let mut layers = vec![self.depthwise(self.inputs)];
        layers.extend(self.squeeze_excite_of(self.inputs));
        layers.push(self.pointwise("project", self.inputs, self.outputs, Some(self.activation)));
        layers
    }

    fn inverted_residual(&self) -> Vec<Layer> {
        let mut layers = Vec::with_capacity(4);
        if self.hidden != self.inputs {
            let expand = Layer::Convolution(Convolution {
                name: "expand",
                inputs: self.inputs,
                outputs: self.hidden,
                kernel: 1,
                stride: 1,
                groups: 1,
                resolution: self.resolution,
                activation: Some(self.activation),
            });
            layers.push(expand);
        }
        layers.push(self.depthwise(self.hidden));
        layers.extend(self.squeeze_excite_of(self.hidden));
        layers.push(self.pointwise("project", self.hidden, self.outputs, None));
        layers
    }

    fn convolution(&self, name: &'static str, outputs: u32, activation: Option<Activation>) -> Layer {
        Layer::Convolution(Convolution {
            name,
            inputs: self.inputs,
            outputs,
            kernel: self.kernel,
            stride: self.stride,
            groups: 1,
            resolution: self.resolution,
            activation,
        })
    }

    fn depthwise(&self, channels: u32) -> Layer {
        Layer::Convolution(Convolution {
            name: "depthwise",
            inputs: channels,
            outputs: channels,
            kernel: self.kernel,
            stride: self.stride,
            groups: channels,
            resolution: self.resolution,
            activation: Some(self.activation),
        })
    }

    /// A 1×1 convolution at the block's output.
    fn pointwise(
        &self,
        name: &'static str,
        inputs: u32,
        outputs: u32,
        activation: Option<Activation>,
    ) -> Layer {
        Layer::Convolution(Convolution {
            name,
            inputs,
            outputs,
            kernel: 1,
            stride: 1,
            groups: 1,
            resolution: self.output_resolution(),
            activation,
        })
    }

    fn squeeze_excite_of(&self, channels: u32) -> Option<Layer> {
        self.squeeze_excite.then(|| Layer::SqueezeExcite {
            channels,
            squeezed: (channels / 4).max(8),
            resolution: self.output_resolution(),
        })
    }
}
