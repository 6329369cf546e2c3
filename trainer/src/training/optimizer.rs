//! Stochastic gradient descent with momentum. Its own, since the momentum has to be in checkpoints.
//!
//! All learned tensors lie in one stretch of memory, those with weight decay first: a step is then a handful of
//! operations on long vectors, where one operation for each small tensor costs more than its arithmetic.

use tch::{Device, Kind, TchError, Tensor, no_grad};

use crate::model::{Named, Role};
use crate::training::Recipe;

#[derive(Debug)]
pub struct Optimizer {
    parameters: Tensor,
    gradients: Tensor,
    momentum: Tensor,
    /// How many numbers at the front decay.
    decaying: i64,
    /// Views of each learned tensor's part, in the network's order.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    /// Where it lies in the vectors.
    start: i64,
    gradient: Tensor,
    momentum: Tensor,
}

impl Optimizer {
    /// Moves the learned tensors to where a step finds them together.
    pub fn new(tensors: &mut [Named]) -> Result<Self, TchError> {
        let numbers = |role: Role| -> i64 {
            let of_role = tensors.iter().filter(|named| named.role == role);
            of_role.map(|named| named.tensor.numel() as i64).sum()
        };
        let (decaying, others) = (numbers(Role::Weight), numbers(Role::Bias));
        let zeros = || Tensor::f_zeros([decaying + others], (Kind::Float, Device::Cpu));
        let (parameters, gradients, momentum) = (zeros()?, zeros()?, zeros()?);
        let (mut next_decaying, mut next_other) = (0, decaying);
        let mut parts = Vec::new();
        for named in tensors {
            let next = match named.role {
                Role::Weight => &mut next_decaying,
                Role::Bias => &mut next_other,
                Role::Running => continue,
            };
            let (size, stride) = (named.tensor.size(), named.tensor.stride());
            // The same order in memory as the tensor's own.
            let view = |of: &Tensor| of.f_as_strided(size.as_slice(), stride.as_slice(), *next);
            let mut place = view(&parameters)?;
            no_grad(|| place.f_copy_(&named.tensor))?;
            parts.push(Part {
                name: named.name.clone(),
                start: *next,
                gradient: view(&gradients)?,
                momentum: view(&momentum)?,
            });
            // Everyone who shares the tensor sees the new place.
            named.tensor.f_set_data(&place)?;
            *next += named.tensor.numel() as i64;
        }
        Ok(Self {
            parameters,
            gradients,
            momentum,
            decaying,
            parts,
        })
    }

    /// Moves every learned tensor along its gradient of the loss.
    pub fn step(
        &mut self,
        tensors: &[Named],
        loss: &Tensor,
        rate: f64,
        recipe: &Recipe,
    ) -> Result<(), TchError> {
        let learned = tensors.iter().filter(|named| named.role != Role::Running);
        let inputs: Vec<&Tensor> = learned.map(|named| &named.tensor).collect();
        // Handed over, not added to what a tensor holds: nothing has to be cleared afterwards.
        let found = Tensor::f_run_backward(&[loss], &inputs, false, false)?;
        let Self {
            parameters,
            gradients,
            momentum,
            decaying,
            parts,
        } = self;
        no_grad(|| {
            for (part, found) in parts.iter_mut().zip(&found) {
                if found.defined() {
                    part.gradient.f_copy_(found)?;
                } else {
                    // No part in this loss, as most of a supernet has none in most of its networks'.
                    let _ = part.gradient.f_zero_()?;
                }
            }
            if recipe.weight_decay != 0.0 {
                let decay = parameters
                    .f_narrow(0, 0, *decaying)?
                    .f_mul_scalar(recipe.weight_decay)?;
                let _ = gradients.f_narrow(0, 0, *decaying)?.f_add_(&decay)?;
            }
            let _ = momentum.f_mul_scalar_(recipe.momentum)?.f_add_(gradients)?;
            if recipe.nesterov {
                let mut ahead = gradients.f_add_(&momentum.f_mul_scalar(recipe.momentum)?)?;
                let _ = parameters.f_sub_(&ahead.f_mul_scalar_(rate)?)?;
            } else {
                let _ = parameters.f_sub_(&momentum.f_mul_scalar(rate)?)?;
            }
            Ok(())
        })
    }

    /// All learned numbers, one behind the other.
    pub(super) fn parameters(&self) -> &Tensor {
        &self.parameters
    }

    /// The part of each learned tensor in a vector as long as the parameters, by name.
    pub(super) fn views(&self, of: &Tensor) -> Result<Vec<(String, Tensor)>, TchError> {
        let view = |part: &Part| {
            let (size, stride) = (part.momentum.size(), part.momentum.stride());
            let view = of.f_as_strided(size.as_slice(), stride.as_slice(), part.start)?;
            Ok((part.name.clone(), view))
        };
        self.parts.iter().map(view).collect()
    }

    pub fn momentum(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parts.iter().map(|part| (part.name.as_str(), &part.momentum))
    }

    pub fn momentum_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        self.parts
            .iter_mut()
            .map(|part| (part.name.as_str(), &mut part.momentum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Net;

    fn loss(net: &Net) -> Tensor {
        let batch = Tensor::ones([2, 1, 12, 12], (Kind::Float, Device::Cpu)) * 0.5;
        net.forward(&batch, false).unwrap().square().sum(Kind::Float)
    }

    fn learned(net: &Net) -> Vec<&Named> {
        net.tensors()
            .iter()
            .filter(|named| named.role != Role::Running)
            .collect()
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.detach().reshape([-1])).unwrap()
    }

    /// One tensor after the other, as textbooks write it.
    #[test]
    fn steps_as_the_formula_says() {
        crate::model::tests::one_thread();
        for nesterov in [false, true] {
            let recipe = Recipe {
                nesterov,
                weight_decay: 0.1,
                ..Recipe::default()
            };
            let mut net = Net::new(&crate::model::tests::EVERYTHING.parse().unwrap(), 1).unwrap();
            let before: Vec<_> = learned(&net).iter().map(|named| numbers(&named.tensor)).collect();
            let mut optimizer = Optimizer::new(net.tensors_mut()).unwrap();
            let after: Vec<_> = learned(&net).iter().map(|named| numbers(&named.tensor)).collect();
            assert_eq!(before, after, "moving together changes nothing");
            let mut momenta: Vec<_> = before.iter().map(|values| vec![0.0_f64; values.len()]).collect();
            let mut wanted = before;
            for _ in 0..3 {
                let inputs: Vec<_> = learned(&net).iter().map(|named| &named.tensor).collect();
                let gradients = Tensor::run_backward(&[loss(&net)], &inputs, false, false);
                for (index, named) in learned(&net).iter().enumerate() {
                    let decay = if named.role == Role::Weight { 0.1 } else { 0.0 };
                    for (at, gradient) in numbers(&gradients[index]).iter().enumerate() {
                        let value = f64::from(wanted[index][at]);
                        let gradient = f64::from(*gradient) + decay * value;
                        let momentum = &mut momenta[index][at];
                        *momentum = 0.9 * *momentum + gradient;
                        let step = if nesterov {
                            gradient + 0.9 * *momentum
                        } else {
                            *momentum
                        };
                        wanted[index][at] = (value - 0.01 * step) as f32;
                    }
                }
                optimizer.step(net.tensors(), &loss(&net), 0.01, &recipe).unwrap();
                for (named, wanted) in learned(&net).iter().zip(&mut wanted) {
                    let found = numbers(&named.tensor);
                    for (found, wanted) in found.iter().zip(wanted.iter()) {
                        assert!(
                            (found - wanted).abs() <= 1e-5 * (1.0 + wanted.abs()),
                            "{}: {found} {wanted}",
                            named.name
                        );
                    }
                    *wanted = found;
                }
            }
        }
    }
}
