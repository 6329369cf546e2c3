//! A network while it learns: one step at a time, and all that has to be kept to go on later.

use export::Tensor as Numbers;
use tch::{Reduction, TchError, Tensor};

use crate::model::{Net, set_numbers, to_numbers};
use crate::training::optimizer::Optimizer;
use crate::training::{CheckpointError, Recipe, TrainingError};

#[derive(Debug)]
pub struct Learner {
    net: Net,
    optimizer: Optimizer,
}

impl Learner {
    pub fn new(mut net: Net) -> Result<Self, TchError> {
        let optimizer = Optimizer::new(net.tensors_mut())?;
        Ok(Self { net, optimizer })
    }

    /// Learns from a batch of pixels and labels; hands back the loss before the step.
    pub fn step(
        &mut self,
        (pixels, labels): &(Tensor, Tensor),
        rate: f64,
        recipe: &Recipe,
    ) -> Result<Tensor, TchError> {
        let scores = self.net.forward(pixels, true)?;
        let smoothing = recipe.label_smoothing;
        let loss = scores.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, smoothing)?;
        self.optimizer.step(self.net.tensors(), &loss, rate, recipe)?;
        Ok(loss)
    }

    pub fn net(&self) -> &Net {
        &self.net
    }

    pub fn into_net(self) -> Net {
        self.net
    }

    /// By name; momentum under `momentum:NAME`.
    pub fn state(&self) -> Result<Vec<(String, Numbers)>, TchError> {
        let tensors = self.net.tensors().iter();
        let named = tensors.map(|named| (named.name.clone(), &named.tensor));
        let momentum = self.optimizer.momentum();
        let momentum = momentum.map(|(name, tensor)| (format!("momentum:{name}"), tensor));
        named
            .chain(momentum)
            .map(|(name, tensor)| Ok((name, to_numbers(tensor)?)))
            .collect()
    }

    /// Goes on from what [`Self::state`] gave.
    pub fn set_state(&mut self, state: &[(String, Numbers)]) -> Result<(), TrainingError> {
        let tensors = self.net.tensors_mut().iter_mut();
        let named = tensors.map(|named| (named.name.clone(), &mut named.tensor));
        let momentum = self.optimizer.momentum_mut();
        let momentum = momentum.map(|(name, tensor)| (format!("momentum:{name}"), tensor));
        for ((name, tensor), (found, numbers)) in named.chain(momentum).zip(state) {
            if name != *found {
                return Err(CheckpointError::Foreign.into());
            }
            set_numbers(tensor, numbers)?;
        }
        Ok(())
    }
}
