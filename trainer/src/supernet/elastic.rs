//! The weights that all networks of a space share, and how a block's own are cut out of them.
//!
//! A narrower layer is the leading channels of the widest; a smaller kernel is the centre of the next larger one
//! through a square matrix that is learned with it, starting as the identity. Plain crops would make one filter's
//! centre serve as the whole of another; the matrix lets both be good at the price of 81 numbers for 5 → 3.

use std::collections::BTreeMap;

use search::space::{BlockKey, BlockKind};
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::places::Place;
use crate::model::source::{Source, Start, in_order};
use crate::model::{Named, Role, copy};

/// Blocks at one place that share weights. Others see another kind of input at the same layer: without an
/// expansion the filters work on the block's input itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Stem,
    Separable,
    Direct,
    Expanded,
    Head,
}

impl Family {
    pub(super) fn of(key: &BlockKey) -> Self {
        match key.kind {
            BlockKind::Stem => Self::Stem,
            BlockKind::Separable => Self::Separable,
            BlockKind::InvertedResidual if key.hidden == key.inputs => Self::Direct,
            BlockKind::InvertedResidual => Self::Expanded,
            BlockKind::Head | BlockKind::LightHead => Self::Head,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Stem => "stem",
            Self::Separable => "separable",
            Self::Direct => "direct",
            Self::Expanded => "expanded",
            Self::Head => "head",
        }
    }

    /// Before the names of its tensors.
    pub(super) fn prefix(self, place: Place) -> String {
        match place {
            Place::Stem | Place::Head => self.word().to_owned(),
            Place::Block { stage, place } => format!("{stage}.{place}.{}", self.word()),
        }
    }
}

/// A block out of which every one of a family can be cut.
pub(super) fn widest(keys: &[BlockKey]) -> Option<BlockKey> {
    let (first, rest) = keys.split_first()?;
    Some(rest.iter().fold(*first, |widest, key| BlockKey {
        inputs: widest.inputs.max(key.inputs),
        hidden: widest.hidden.max(key.hidden),
        outputs: widest.outputs.max(key.outputs),
        kernel: widest.kernel.max(key.kernel),
        squeeze_excite: widest.squeeze_excite || key.squeeze_excite,
        ..widest
    }))
}

/// A matrix from the centre of one kernel size to the next smaller one, at its start.
pub(super) fn transform(name: String, kernel: u32) -> Result<Named, TchError> {
    let side = i64::from(kernel * kernel);
    let tensor = Tensor::f_eye(side, (Kind::Float, Device::Cpu))?.f_set_requires_grad(true)?;
    Ok(Named {
        name,
        tensor,
        // No decay: towards zero would be away from where it starts.
        role: Role::Bias,
    })
}

/// The name of a matrix among the tensors of a family.
pub(super) fn transform_name(weight: &str, kernel: u32) -> String {
    format!("{weight}.to{kernel}")
}

/// What becomes of the weights that are cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Gradients reach the shared weights.
    Linked,
    /// They don't: nothing is learned from this block.
    Frozen,
    /// Tensors of their own.
    Copied,
}

/// Cuts the tensors of a block out of the shared ones.
#[derive(Debug)]
pub(super) struct Slices<'a> {
    pub(super) tensors: &'a [Named],
    pub(super) index: &'a BTreeMap<String, usize>,
    /// Kernel sizes of the space, largest first.
    pub(super) kernels: &'a [u32],
    pub(super) cut: Cut,
    /// Of the family.
    pub(super) prefix: String,
    /// Of the block in its network, for the names of the new tensors.
    pub(super) block: usize,
    pub(super) found: Vec<Named>,
}

impl Slices<'_> {
    fn shared(&self, name: &str) -> Result<&Tensor, TchError> {
        let index = self.index.get(name).copied();
        let named = index.and_then(|index| self.tensors.get(index));
        named
            .map(|named| &named.tensor)
            .ok_or_else(|| TchError::Shape(format!("the supernet has no tensor {name:?}")))
    }

    fn slice(&self, name: &str, shape: &[i64]) -> Result<Tensor, TchError> {
        let mut tensor = self.shared(name)?.shallow_clone();
        for (dim, length) in (0_i64..).zip(shape).take(2) {
            if tensor.size()[dim as usize] > *length {
                tensor = tensor.f_narrow(dim, 0, *length)?;
            }
        }
        match *shape {
            [_, _, kernel, _] => self.cropped(name, tensor, kernel),
            _ => Ok(tensor),
        }
    }

    /// The centre of the filters through one matrix for each smaller kernel size on the way.
    fn cropped(&self, name: &str, mut weight: Tensor, kernel: i64) -> Result<Tensor, TchError> {
        for smaller in self.kernels.iter().map(|kernel| i64::from(*kernel)) {
            let size = weight.size();
            if smaller >= size[2] || smaller < kernel {
                continue;
            }
            let margin = (size[2] - smaller) / 2;
            let centre = weight
                .f_narrow(2, margin, smaller)?
                .f_narrow(3, margin, smaller)?
                .f_reshape([size[0] * size[1], smaller * smaller])?;
            let matrix = self.shared(&transform_name(name, smaller as u32))?;
            weight = centre
                .f_matmul(matrix)?
                .f_view([size[0], size[1], smaller, smaller])?;
        }
        Ok(weight)
    }
}

impl Source for Slices<'_> {
    fn tensor(&mut self, name: &str, shape: &[i64], start: Start) -> Result<Tensor, TchError> {
        let tensor = match start {
            // Statistics belong to one network, not to the weights it shares.
            Start::Running(value) => Tensor::f_full(shape, value, (Kind::Float, Device::Cpu))?,
            Start::Normal(_) | Start::Learned(_) => {
                let shared = format!("{}.{name}", self.prefix);
                match self.cut {
                    Cut::Linked => self.slice(&shared, shape)?,
                    Cut::Frozen => no_grad(|| self.slice(&shared, shape))?.f_detach()?,
                    Cut::Copied => {
                        let copy = no_grad(|| in_order(&copy(&self.slice(&shared, shape)?)?))?;
                        copy.f_set_requires_grad(true)?
                    }
                }
            }
        };
        let shallow = tensor.shallow_clone();
        self.found.push(Named {
            name: format!("{}.{name}", self.block),
            tensor,
            role: start.role(),
        });
        Ok(shallow)
    }
}
