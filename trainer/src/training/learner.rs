//! A network while it learns: one step at a time, and all that has to be kept to go on later.

use export::Tensor as Numbers;
use tch::{Reduction, TchError, Tensor};

use crate::model::{Named, Net, set_numbers, to_numbers};
use crate::training::average::Average;
use crate::training::optimizer::Optimizer;
use crate::training::{CheckpointError, Recipe, TrainingError};

#[derive(Debug)]
pub struct Learner {
    net: Net,
    optimizer: Optimizer,
    average: Option<Average>,
}

impl Learner {
    pub fn new(mut net: Net) -> Result<Self, TchError> {
        let optimizer = Optimizer::new(net.tensors_mut())?;
        Ok(Self {
            net,
            optimizer,
            average: None,
        })
    }

    /// Keeps a moving average of the network from here on.
    pub fn averaging(mut self) -> Result<Self, TchError> {
        self.average = Some(Average::new(self.net.tensors(), &self.optimizer)?);
        Ok(self)
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

    /// Takes the network as it is into the average, where it counts this share.
    pub fn average(&mut self, share: f64) -> Result<(), TchError> {
        let Self {
            net,
            optimizer,
            average,
        } = self;
        average
            .as_mut()
            .map_or(Ok(()), |average| average.take(net.tensors(), optimizer, share))
    }

    /// Puts the average, if there is one, in the network's place, and back when called again.
    pub fn swap_average(&mut self) -> Result<(), TchError> {
        let Self { net, average, .. } = self;
        average
            .as_mut()
            .map_or(Ok(()), |average| average.swap(net.tensors_mut()))
    }

    pub fn net(&self) -> &Net {
        &self.net
    }

    pub fn into_net(self) -> Net {
        self.net
    }

    /// By name; momentum under `momentum:NAME`, the average under `average:NAME`.
    pub fn state(&self) -> Result<Vec<(String, Numbers)>, TchError> {
        let mut state = state(self.net.tensors(), &self.optimizer)?;
        for (name, tensor) in self.average.iter().flat_map(Average::state) {
            state.push((format!("{AVERAGE}{name}"), to_numbers(tensor)?));
        }
        Ok(state)
    }

    /// Goes on from what [`Self::state`] gave.
    pub fn set_state(&mut self, state: &[(String, Numbers)]) -> Result<(), TrainingError> {
        let average = self.average.iter_mut().flat_map(Average::state_mut);
        let average = average.map(|(name, tensor)| (format!("{AVERAGE}{name}"), tensor));
        set_state(self.net.tensors_mut(), &mut self.optimizer, average, state)
    }
}

/// Before the name of a tensor's average.
pub(super) const AVERAGE: &str = "average:";
/// Before the name of a tensor's momentum.
pub(super) const MOMENTUM: &str = "momentum:";

/// All that tensors have learned and how they move.
pub(crate) fn state(tensors: &[Named], optimizer: &Optimizer) -> Result<Vec<(String, Numbers)>, TchError> {
    let named = tensors.iter().map(|named| (named.name.clone(), &named.tensor));
    let momentum = optimizer.momentum();
    let momentum = momentum.map(|(name, tensor)| (format!("{MOMENTUM}{name}"), tensor));
    named
        .chain(momentum)
        .map(|(name, tensor)| Ok((name, to_numbers(tensor)?)))
        .collect()
}

/// Goes on from what [`state`] gave, with further tensors behind it.
pub(crate) fn set_state<'a>(
    tensors: &'a mut [Named],
    optimizer: &'a mut Optimizer,
    further: impl Iterator<Item = (String, &'a mut Tensor)>,
    state: &[(String, Numbers)],
) -> Result<(), TrainingError> {
    let named = tensors
        .iter_mut()
        .map(|named| (named.name.clone(), &mut named.tensor));
    let momentum = optimizer.momentum_mut();
    let momentum = momentum.map(|(name, tensor)| (format!("{MOMENTUM}{name}"), tensor));
    let mut state = state.iter();
    for (name, tensor) in named.chain(momentum).chain(further) {
        let Some((_, numbers)) = state.next().filter(|(found, _)| *found == name) else {
            return Err(CheckpointError::Foreign.into());
        };
        set_numbers(tensor, numbers)?;
    }
    Ok(())
}
