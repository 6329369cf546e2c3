//! Where a layer's tensors come from: drawn fresh, or cut out of a supernet's.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tch::{Device, Kind, TchError, Tensor};

use super::{Named, Role};

/// What a tensor holds before anything is learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// A weight: normal with this variance.
    Normal(f64),
    /// A bias or a normalisation's scale.
    Learned(f64),
    /// A statistic that is followed.
    Running(f64),
}

impl Start {
    pub(crate) fn role(self) -> Role {
        match self {
            Self::Normal(_) => Role::Weight,
            Self::Learned(_) => Role::Bias,
            Self::Running(_) => Role::Running,
        }
    }
}

pub(crate) trait Source {
    /// The tensor of this name within the block that is being built.
    fn tensor(&mut self, name: &str, shape: &[i64], start: Start) -> Result<Tensor, TchError>;
}

/// Draws every tensor, and lists them.
#[derive(Debug)]
pub(crate) struct Fresh {
    // Not libtorch's generator: it is the whole process's, and two networks made at once would mix their numbers.
    rng: ChaCha8Rng,
    /// Of the block that is being built, for the names.
    pub(crate) prefix: String,
    pub(crate) tensors: Vec<Named>,
}

impl Fresh {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            prefix: String::new(),
            tensors: Vec::new(),
        }
    }
}

impl Source for Fresh {
    fn tensor(&mut self, name: &str, shape: &[i64], start: Start) -> Result<Tensor, TchError> {
        let tensor = match start {
            Start::Normal(variance) => {
                let deviation = variance.sqrt() as f32;
                let count: i64 = shape.iter().product();
                let mut draw = || self.rng.sample::<f32, _>(StandardNormal) * deviation;
                let numbers: Vec<f32> = (0..count).map(|_| draw()).collect();
                in_order(&Tensor::f_from_slice(&numbers)?.f_view(shape)?)?
            }
            Start::Learned(value) | Start::Running(value) => {
                Tensor::f_full(shape, value, (Kind::Float, Device::Cpu))?
            }
        };
        let role = start.role();
        let tensor = if role == Role::Running {
            tensor
        } else {
            tensor.f_set_requires_grad(true)?
        };
        let shared = tensor.shallow_clone();
        let name = format!("{}.{name}", self.prefix);
        self.tensors.push(Named { name, tensor, role });
        Ok(shared)
    }
}

/// The same numbers as a network keeps them: filters with their channels last in memory, since convolutions follow
/// the order of their weights.
pub(crate) fn in_order(weight: &Tensor) -> Result<Tensor, TchError> {
    if weight.dim() != 4 {
        return weight.f_contiguous();
    }
    weight
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}
