//! The end of a search: a ranked list of candidates for each target.
//!
//! Pure and deterministic in spec, seed and profile; the list is kept, so that the search is done once.

use crds::nasjob::SearchProgress;
use export::OnnxFile;
use protocol::profile::FileContent;
use search::space::{Architecture, BlockKey};
use search::study::{Study, StudyError};
use search::trial::Estimate;
use serde::{Deserialize, Serialize};
use units::Duration;

use super::basis::{Basis, TargetBasis, calibration};
use super::facts::Place;
use super::measure::Wanted;
use super::validate::{Target, Validated};

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
    /// How far above its prediction a network may be measured, as a share.
    #[serde(default)]
    pub error_bar: f64,
    /// How the search went, if it trained while it chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchProgress>,
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
    let blocks = v.space.block_keys().into_iter().map(|key| block_file(&key));
    let nets = calibration(&v.space, v.seed)
        .into_iter()
        .map(|net| net_file(&net, None));
    blocks.chain(nets).flatten().collect()
}

pub fn block_file(key: &BlockKey) -> Option<Wanted> {
    wanted(key.to_string(), export::profile_block(key))
}

/// A whole network without weights; `bound_us`: what it is held against.
pub fn net_file(net: &Architecture, bound_us: Option<f64>) -> Option<Wanted> {
    let file = wanted(net_key(net), export::profile_net(net))?;
    Some(Wanted { bound_us, ..file })
}

pub fn net_key(net: &Architecture) -> String {
    format!("net-{}", net.id())
}

/// Of a search that trains nothing while it chooses: all it looks at is looked at now.
pub fn untrained(v: &Validated, basis: &Basis) -> Result<Shortlist, StudyError> {
    let rank = |(target, basis): (&Target, &TargetBasis)| {
        let mut study = basis.study(v, target, Vec::new())?;
        study.run();
        Ok(ranking(v, target, basis, &study, None))
    };
    let targets = v.targets.iter().zip(&basis.targets).map(rank);
    Ok(Shortlist {
        targets: targets.collect::<Result<_, StudyError>>()?,
    })
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

/// What a study that has ended says: accuracies first where they were told, else what can learn most.
pub fn ranking(
    v: &Validated,
    target: &Target,
    basis: &TargetBasis,
    study: &Study,
    search: Option<SearchProgress>,
) -> Ranking {
    let (found, infeasible) = match study.shortlist(0, v.finalists, MOST_CANDIDATES) {
        Ok(found) => (found, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let candidate = |(architecture, estimate): (Architecture, Estimate)| Candidate {
        architecture,
        predicted_p95_us: estimate.p95_us,
    };
    Ranking {
        target: target.name.clone(),
        class: basis.class.clone(),
        runtime_hash: basis.runtime_hash.clone(),
        candidates: found.into_iter().map(candidate).collect(),
        infeasible,
        error_before: basis.error_before,
        error: basis.error,
        error_bar: basis.latency.error_bar(),
        search,
    }
}

/// An architecture for people: its id, which stands in the profile's keys too.
pub fn name(architecture: &Architecture) -> String {
    format!("architecture {}", architecture.id())
}

pub fn span(us: f64) -> Duration {
    Duration::from_micros(us.max(0.0).round() as u64)
}
