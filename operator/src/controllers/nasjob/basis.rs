//! What a search goes by: where each target's latencies hold, and the latency model made of them.
//!
//! A search that trains while it chooses keeps its basis: a file that is measured again meanwhile must not change
//! what earlier candidates were judged by.

use std::collections::BTreeMap;

use search::latency::{CALIBRATION_NETS, Latency, LatencyModel, calibration_nets};
use search::space::{Architecture, Space};
use search::study::{Study, StudyError, Target as StudyTarget};
use search::trial::TrialRecord;
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Place, Table};
use super::measure::{Known, Wanted, known};
use super::shortlist::{block_file, net_file};
use super::validate::{Target, Validated};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Basis {
    pub targets: Vec<TargetBasis>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetBasis {
    pub target: String,
    pub class: String,
    pub runtime_hash: String,
    pub latency: LatencyModel,
    /// How far the model is off on whole networks, as a share: before and after its calibration.
    pub error_before: f64,
    pub error: f64,
}

impl Basis {
    /// `places`: one for each target.
    pub fn of(v: &Validated, facts: &Facts, places: &[Place]) -> Self {
        // Targets of one place share their model.
        let mut models: BTreeMap<&Place, (LatencyModel, f64, f64)> = BTreeMap::new();
        let mut targets = Vec::with_capacity(places.len());
        for (target, place) in v.targets.iter().zip(places) {
            let model = models.entry(place).or_insert_with(|| {
                let empty = Table::default();
                latency_model(v, facts.tables.get(place).unwrap_or(&empty))
            });
            let (latency, error_before, error) = model.clone();
            targets.push(TargetBasis {
                target: target.name.clone(),
                class: place.class.clone(),
                runtime_hash: place.runtime_hash.clone(),
                latency,
                error_before,
                error,
            });
        }
        Self { targets }
    }
}

impl TargetBasis {
    pub fn place(&self) -> Place {
        Place {
            class: self.class.clone(),
            runtime_hash: self.runtime_hash.clone(),
        }
    }

    /// The search for one target, which goes on where the records end. Each target has its own: one of a strict bound
    /// isn't starved by one of a loose bound.
    pub fn study(
        &self,
        v: &Validated,
        target: &Target,
        records: Vec<TrialRecord>,
    ) -> Result<Study, StudyError> {
        let target = StudyTarget {
            name: target.name.clone(),
            constraints: target.constraints,
            latency: self.latency.clone(),
        };
        let candidates = if v.trials > 0 { v.trials } else { v.candidates };
        Study::resume(
            v.space.clone(),
            vec![target],
            &v.strategy,
            candidates,
            v.seed,
            records,
        )
    }
}

pub fn calibration(space: &Space, seed: u64) -> Vec<Architecture> {
    calibration_nets(space, CALIBRATION_NETS, seed)
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
    let mut model = LatencyModel::new(blocks.filter_map(|key| Some((key, latency(block_file(&key))?))));
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
