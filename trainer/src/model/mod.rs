//! A network in libtorch, built from the same list of layers the cost model and the exporter walk.

mod modules;
pub(crate) mod source;

use export::Weights;
use search::space::{Architecture, BlockKey};
use tch::{TchError, Tensor, no_grad};

use modules::Module;
use source::{Fresh, Source};

/// One trainable or running tensor.
#[derive(Debug)]
pub struct Named {
    /// As in [`export::Weights`].
    pub name: String,
    pub tensor: Tensor,
    pub role: Role,
}

/// What happens to a tensor in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Learned, with weight decay.
    Weight,
    /// Learned, without: biases and batch normalisation.
    Bias,
    /// Followed: running mean and variance.
    Running,
}

#[derive(Debug)]
pub struct Net {
    architecture: Architecture,
    blocks: Vec<Block>,
    tensors: Vec<Named>,
}

/// Whose mean and variance normalisation uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Statistics {
    Running,
    /// The batch's own, which take this share in the running ones.
    Batch {
        share: f64,
    },
}

/// As networks are trained.
pub(crate) const TRAINING: Statistics = Statistics::Batch { share: 0.1 };

/// One block of a network.
#[derive(Debug)]
pub(crate) struct Block {
    modules: Vec<Module>,
    residual: bool,
}

impl Block {
    pub(crate) fn new(key: &BlockKey, source: &mut impl Source) -> Result<Self, TchError> {
        let layers = key.layers();
        let modules = layers.iter().map(|layer| Module::new(layer, source));
        Ok(Self {
            modules: modules.collect::<Result<_, _>>()?,
            residual: key.residual(),
        })
    }

    pub(crate) fn forward(&self, input: &Tensor, statistics: Statistics) -> Result<Tensor, TchError> {
        let mut value = input.shallow_clone();
        for module in &self.modules {
            value = module.forward(&value, statistics)?;
        }
        if self.residual {
            // In place: nobody needs what normalisation gave.
            value = value.f_add_(input)?;
        }
        Ok(value)
    }
}

impl Net {
    /// A network with fresh weights; the same seed gives the same ones.
    pub fn new(architecture: &Architecture, seed: u64) -> Result<Self, TchError> {
        let mut fresh = Fresh::new(seed);
        let block = |(index, key): (usize, &BlockKey)| {
            fresh.prefix = index.to_string();
            Block::new(key, &mut fresh)
        };
        let keys = architecture.blocks();
        let blocks = keys.iter().enumerate().map(block).collect::<Result<_, _>>()?;
        Ok(Self::of(architecture.clone(), blocks, fresh.tensors))
    }

    /// Blocks made elsewhere, with all their tensors in order.
    pub(crate) fn of(architecture: Architecture, blocks: Vec<Block>, tensors: Vec<Named>) -> Self {
        Self {
            architecture,
            blocks,
            tensors,
        }
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Logits of a batch; `training` uses the batch's own statistics and updates the running ones.
    pub fn forward(&self, batch: &Tensor, training: bool) -> Result<Tensor, TchError> {
        self.pass(batch, if training { TRAINING } else { Statistics::Running })
    }

    pub(crate) fn pass(&self, batch: &Tensor, statistics: Statistics) -> Result<Tensor, TchError> {
        let mut value = batch.shallow_clone();
        for block in &self.blocks {
            value = block.forward(&value, statistics)?;
        }
        Ok(value)
    }

    /// Finds its running statistics anew: the mean over these batches.
    pub(crate) fn find_statistics(
        &mut self,
        batches: impl Iterator<Item = Result<Tensor, TchError>>,
    ) -> Result<(), TchError> {
        for (before, batch) in (0_u32..).zip(batches) {
            let share = 1.0 / f64::from(before + 1);
            drop(no_grad(|| self.pass(&batch?, Statistics::Batch { share }))?);
        }
        Ok(())
    }

    /// Shows every value that [`export::Ranges`] has a name for while a batch goes through; gives the logits.
    pub fn observe(
        &self,
        batch: &Tensor,
        seen: &mut dyn FnMut(&str, &Tensor) -> Result<(), TchError>,
    ) -> Result<Tensor, TchError> {
        let mut value = batch.shallow_clone();
        let keys = self.architecture.blocks();
        for ((index, block), key) in self.blocks.iter().enumerate().zip(&keys) {
            let input = value.shallow_clone();
            for (module, layer) in block.modules.iter().zip(key.layers()) {
                let values = module.values(&value)?;
                for (name, value) in export::value_names(&layer).iter().zip(&values) {
                    seen(&format!("{index}.{name}"), value)?;
                }
                value = values.into_iter().next_back().unwrap_or(value);
            }
            if block.residual {
                value = value.f_add(&input)?;
                seen(&format!("{index}.sum"), &value)?;
            }
        }
        Ok(value)
    }

    pub fn tensors(&self) -> &[Named] {
        &self.tensors
    }

    pub fn tensors_mut(&mut self) -> &mut [Named] {
        &mut self.tensors
    }

    pub fn weights(&self) -> Result<Weights, TchError> {
        let weight = |named: &Named| Ok((named.name.clone(), to_numbers(&named.tensor)?));
        Ok(Weights(
            self.tensors.iter().map(weight).collect::<Result<_, TchError>>()?,
        ))
    }
}

/// The same numbers in memory of their own, without a gradient.
pub(crate) fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    let mut copy = tensor.detach().f_zeros_like()?;
    no_grad(|| copy.f_copy_(tensor))?;
    Ok(copy)
}

/// The numbers of a tensor in row-major order, whatever its order in memory.
pub fn to_numbers(tensor: &Tensor) -> Result<export::Tensor, TchError> {
    let shape: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
    let flat = no_grad(|| tensor.detach().f_reshape([-1]))?;
    Ok(export::Tensor {
        shape,
        data: Vec::<f32>::try_from(flat)?,
    })
}

/// Overwrites a tensor in place, so that everyone who shares it sees the new numbers.
pub fn set_numbers(tensor: &mut Tensor, numbers: &export::Tensor) -> Result<(), TchError> {
    let shape: Vec<i64> = numbers.shape.iter().map(|size| *size as i64).collect();
    let source = Tensor::f_from_slice(&numbers.data)?.f_view(shape.as_slice())?;
    no_grad(|| tensor.f_copy_(&source))
}

#[cfg(test)]
pub(crate) mod tests;
