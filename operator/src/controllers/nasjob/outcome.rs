//! How a search ended: kept in its row, so that a finished job stays finished whatever else changes.

use std::collections::BTreeMap;

use crds::nasjob::SearchProgress;
use search::objective::front;
use serde::{Deserialize, Serialize};

use super::select::{Pick, Selection, Verdict, Verified};
use super::shortlist::{Ranking, Shortlist, span};
use crate::store::models::{Latency, Model};

/// Points of a front kept in a status.
const MOST_POINTS: usize = 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub succeeded: bool,
    /// CamelCase.
    pub reason: String,
    pub message: String,
    #[serde(default)]
    pub targets: Vec<TargetOutcome>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetOutcome {
    pub name: String,
    pub class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchProgress>,
    pub best: Option<Point>,
    /// Why there is no best one.
    pub problem: Option<Problem>,
    #[serde(default)]
    pub front: Vec<Point>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    pub reason: String,
    pub message: String,
}

/// A model that holds every bound as measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    pub model: String,
    pub architecture: String,
    pub size: u64,
    pub accuracy: f64,
    pub predicted_p95_us: f64,
    pub measured_p95_us: f64,
}

pub const INFEASIBLE: &str = "Infeasible";
pub const TRAINING_FAILED: &str = "TrainingFailed";

impl Outcome {
    pub fn failed(reason: &str, message: String) -> Self {
        Self {
            succeeded: false,
            reason: reason.to_owned(),
            message,
            targets: Vec::new(),
        }
    }

    /// Once every pick has its verdict.
    pub fn of(shortlist: &Shortlist, selections: &[Selection<'_>]) -> Self {
        let targets: Vec<_> = shortlist
            .targets
            .iter()
            .zip(selections)
            .map(|(r, s)| target(r, s))
            .collect();
        let problems: BTreeMap<&str, String> = targets.iter().fold(BTreeMap::new(), |mut all, target| {
            if let Some(Problem { reason, message }) = &target.problem {
                let text: &mut String = all.entry(reason.as_str()).or_default();
                if !text.is_empty() {
                    text.push_str("; ");
                }
                for part in ["target ", &target.name, ": ", message] {
                    text.push_str(part);
                }
            }
            all
        });
        // A failed training says less about the bounds than an infeasible one, so it is told first.
        let worst = problems
            .get_key_value(TRAINING_FAILED)
            .or_else(|| problems.iter().next());
        if let Some((reason, message)) = worst {
            let (reason, message) = ((*reason).to_owned(), message.clone());
            return Self {
                succeeded: false,
                reason,
                message,
                targets,
            };
        }
        let message = targets.iter().filter_map(selected).collect::<Vec<_>>().join("; ");
        Self {
            succeeded: true,
            reason: "ModelSelected".to_owned(),
            message,
            targets,
        }
    }
}

/// One line on the target's best model.
pub fn selected(target: &TargetOutcome) -> Option<String> {
    let best = target.best.as_ref()?;
    Some(format!(
        "{}: {:.1} % at {}",
        target.name,
        best.accuracy * 100.0,
        span(best.measured_p95_us)
    ))
}

/// Every trained model that was measured, with its latency on the target's class.
pub fn models(job: &str, shortlist: &Shortlist, selections: &[Selection<'_>]) -> Vec<(Model, Latency)> {
    let rows = shortlist
        .targets
        .iter()
        .zip(selections)
        .flat_map(|(ranking, selection)| {
            selection.picks.iter().filter_map(move |pick| {
                let Verdict::Holds(verified) = &pick.verdict else {
                    return None;
                };
                let model = Model {
                    sha256: verified.model.clone(),
                    size: verified.size,
                    nas_job: Some(job.to_owned()),
                    architecture: serde_json::to_value(&pick.candidate.architecture).ok(),
                    accuracy: Some(verified.metrics.accuracy),
                    metrics: serde_json::to_value(&verified.metrics).ok(),
                };
                let latency = Latency {
                    sha256: verified.model.clone(),
                    class: ranking.class.parse().ok()?,
                    runtime_hash: ranking.runtime_hash.clone(),
                    predicted_p95_us: Some(pick.candidate.predicted_p95_us),
                    measured_p95_us: verified.measured_p95_us,
                };
                Some((model, latency))
            })
        });
    rows.collect()
}

fn target(ranking: &Ranking, selection: &Selection<'_>) -> TargetOutcome {
    let holding: Vec<_> = selection
        .picks
        .iter()
        .filter_map(|pick| match &pick.verdict {
            Verdict::Holds(verified) => Some((pick, verified)),
            _ => None,
        })
        .collect();
    // The first of equals: the ranking decides. Held-out images judge, so that the test images stay unseen.
    let best = holding.iter().copied().reduce(|best, next| {
        if next.1.point(true).compare(&best.1.point(true)).is_gt() {
            next
        } else {
            best
        }
    });
    let points: Vec<_> = holding.iter().map(|(_, verified)| verified.point(true)).collect();
    let front = front(&points)
        .into_iter()
        .take(MOST_POINTS)
        .filter_map(|index| holding.get(index));
    TargetOutcome {
        name: ranking.target.clone(),
        class: ranking.class.clone(),
        search: ranking.search.clone(),
        problem: best.is_none().then(|| problem(ranking, selection)),
        best: best.map(|(pick, verified)| point(pick, verified)),
        front: front.map(|(pick, verified)| point(pick, verified)).collect(),
    }
}

fn point(pick: &Pick<'_>, verified: &Verified) -> Point {
    Point {
        model: verified.model.to_string(),
        architecture: pick.candidate.architecture.to_string(),
        size: verified.size,
        accuracy: verified.metrics.accuracy,
        predicted_p95_us: pick.candidate.predicted_p95_us,
        measured_p95_us: verified.measured_p95_us,
    }
}

/// Why a target has no model: no architecture fits, none held its bound when measured, or none could be trained.
pub fn problem(ranking: &Ranking, selection: &Selection<'_>) -> Problem {
    let infeasible = |message: String| Problem {
        reason: INFEASIBLE.to_owned(),
        message,
    };
    if let Some(message) = &ranking.infeasible {
        return infeasible(message.clone());
    }
    if let Some(miss) = &selection.nearest {
        return infeasible(format!(
            "none of {} candidates holds every bound as measured; the nearest: {}",
            ranking.candidates.len(),
            miss.text
        ));
    }
    let failure = selection.picks.iter().rev().find_map(|pick| match &pick.verdict {
        Verdict::Failed(code, message) => Some(format!("{code}: {message}")),
        _ => None,
    });
    match failure {
        Some(failure) => Problem {
            reason: TRAINING_FAILED.to_owned(),
            message: format!("no candidate could be trained; the last failure is {failure}"),
        },
        None => infeasible("no candidate could be measured whole on a device".to_owned()),
    }
}
