//! A moving average of all that a network has learned: as a rule more accurate than where the last step left it.

use tch::{TchError, Tensor, no_grad};

use crate::model::{Named, Role, copy};
use crate::training::optimizer::Optimizer;

#[derive(Debug)]
pub(super) struct Average {
    learned: Tensor,
    /// Views of each learned tensor's part, by name.
    parts: Vec<(String, Tensor)>,
    /// Statistics of normalisation, which belong to the weights.
    running: Vec<(String, Tensor)>,
}

impl Average {
    /// Starts where the network stands.
    pub(super) fn new(tensors: &[Named], optimizer: &Optimizer) -> Result<Self, TchError> {
        let learned = copy(optimizer.parameters())?;
        let statistics = followed(tensors).map(|named| Ok((named.name.clone(), copy(&named.tensor)?)));
        Ok(Self {
            parts: optimizer.views(&learned)?,
            running: statistics.collect::<Result<_, TchError>>()?,
            learned,
        })
    }

    /// Takes in the network as it is, which then counts this share.
    pub(super) fn take(
        &mut self,
        tensors: &[Named],
        optimizer: &Optimizer,
        share: f64,
    ) -> Result<(), TchError> {
        no_grad(|| {
            let _ = self.learned.f_lerp_(optimizer.parameters(), share)?;
            for ((_, mean), named) in self.running.iter_mut().zip(followed(tensors)) {
                let _ = mean.f_lerp_(&named.tensor, share)?;
            }
            Ok(())
        })
    }

    /// Puts the average in the network's place, and the network in the average's; twice changes nothing.
    pub(super) fn swap(&mut self, tensors: &mut [Named]) -> Result<(), TchError> {
        let all = self.parts.iter_mut().chain(&mut self.running);
        no_grad(|| {
            for (name, mean) in all {
                let Some(named) = tensors.iter_mut().find(|named| named.name == *name) else {
                    continue;
                };
                let before = copy(&named.tensor)?;
                named.tensor.f_copy_(mean)?;
                mean.f_copy_(&before)?;
            }
            Ok(())
        })
    }

    pub(super) fn state(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let all = self.parts.iter().chain(&self.running);
        all.map(|(name, tensor)| (name.as_str(), tensor))
    }

    pub(super) fn state_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        let all = self.parts.iter_mut().chain(&mut self.running);
        all.map(|(name, tensor)| (name.as_str(), tensor))
    }
}

fn followed(tensors: &[Named]) -> impl Iterator<Item = &Named> {
    tensors.iter().filter(|named| named.role == Role::Running)
}
