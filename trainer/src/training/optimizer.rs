//! Stochastic gradient descent with Nesterov momentum. Its own, since the momentum has to be in checkpoints.

use tch::{TchError, Tensor, no_grad};

use crate::model::{Named, Role};
use crate::training::Recipe;

#[derive(Debug)]
pub struct Optimizer {
    /// One for each learned tensor, in the network's order.
    momentum: Vec<(String, Tensor)>,
}

impl Optimizer {
    pub fn new(tensors: &[Named]) -> Result<Self, TchError> {
        let learned = tensors.iter().filter(|named| named.role != Role::Running);
        let zero = |named: &Named| {
            Ok((
                named.name.clone(),
                no_grad(|| named.tensor.detach().f_zeros_like())?,
            ))
        };
        Ok(Self {
            momentum: learned.map(zero).collect::<Result<_, TchError>>()?,
        })
    }

    /// Moves every learned tensor along its gradient and clears the gradient.
    pub fn step(&mut self, tensors: &mut [Named], rate: f64, recipe: &Recipe) -> Result<(), TchError> {
        let learned = tensors.iter_mut().filter(|named| named.role != Role::Running);
        no_grad(|| {
            for (named, (_, momentum)) in learned.zip(&mut self.momentum) {
                let mut gradient = named.tensor.f_grad()?;
                if named.role == Role::Weight {
                    let _ = gradient.f_add_(&named.tensor.f_mul_scalar(recipe.weight_decay)?)?;
                }
                let _ = momentum.f_mul_scalar_(recipe.momentum)?.f_add_(&gradient)?;
                let step = gradient
                    .f_add(&momentum.f_mul_scalar(recipe.momentum)?)?
                    .f_mul_scalar(rate)?;
                let _ = named.tensor.f_sub_(&step)?;
                let _ = gradient.f_zero_()?;
            }
            Ok(())
        })
    }

    pub fn momentum(&self) -> &[(String, Tensor)] {
        &self.momentum
    }

    pub fn momentum_mut(&mut self) -> &mut [(String, Tensor)] {
        &mut self.momentum
    }
}
