//! The search itself: from a full profile to a ranked list of candidates for each target.
//!
//! Pure and deterministic in spec, seed and profile; the list is kept, so that the search is done once. Each
//! target gets its own budget of candidates: one of a strict bound isn't starved by one of a loose bound.

use std::collections::BTreeMap;

use export::OnnxFile;
use protocol::profile::FileContent;
use search::constraint::Constraints;
use search::latency::{Latency, LatencyModel, calibration_nets};
use search::space::{Architecture, Space};
use search::study::{Study, StudyError, Target as StudyTarget};
use search::trial::Estimate;
use serde::{Deserialize, Serialize};
use units::Duration;

use super::facts::{Facts, Place, Table};
use super::measure::{Known, Wanted, known};
use super::validate::{Target, Validated};

/// Whole networks a latency model is calibrated on.
const CALIBRATION_NETS: usize = 10;
/// The share of the bound that predictions may use, where the space allows it: a measured net is seldom faster
/// than predicted by chance, and what is chosen must still hold when its trained file is measured.
const HEADROOM: f64 = 0.95;
/// Longest list kept for a target.
const MOST_CANDIDATES: usize = 200;

/// What the search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortlist {
    pub targets: Vec<Ranking>,
}

/// The candidates of one target, the most promising first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ranking {
    pub target: String,
    pub class: String,
    pub runtime_hash: String,
    pub candidates: Vec<Candidate>,
    /// The best the space can do, if even that breaks a bound: how.
    pub infeasible: Option<String>,
    /// How far the latency model is off on whole networks, as a share: before and after its calibration.
    pub error_before: f64,
    pub error: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    pub architecture: Architecture,
    pub predicted_p95_us: f64,
}

impl Ranking {
    pub fn place(&self) -> Place {
        Place {
            class: self.class.clone(),
            runtime_hash: self.runtime_hash.clone(),
        }
    }
}

/// The files a place has to measure before its targets can be searched for.
pub fn files(v: &Validated) -> Vec<Wanted> {
    let blocks = v
        .space
        .block_keys()
        .into_iter()
        .map(|key| wanted(key.to_string(), export::profile_block(&key)));
    let nets = calibration(&v.space, v.seed)
        .into_iter()
        .map(|net| net_file(&net, None));
    blocks.chain(nets).flatten().collect()
}

/// A whole network without weights; `bound_us`: what it is held against.
pub fn net_file(net: &Architecture, bound_us: Option<f64>) -> Option<Wanted> {
    let file = wanted(net_key(net), export::profile_net(net))?;
    Some(Wanted { bound_us, ..file })
}

pub fn net_key(net: &Architecture) -> String {
    format!("net-{}", net.id())
}

/// `places`: one for each target.
pub fn search(v: &Validated, facts: &Facts, places: &[Place]) -> Result<Shortlist, StudyError> {
    let mut models: BTreeMap<&Place, (LatencyModel, f64, f64)> = BTreeMap::new();
    for place in places {
        let empty = Table::default();
        let table = facts.tables.get(place).unwrap_or(&empty);
        models.entry(place).or_insert_with(|| latency_model(v, table));
    }
    let rank = |(target, place): (&Target, &Place)| {
        let (model, error_before, error) = models.get(place).cloned().unwrap_or_default();
        let (candidates, infeasible) = rank(v, target, &model)?;
        Ok(Ranking {
            target: target.name.clone(),
            class: place.class.clone(),
            runtime_hash: place.runtime_hash.clone(),
            candidates,
            infeasible,
            error_before,
            error,
        })
    };
    Ok(Shortlist {
        targets: v
            .targets
            .iter()
            .zip(places)
            .map(rank)
            .collect::<Result<_, StudyError>>()?,
    })
}

pub fn calibration(space: &Space, seed: u64) -> Vec<Architecture> {
    calibration_nets(space, CALIBRATION_NETS, seed)
}

fn wanted(key: String, file: OnnxFile) -> Option<Wanted> {
    let OnnxFile { bytes, sha256 } = file;
    Some(Wanted {
        key,
        sha256: sha256.parse().ok()?,
        content: FileContent::Onnx(bytes),
        bound_us: None,
    })
}

/// The model of a place, and how far it is off before and after its calibration.
fn latency_model(v: &Validated, table: &Table) -> (LatencyModel, f64, f64) {
    let latency = |file: Option<Wanted>| match known(table, &file?.sha256, None) {
        Known::Measured(row) => Some(Latency {
            p50_us: row.p50_us,
            p95_us: row.p95_us,
        }),
        Known::Missing | Known::Hopeless(_) => None,
    };
    let blocks = v.space.block_keys().into_iter();
    let mut model = LatencyModel::new(blocks.filter_map(|key| {
        Some((
            key,
            latency(wanted(key.to_string(), export::profile_block(&key)))?,
        ))
    }));
    let nets: Vec<_> = calibration(&v.space, v.seed)
        .into_iter()
        .filter_map(|net| latency(net_file(&net, None)).map(|measured| (net, measured)))
        .collect();
    match model.calibrate(&nets) {
        Ok(fit) => (model, fit.mape_before, fit.mape_after),
        // Without whole networks the sum of the blocks has to do; the finalists are measured anyway.
        Err(_) => (model, 0.0, 0.0),
    }
}

fn rank(
    v: &Validated,
    target: &Target,
    model: &LatencyModel,
) -> Result<(Vec<Candidate>, Option<String>), StudyError> {
    let study = |latency_p95_us| {
        let constraints = Constraints {
            latency_p95_us,
            ..target.constraints
        };
        let target = StudyTarget {
            name: target.name.clone(),
            constraints,
            latency: model.clone(),
        };
        Study::new(v.space.clone(), vec![target], &v.strategy, v.candidates, v.seed)
    };
    let bound_us = target.constraints.latency_p95_us;
    let mut found = study(bound_us * HEADROOM)?;
    if found.nearest(0).is_none_or(|nearest| !nearest.is_feasible()) {
        found = study(bound_us)?;
    }
    let Some(nearest) = found.nearest(0).cloned() else {
        return Ok((
            Vec::new(),
            Some("the search space holds no architecture".to_owned()),
        ));
    };
    if !nearest.is_feasible() {
        let broken: Vec<_> = nearest.violations.iter().map(ToString::to_string).collect();
        let text = format!(
            "even the nearest architecture of the space misses: {} (predicted for {})",
            broken.join("; "),
            name(&nearest.architecture)
        );
        return Ok((Vec::new(), Some(text)));
    }
    found.run();
    let candidate = |architecture: Architecture, estimate: Estimate| Candidate {
        architecture,
        predicted_p95_us: estimate.p95_us,
    };
    // First the finalists, which differ from each other; then the others in order; last the one that fits best.
    let ranked = found
        .finalists(0, v.finalists)
        .into_iter()
        .chain(found.finalists(0, MOST_CANDIDATES));
    let ranked = ranked.map(|f| candidate(f.architecture, f.estimate));
    let last = candidate(nearest.architecture, nearest.estimate);
    let mut candidates: Vec<Candidate> = Vec::new();
    for next in ranked.chain(std::iter::once(last)) {
        if candidates.iter().all(|c| c.architecture != next.architecture) {
            candidates.push(next);
        }
    }
    Ok((candidates, None))
}

/// An architecture for people: its id, which stands in the profile's keys too.
pub fn name(architecture: &Architecture) -> String {
    format!("architecture {}", architecture.id())
}

pub fn span(us: f64) -> Duration {
    Duration::from_micros(us.max(0.0).round() as u64)
}
