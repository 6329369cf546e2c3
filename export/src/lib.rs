//! Networks as ONNX files: the blocks and whole candidates a profile measures, and trained models.
//!
//! Pure: bytes out, no I/O. Does not train. Every file is opset 17, IR 8, batch 1, with input `input`
//! (32-bit floats, NCHW, pixels from 0 to 1) and output `scores`.

mod fold;
mod graph;
mod net;
mod proto;
mod quantize;
mod weights;

use search::space::{Architecture, BlockKey};
use sha2::Digest as _;

pub use net::{INPUT, OUTPUT, value_names};
pub use quantize::{Range, Ranges};
pub use weights::{Tensor, Weights};

use net::Source;

/// Added to the variance in batch normalisation; what trains has to use the same.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// An ONNX file and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxFile {
    pub bytes: Vec<u8>,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// Weights that do not belong to the architecture.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExportError {
    #[error("the weights have no tensor {0:?}")]
    MissingTensor(String),
    #[error("tensor {name:?} has shape {found:?}, the architecture wants {wanted:?}")]
    WrongShape {
        name: String,
        found: Vec<usize>,
        wanted: Vec<usize>,
    },
    #[error("tensor {name:?} holds {value}: the training diverged")]
    NotFinite { name: String, value: f32 },
    #[error("the ranges have no value {0:?}")]
    MissingRange(String),
    #[error("value {name:?} ranges from {min} to {max}")]
    WrongRange { name: String, min: f32, max: f32 },
}

/// One block to measure: a few hundred bytes, since its weights are constants that the runtime folds.
pub fn profile_block(key: &BlockKey) -> OnnxFile {
    file(net::write(&[*key], &key.to_string(), Source::Constant))
}

/// A whole network to measure before anything is trained; weights as in [`profile_block`].
pub fn profile_net(architecture: &Architecture) -> OnnxFile {
    file(net::write(
        &architecture.blocks(),
        &architecture.to_string(),
        Source::Constant,
    ))
}

/// A trained network with batch normalisation folded into the convolutions.
pub fn trained_net(architecture: &Architecture, weights: &Weights) -> Result<OnnxFile, ExportError> {
    let blocks = architecture.blocks();
    let folded = fold::fold(&blocks, weights)?;
    Ok(file(net::write(
        &blocks,
        &architecture.to_string(),
        Source::Trained(&folded),
    )))
}

/// The same with whole numbers of 8 bits, within the ranges that were seen between its layers: a quarter of the size,
/// and faster where the processor multiplies bytes.
pub fn quantized_net(
    architecture: &Architecture,
    weights: &Weights,
    ranges: &Ranges,
) -> Result<OnnxFile, ExportError> {
    let blocks = architecture.blocks();
    check_ranges(&blocks, ranges)?;
    let folded = fold::fold(&blocks, weights)?;
    Ok(file(net::write(
        &blocks,
        &architecture.to_string(),
        Source::Whole(&folded, ranges),
    )))
}

fn check_ranges(blocks: &[BlockKey], ranges: &Ranges) -> Result<(), ExportError> {
    for (index, block) in blocks.iter().enumerate() {
        let layers = block.layers();
        let sum = block.residual().then(|| "sum".to_owned());
        for name in layers.iter().flat_map(value_names).chain(sum) {
            let name = format!("{index}.{name}");
            match ranges.0.get(&name) {
                None => return Err(ExportError::MissingRange(name)),
                Some(Range { min, max }) if !(min <= max && min.is_finite() && max.is_finite()) => {
                    let (min, max) = (*min, *max);
                    return Err(ExportError::WrongRange { name, min, max });
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

fn file(bytes: Vec<u8>) -> OnnxFile {
    let sha256 = hex::encode(sha2::Sha256::digest(&bytes));
    OnnxFile { bytes, sha256 }
}

#[cfg(test)]
mod tests;
