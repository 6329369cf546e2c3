//! How a strategy's gates are trained on the supernet, in turn with its weights.
//!
//! The weights go on by the sandwich rule, with the drawn networks drawn by the gates; every few of those steps the
//! gates take one on held-out images. ProxylessNAS trains weights on a single path and FBNet under the masks
//! themselves: by the sandwich the weights stay those of single networks, which are judged in the end.

use ::search::gates::{Adam, Gates, binary as binary_gates, gumbel, option};
use ::search::latency::expected::ExpectedLatency;
use ::search::random::{Purpose, generator};
use ::search::space::Choices;
use ::search::strategies::{FbnetConfig, GateGradient, ProxylessConfig, StrategyConfig};
use rand_chacha::ChaCha8Rng;
use tch::{Reduction, TchError, Tensor};

use super::Supernet;
use super::binary::{self, Draw};
use super::elastic::Cut;
use super::mixture;
use super::sandwich::Batch;

/// What trains the gates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Method {
    /// Nothing: every network is as good as another before it is judged.
    Even,
    Binary(ProxylessConfig),
    Gumbel(FbnetConfig),
}

/// Adam as ProxylessNAS and FBNet set it, but with larger steps: a search here takes hundreds of them where theirs
/// took tens of thousands, and the gates have as far to go.
const BINARY: Adam = Adam {
    rate: 0.05,
    betas: (0.0, 0.999),
};
const GUMBEL: Adam = Adam {
    rate: 0.05,
    betas: (0.9, 0.999),
};
/// Pull of FBNet's logits towards zero.
const DECAY: f64 = 5e-4;
/// Epochs of FBNet's schedule, which is stretched over the epochs there are.
const SCHEDULE: f64 = 90.0;

impl Method {
    /// `None` for a strategy that needs no supernet.
    pub(super) fn of(strategy: &StrategyConfig) -> Option<Self> {
        match strategy {
            StrategyConfig::Random(_) => Some(Self::Even),
            StrategyConfig::Proxyless(config) => Some(Self::Binary(*config)),
            StrategyConfig::Fbnet(config) => Some(Self::Gumbel(*config)),
            StrategyConfig::Evolution(_)
            | StrategyConfig::Mnasnet(_)
            | StrategyConfig::CompoundScaling(_) => None,
        }
    }

    /// Share of the epochs in which only weights are trained: 40 of ProxylessNAS's 120, 10 of FBNet's 90.
    pub(super) fn warm_up(&self) -> f64 {
        match self {
            Self::Even => 1.0,
            Self::Binary(_) => 40.0 / 120.0,
            Self::Gumbel(_) => 10.0 / 90.0,
        }
    }

    /// Steps of the weights for each of the gates.
    pub(super) fn every(&self) -> usize {
        match self {
            Self::Even | Self::Binary(_) => 5,
            Self::Gumbel(_) => 4,
        }
    }
}

/// What one step of the gates needs to know.
pub(super) struct Setting<'a> {
    pub(super) supernet: &'a Supernet,
    pub(super) expected: &'a ExpectedLatency,
    pub(super) bound_us: f64,
    pub(super) seed: u64,
}

/// Moves the gates; hands back the loss on the batch. `done` is the share of the search behind it.
pub(super) fn step(
    method: &Method,
    setting: &Setting<'_>,
    gates: &mut Gates,
    batch: &Batch,
    (step, done): (usize, f64),
) -> Result<f64, TchError> {
    let mut rng = generator(setting.seed, step as u64, Purpose::Gates);
    match method {
        Method::Even => Ok(0.0),
        Method::Binary(config) => binary_step(config, setting, gates, batch, &mut rng),
        Method::Gumbel(config) => {
            let temperature = config.temperature(SCHEDULE * done);
            gumbel_step(config, temperature, setting, gates, batch, &mut rng)
        }
    }
}

fn binary_step(
    config: &ProxylessConfig,
    setting: &Setting<'_>,
    gates: &mut Gates,
    batch: &Batch,
    rng: &mut ChaCha8Rng,
) -> Result<f64, TchError> {
    let probabilities = gates.all();
    let latency = setting.expected.at(&probabilities);
    let slope = config.latency_slope(latency.p95_us / setting.bound_us) / setting.bound_us;
    let draw = draw(&probabilities, config.gradient, rng);
    let found = binary::gradients(setting.supernet, &draw, batch)?;
    for (slot, mut sampled) in found.gates.into_iter().enumerate() {
        for (option, gradient) in &mut sampled {
            *gradient += slope * latency.gradient[slot][*option];
        }
        if !sampled.is_empty() {
            gates.descend_sampled(slot, &sampled, &BINARY);
        }
    }
    Ok(found.loss)
}

/// Two options of each slot by their probability, or all; one of them is open.
fn draw(probabilities: &[Vec<f64>], gradient: GateGradient, rng: &mut ChaCha8Rng) -> Draw {
    let mut open = Vec::with_capacity(probabilities.len());
    let mut sampled = Vec::with_capacity(probabilities.len());
    for p in probabilities {
        let options = match gradient {
            GateGradient::Full => (0..p.len()).collect(),
            GateGradient::TwoPath => pair(p, rng),
        };
        let among = binary_gates::among(p, options.iter().copied()).unwrap_or_default();
        let place = usize::from(option(&among, rng));
        open.push(options.get(place).map_or(0, |option| *option as u8));
        sampled.push(options);
    }
    Draw {
        open: Choices(open),
        sampled,
    }
}

/// Two different options, or the only one there is.
fn pair(p: &[f64], rng: &mut ChaCha8Rng) -> Vec<usize> {
    let first = usize::from(option(p, rng));
    let others: Vec<usize> = (0..p.len()).filter(|option| *option != first).collect();
    let Some(among) = binary_gates::among(p, others.iter().copied()) else {
        return vec![first];
    };
    let second = others.get(usize::from(option(&among, rng)));
    [first].into_iter().chain(second.copied()).collect()
}

fn gumbel_step(
    config: &FbnetConfig,
    temperature: f64,
    setting: &Setting<'_>,
    gates: &mut Gates,
    batch: &Batch,
    rng: &mut ChaCha8Rng,
) -> Result<f64, TchError> {
    let mask = |slot: usize| {
        let logits = gates.logits(slot);
        gumbel::mask(logits, &gumbel::noise(logits.len(), rng), temperature)
    };
    let masks: Vec<Vec<f64>> = (0..gates.slots()).map(mask).collect();
    let latency = setting.expected.at(&masks);
    let (loss, of_masks) = mask_gradients(setting.supernet, &masks, batch)?;
    let (by_entropy, by_latency) = config.slopes(loss, latency.p95_us / setting.bound_us);
    for (slot, mask) in masks.iter().enumerate().filter(|(_, mask)| mask.len() > 1) {
        let both = of_masks[slot].iter().zip(&latency.gradient[slot]);
        let of_mask: Vec<f64> = both
            .map(|(entropy, latency)| by_entropy * entropy + by_latency / setting.bound_us * latency)
            .collect();
        let mut gradient = gumbel::gradient(mask, &of_mask, temperature);
        for (gradient, logit) in gradient.iter_mut().zip(gates.logits(slot)) {
            *gradient += DECAY * logit;
        }
        gates.descend(slot, &gradient, &GUMBEL);
    }
    Ok(loss)
}

/// The cross-entropy under these masks and how it changes with each.
pub(super) fn mask_gradients(
    supernet: &Supernet,
    masks: &[Vec<f64>],
    batch: &Batch,
) -> Result<(f64, Vec<Vec<f64>>), TchError> {
    let tensor = |mask: &Vec<f64>| {
        let numbers: Vec<f32> = mask.iter().map(|value| *value as f32).collect();
        Tensor::f_from_slice(&numbers)?.f_set_requires_grad(true)
    };
    let tensors: Vec<Tensor> = masks.iter().map(tensor).collect::<Result<_, _>>()?;
    let scores = mixture::scores(supernet, &tensors, Cut::Frozen, batch)?;
    let loss = scores.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?;
    let found = Tensor::f_run_backward(&[&loss], &tensors, false, false)?;
    let numbers = |tensor: &Tensor| -> Result<Vec<f64>, TchError> {
        let numbers = Vec::<f32>::try_from(tensor)?;
        Ok(numbers.into_iter().map(f64::from).collect())
    };
    let gradients = found.iter().map(numbers).collect::<Result<_, TchError>>()?;
    Ok((loss.f_double_value(&[])?, gradients))
}

#[cfg(test)]
mod tests;
