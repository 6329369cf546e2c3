//! The sandwich rule (Yu and Huang 2019): each step trains the largest network, the smallest and two drawn ones.
//! The largest learns from the labels, the others from labels and from it: what all of a space's networks lie between
//! gets better with every step.

use std::collections::{BTreeMap, BTreeSet};

use ::search::random::{Purpose, generator};
use ::search::space::{Choices, Space};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Reduction, TchError, Tensor};

use super::Supernet;

/// How much the largest network counts against the labels for what the others learn. All of it (BigNAS) needs
/// trainings so long that the teacher's first, empty scores don't count.
const TAUGHT: f64 = 0.5;
/// Drawn networks of a step.
const DRAWN: usize = 2;

/// One batch as networks of each resolution see it.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) pixels: BTreeMap<u32, Tensor>,
    pub(super) labels: Tensor,
}

impl Batch {
    pub(super) fn at(&self, resolution: u32) -> Result<&Tensor, TchError> {
        let pixels = self.pixels.get(&resolution);
        pixels.ok_or_else(|| TchError::Shape(format!("no images of {resolution} pixels")))
    }
}

/// The networks of a step, each once: `ends` (the teacher first) and drawn ones.
pub(super) fn networks(
    space: &Space,
    ends: &[Choices],
    seed: u64,
    step: usize,
    mut draw: impl FnMut(&mut ChaCha8Rng) -> Choices,
) -> Vec<Choices> {
    let mut rng = generator(seed, step as u64, Purpose::Supernet);
    let mut networks = ends.to_vec();
    for _ in 0..DRAWN {
        // What is drawn slot by slot holds options without effect.
        networks.extend(space.canonical(&draw(&mut rng)));
    }
    let mut seen = BTreeSet::new();
    networks.retain(|choices| seen.insert(choices.clone()));
    networks
}

/// The sum of these networks' losses, and the first one's own.
pub(super) fn loss(
    supernet: &Supernet,
    networks: &[Choices],
    batch: &Batch,
    smoothing: f64,
) -> Result<(Tensor, Tensor), TchError> {
    let [teacher, students @ ..] = networks else {
        return Err(TchError::Shape("a step without networks".to_owned()));
    };
    let scores = scores(supernet, teacher, batch)?;
    let own =
        scores.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::Mean, -100, smoothing)?;
    // The teacher is not to come nearer to its students.
    let taught = scores.f_detach()?.f_softmax(1, Kind::Float)?;
    let classes = scores.size()[1];
    let labels = batch.labels.f_one_hot(classes)?.f_to_kind(Kind::Float)?;
    let smoothed = labels
        .f_mul_scalar(1.0 - smoothing)?
        .f_add_scalar(smoothing / classes as f64)?;
    let wanted = smoothed.f_lerp(&taught, TAUGHT)?;
    let mut sum = own.shallow_clone();
    for student in students {
        let found = self::scores(supernet, student, batch)?.f_log_softmax(1, Kind::Float)?;
        let agreement = found.f_mul(&wanted)?.f_sum_dim_intlist(1, false, Kind::Float)?;
        sum = sum.f_sub(&agreement.f_mean(Kind::Float)?)?;
    }
    Ok((sum, own))
}

fn scores(supernet: &Supernet, choices: &Choices, batch: &Batch) -> Result<Tensor, TchError> {
    let net = supernet.part(choices)?;
    net.forward(batch.at(net.architecture().resolution)?, true)
}
