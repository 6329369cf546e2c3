//! Batch normalisation folded into the convolution before it: what is left is a weight and a bias.

use search::space::{BlockKey, Convolution, Layer};

use crate::weights::{Tensor, Weights};
use crate::{BATCH_NORM_EPSILON, ExportError};

/// The tensors of the exported network: every layer has `…weight` and `…bias`.
pub(crate) fn fold(blocks: &[BlockKey], weights: &Weights) -> Result<Weights, ExportError> {
    let mut folded = Weights::default();
    for (index, block) in blocks.iter().enumerate() {
        for layer in block.layers() {
            match layer {
                Layer::Convolution(conv) => {
                    convolution(&format!("{index}.{}", conv.name), &conv, weights, &mut folded)?;
                }
                Layer::SqueezeExcite {
                    channels, squeezed, ..
                } => {
                    let (channels, squeezed) = (channels as usize, squeezed as usize);
                    copy(
                        &format!("{index}.reduce"),
                        &[squeezed, channels, 1, 1],
                        weights,
                        &mut folded,
                    )?;
                    copy(
                        &format!("{index}.expand_se"),
                        &[channels, squeezed, 1, 1],
                        weights,
                        &mut folded,
                    )?;
                }
                Layer::Pool { .. } => {}
                Layer::Linear {
                    name,
                    inputs,
                    outputs,
                    ..
                } => {
                    copy(
                        &format!("{index}.{name}"),
                        &[outputs as usize, inputs as usize],
                        weights,
                        &mut folded,
                    )?;
                }
            }
        }
    }
    Ok(folded)
}

fn convolution(name: &str, conv: &Convolution, from: &Weights, to: &mut Weights) -> Result<(), ExportError> {
    let Convolution {
        inputs,
        outputs,
        kernel,
        groups,
        ..
    } = *conv;
    let (outputs, kernel) = (outputs as usize, kernel as usize);
    let shape = [outputs, (inputs / groups) as usize, kernel, kernel];
    let mut weight = from.get(&format!("{name}.weight"), &shape)?.clone();
    let of = |part: &str| from.get(&format!("{name}.norm.{part}"), &[outputs]);
    let (gamma, beta, mean, variance) = (
        of("weight")?,
        of("bias")?,
        of("running_mean")?,
        of("running_var")?,
    );
    let mut bias = Vec::with_capacity(outputs);
    let filters = weight.data.chunks_mut(shape[1..].iter().product());
    for (channel, filter) in filters.enumerate() {
        let scale =
            f64::from(gamma.data[channel]) / (f64::from(variance.data[channel]) + BATCH_NORM_EPSILON).sqrt();
        for value in filter {
            *value = (f64::from(*value) * scale) as f32;
        }
        bias.push((f64::from(beta.data[channel]) - f64::from(mean.data[channel]) * scale) as f32);
    }
    to.0.insert(format!("{name}.weight"), weight);
    to.0.insert(
        format!("{name}.bias"),
        Tensor {
            shape: vec![outputs],
            data: bias,
        },
    );
    Ok(())
}

fn copy(name: &str, shape: &[usize], from: &Weights, to: &mut Weights) -> Result<(), ExportError> {
    for (part, shape) in [("weight", shape), ("bias", &shape[..1])] {
        let name = format!("{name}.{part}");
        let tensor = from.get(&name, shape)?.clone();
        to.0.insert(name, tensor);
    }
    Ok(())
}
