//! What a search has found: the best model and those that no other beats.

use search::latency::LatencyModel;
use search::objective::{self, Point};
use search::space::Architecture;
use serde::Serialize;
use units::Duration;

use super::job::Job;
use super::plan::{Known, Model, Trained};

/// front.json.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Front {
    pub target: String,
    pub bound_p95_us: f64,
    /// How far above its prediction a network may be measured, as a share.
    pub error_bar: f64,
    pub best: Option<Entry>,
    /// Those that no other beats, fastest first.
    #[serde(rename = "front")]
    pub unbeaten: Vec<Entry>,
}

/// A trained model that keeps every bound: as measured, or as predicted with the error bar where nothing could be
/// measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    /// Folder of its files under `trials/`.
    pub name: String,
    pub architecture: Architecture,
    pub sha256: String,
    pub size: u64,
    pub epochs: u32,
    /// Share of the test images it labels right, and of the held-out ones, by which it was chosen.
    pub accuracy: f64,
    pub validation_accuracy: f64,
    pub predicted_p95_us: f64,
    /// `null` when it was not measured.
    pub measured_p95_us: Option<f64>,
}

impl Front {
    pub(super) fn of(job: &Job, latency: &LatencyModel, known: &Known<'_>) -> Self {
        let models = known.trained.iter().filter_map(|(name, trained)| match trained {
            Trained::Model(model) => entry(job, latency, known, name, model).ok(),
            Trained::Failed(_) => None,
        });
        let entries: Vec<Entry> = models.collect();
        let points: Vec<Point> = entries.iter().map(Entry::point).collect();
        // The first of equals by name, so that the order of training doesn't matter.
        let best = (0..points.len()).reduce(|best, next| {
            if points[next].compare(&points[best]).is_gt() {
                next
            } else {
                best
            }
        });
        let unbeaten = objective::front(&points).into_iter();
        Self {
            target: job.target.clone(),
            bound_p95_us: job.constraints.latency_p95_us,
            error_bar: latency.error_bar(),
            best: best.map(|index| entries[index].clone()),
            unbeaten: unbeaten.map(|index| entries[index].clone()).collect(),
        }
    }
}

impl Entry {
    /// Held-out images judge, so that the test images stay unseen.
    fn point(&self) -> Point {
        Point {
            accuracy: self.validation_accuracy,
            latency_p95_us: self.measured_p95_us.unwrap_or(self.predicted_p95_us),
            model_bytes: self.size,
            feasible: true,
        }
    }
}

/// Why there is no best model.
pub(super) fn nothing(job: &Job, latency: &LatencyModel, known: &Known<'_>) -> String {
    let failed = |(name, trained): (&String, &Trained)| match trained {
        Trained::Model(model) => entry(job, latency, known, name, model).err(),
        Trained::Failed(reason) => Some(format!("{name}: {reason}")),
    };
    match known.trained.iter().find_map(failed) {
        Some(reason) => format!("no trained model keeps every bound: {reason}"),
        None => "no candidate keeps its bound as measured".to_owned(),
    }
}

/// The model, or the bound it breaks.
fn entry(
    job: &Job,
    latency: &LatencyModel,
    known: &Known<'_>,
    name: &str,
    model: &Model,
) -> Result<Entry, String> {
    let bound = job.constraints.latency_p95_us;
    let predicted = latency
        .predict(&model.architecture)
        .map_err(|error| error.to_string())?;
    let measured = match known.files.get(&model.sha256) {
        Some(Ok(p95_us)) if *p95_us > bound => {
            return Err(over(
                &model.architecture,
                *p95_us,
                bound,
                "measured after training",
            ));
        }
        Some(Ok(p95_us)) => Some(*p95_us),
        Some(Err(reason)) => return Err(format!("its file can't be measured: {reason}")),
        None if known.measures => return Err("its file is not measured yet".to_owned()),
        None => None,
    };
    if let Some(most) = job.constraints.model_bytes.filter(|most| model.size > *most) {
        return Err(format!(
            "architecture {}: its file has {} bytes, {} more than the bound",
            model.architecture.id(),
            model.size,
            model.size - most
        ));
    }
    Ok(Entry {
        name: name.to_owned(),
        architecture: model.architecture.clone(),
        sha256: model.sha256.clone(),
        size: model.size,
        epochs: model.metrics.epochs,
        accuracy: model.metrics.accuracy,
        validation_accuracy: model.metrics.validation_accuracy,
        predicted_p95_us: predicted.p95_us,
        measured_p95_us: measured,
    })
}

/// How a measured network misses its bound, for people.
pub(super) fn over(architecture: &Architecture, p95_us: f64, bound_us: f64, when: &str) -> String {
    format!(
        "architecture {}, {when} {}, is {:.1} % above the bound of {}",
        architecture.id(),
        span(p95_us),
        (p95_us / bound_us - 1.0) * 100.0,
        span(bound_us)
    )
}

pub(super) fn span(us: f64) -> Duration {
    Duration::from_micros(us.max(0.0).round() as u64)
}
