//! A network in libtorch, built from the same list of layers the cost model and the exporter walk.

mod modules;

use export::Weights;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use search::space::{Architecture, BlockKey};
use tch::{TchError, Tensor, no_grad};

use modules::{Fresh, Module};

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

#[derive(Debug)]
struct Block {
    modules: Vec<Module>,
    residual: bool,
}

impl Net {
    /// A network with fresh weights; the same seed gives the same ones.
    pub fn new(architecture: &Architecture, seed: u64) -> Result<Self, TchError> {
        // Not libtorch's generator: it is the whole process's, and two networks made at once would mix their numbers.
        let mut fresh = Fresh {
            rng: ChaCha8Rng::seed_from_u64(seed),
            tensors: Vec::new(),
        };
        let block = |(index, key): (usize, &BlockKey)| {
            let module = |layer| Module::new(&layer, index, &mut fresh);
            let modules = key.layers().into_iter().map(module).collect::<Result<_, _>>()?;
            Ok(Block {
                modules,
                residual: key.residual(),
            })
        };
        let blocks = architecture
            .blocks()
            .iter()
            .enumerate()
            .map(block)
            .collect::<Result<_, TchError>>()?;
        Ok(Self {
            architecture: architecture.clone(),
            blocks,
            tensors: fresh.tensors,
        })
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Logits of a batch; `training` uses the batch's own statistics and updates the running ones.
    pub fn forward(&self, batch: &Tensor, training: bool) -> Result<Tensor, TchError> {
        let mut value = batch.shallow_clone();
        for block in &self.blocks {
            let input = value.shallow_clone();
            for module in &block.modules {
                value = module.forward(&value, training)?;
            }
            if block.residual {
                // In place: nobody needs what normalisation gave.
                value = value.f_add_(&input)?;
            }
        }
        Ok(value)
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
