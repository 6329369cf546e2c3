//! Which candidates are worth training to the end.

use super::Study;
use crate::space::{Architecture, Choices};
use crate::trial::{Estimate, Feedback, Trial, TrialId, TrialRecord};

/// A candidate for training.
#[derive(Debug, Clone, PartialEq)]
pub struct Finalist {
    pub trial: TrialId,
    pub architecture: Architecture,
    pub estimate: Estimate,
    /// Its last measurement as a whole on a device of the target.
    pub measured_p95_us: Option<f64>,
}

/// How much a network can learn, without training it: the geometric mean of its work and its parameters.
///
/// Networks of one family under one bound rank by size roughly as they rank by accuracy; work alone prefers
/// early layers and few parameters, parameters alone late layers. No substitute for an accuracy: told
/// accuracies come first.
pub fn capacity(estimate: &Estimate) -> f64 {
    (estimate.macs as f64 * estimate.parameters as f64).sqrt()
}

pub(super) fn choose(study: &Study, target: usize, n: usize) -> Vec<Finalist> {
    let Some(bounds) = study.targets.get(target).map(|t| t.constraints) else {
        return Vec::new();
    };
    let mut ranked = Vec::new();
    for record in study.records() {
        let Some(trial) = study
            .trial(record.id)
            .filter(|trial| trial.feasible.get(target) == Some(&true))
        else {
            continue;
        };
        let known = Known::of(record, target);
        if !known.failed
            && known
                .measured_p95_us
                .is_none_or(|p95| p95 <= bounds.latency_p95_us)
        {
            ranked.push((trial, known));
        }
    }
    ranked.sort_by(|(a, a_known), (b, b_known)| {
        // No accuracy counts less than any.
        let accuracy = |known: &Known| known.accuracy.unwrap_or(-1.0);
        let capacity = |trial: &Trial| trial.estimates.get(target).map_or(0.0, capacity);
        accuracy(b_known)
            .total_cmp(&accuracy(a_known))
            .then(capacity(b).total_cmp(&capacity(a)))
            .then(a.id.cmp(&b.id))
    });
    let choices: Vec<_> = ranked.iter().map(|(trial, _)| &trial.choices).collect();
    let finalist = |index: usize| {
        let (trial, known) = &ranked[index];
        Some(Finalist {
            trial: trial.id,
            architecture: trial.architecture.clone(),
            estimate: *trial.estimates.get(target)?,
            measured_p95_us: known.measured_p95_us,
        })
    };
    diverse(&choices, n).into_iter().filter_map(finalist).collect()
}

pub(super) fn shortlist(
    study: &Study,
    target: usize,
    n: usize,
    most: usize,
) -> Result<Vec<(Architecture, Estimate)>, String> {
    let bounds = study.targets.get(target).map(|target| &target.constraints);
    let (Some(nearest), Some(bounds)) = (study.nearest(target), bounds) else {
        return Err("the search space holds no architecture".to_owned());
    };
    let last = (nearest.architecture.clone(), nearest.estimate);
    if nearest.is_undecided(bounds) {
        return Ok(vec![last]);
    }
    if !nearest.is_feasible() {
        return Err(nearest.explain());
    }
    let ranked = choose(study, target, n)
        .into_iter()
        .chain(choose(study, target, most));
    let ranked = ranked.map(|finalist| (finalist.architecture, finalist.estimate));
    let mut candidates: Vec<(Architecture, Estimate)> = Vec::new();
    for next in ranked.chain(std::iter::once(last)) {
        if candidates.iter().all(|(known, _)| *known != next.0) {
            candidates.push(next);
        }
    }
    Ok(candidates)
}

/// What was told about a trial, as far as it concerns a target.
#[derive(Debug, Default)]
struct Known {
    measured_p95_us: Option<f64>,
    accuracy: Option<f64>,
    failed: bool,
}

impl Known {
    fn of(record: &TrialRecord, of_target: usize) -> Self {
        let mut known = Self::default();
        for feedback in &record.feedback {
            match feedback {
                Feedback::Measured { target, p95_us } if *target == of_target => {
                    known.measured_p95_us = Some(*p95_us);
                }
                Feedback::Evaluated { accuracy } => known.accuracy = Some(*accuracy),
                Feedback::Failed { .. } => known.failed = true,
                Feedback::Measured { .. } | Feedback::Gradients { .. } => {}
            }
        }
        known
    }
}

/// Indices of `n` of the ranked points, best first; near twins of a taken one only when nothing else is left,
/// since they would be beaten or kept together.
fn diverse(ranked: &[&Choices], n: usize) -> Vec<usize> {
    const DISTANCE: usize = 3;
    let mut taken: Vec<usize> = Vec::new();
    for apart in [DISTANCE, 1] {
        for (index, choices) in ranked.iter().enumerate() {
            if taken.len() < n
                && taken
                    .iter()
                    .all(|other| choices.distance(ranked[*other]) >= apart)
            {
                taken.push(index);
            }
        }
    }
    taken.sort_unstable();
    taken
}
