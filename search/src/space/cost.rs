//! What a network costs whatever the device: operations, parameters, file size, memory.

use std::ops::AddAssign;

use super::architecture::Architecture;
use super::key::BlockKey;
use super::layer::Layer;

/// Bytes of one number: files and activations are 32-bit floats.
const FLOAT: u64 = 4;
/// Upper bound of what a layer adds to an ONNX file beside its numbers: node, names, shapes.
const LAYER_OVERHEAD: u64 = 400;
/// Upper bound of the rest of an ONNX file.
const FILE_OVERHEAD: u64 = 1024;

/// Costs that are computed, not measured; batch normalisation counts as folded, as in the exported file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    pub parameters: u64,
    /// Upper bound of the size of the exported ONNX file.
    pub model_bytes: u64,
    /// The largest sum of a layer's input, its output and a held residual.
    pub peak_activation_bytes: u64,
}

impl Cost {
    /// Weights and activations; what the runtime itself needs comes on top.
    pub fn peak_memory(&self) -> u64 {
        self.parameters * FLOAT + self.peak_activation_bytes
    }
}

impl AddAssign for Cost {
    /// The cost of both, one after the other.
    fn add_assign(&mut self, next: Self) {
        self.macs += next.macs;
        self.parameters += next.parameters;
        self.model_bytes += next.model_bytes;
        self.peak_activation_bytes = self.peak_activation_bytes.max(next.peak_activation_bytes);
    }
}

impl Architecture {
    pub fn cost(&self) -> Cost {
        let mut sum = Self::cost_without_blocks();
        for block in self.blocks() {
            sum += block.cost();
        }
        sum
    }

    pub(crate) fn cost_without_blocks() -> Cost {
        Cost {
            model_bytes: FILE_OVERHEAD,
            ..Cost::default()
        }
    }
}

impl BlockKey {
    /// The cost of this block alone.
    pub fn cost(&self) -> Cost {
        let held = if self.residual() {
            map(self.inputs, self.resolution)
        } else {
            0
        };
        let mut sum = Cost::default();
        for (index, layer) in self.layers().iter().enumerate() {
            // The first layer's input is the residual itself.
            let held = if index == 0 { 0 } else { held };
            let mut next = layer.cost();
            next.peak_activation_bytes = (next.peak_activation_bytes / FLOAT + held) * FLOAT;
            sum += next;
        }
        sum
    }
}

impl Layer {
    fn cost(&self) -> Cost {
        let (macs, parameters, activations) = match *self {
            Self::Convolution(conv) => {
                let weights = u64::from(conv.inputs / conv.groups)
                    * u64::from(conv.outputs)
                    * u64::from(conv.kernel).pow(2);
                let pixels = u64::from(conv.output_resolution()).pow(2);
                let output = map(conv.outputs, conv.output_resolution());
                (
                    weights * pixels,
                    weights + u64::from(conv.outputs),
                    map(conv.inputs, conv.resolution) + output,
                )
            }
            Self::SqueezeExcite {
                channels,
                squeezed,
                resolution,
            } => {
                let weights = 2 * u64::from(channels) * u64::from(squeezed);
                let scaled = map(channels, resolution);
                (
                    weights + scaled,
                    weights + u64::from(channels + squeezed),
                    2 * scaled + u64::from(channels),
                )
            }
            Self::Pool { channels, resolution } => (0, 0, map(channels, resolution) + u64::from(channels)),
            Self::Linear { inputs, outputs, .. } => {
                let weights = u64::from(inputs) * u64::from(outputs);
                (weights, weights + u64::from(outputs), u64::from(inputs + outputs))
            }
        };
        Cost {
            macs,
            parameters,
            model_bytes: parameters * FLOAT + LAYER_OVERHEAD,
            peak_activation_bytes: activations * FLOAT,
        }
    }
}

/// Numbers of a feature map.
fn map(channels: u32, resolution: u32) -> u64 {
    u64::from(channels) * u64::from(resolution).pow(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(key: &str) -> Cost {
        key.parse::<BlockKey>().unwrap().cost()
    }

    #[test]
    fn counts_a_block_as_done_by_hand() {
        // Expand 16→64 at 14², depthwise 3×3 at 7², project 64→24 at 7².
        let block = cost("ir-c16-h64-o24-r14-k3-s2-relu6");
        assert_eq!(block.macs, 16 * 64 * 196 + 64 * 9 * 49 + 64 * 24 * 49);
        assert_eq!(block.parameters, 16 * 64 + 64 + 64 * 9 + 64 + 64 * 24 + 24);
        assert_eq!(block.peak_activation_bytes, 4 * (16 * 196 + 64 * 196));
    }

    #[test]
    fn holds_the_residual_while_the_block_runs() {
        let block = cost("ir-c16-h64-o16-r14-k3-s1-relu6");
        assert_eq!(block.peak_activation_bytes, 4 * (2 * 64 * 196 + 16 * 196));
    }

    #[test]
    fn a_light_head_does_less_work() {
        let (head, light) = (
            cost("head-c64-h128-o10-r7-k1-s1-relu6"),
            cost("lighthead-c64-h128-o10-r7-k1-s1-relu6"),
        );
        assert_eq!(head.parameters, light.parameters);
        assert!(light.macs * 20 < head.macs);
    }
}
