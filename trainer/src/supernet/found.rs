//! What a search over a supernet ends in.

use ::search::space::Architecture;
use ::search::trial::Estimate;
use serde_json::json;

use super::correlation::Compared;

#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Inside the bounds, the most accurate first.
    pub candidates: Vec<Candidate>,
    pub ranking: Ranking,
    /// Spearman's, of the supernet's ranks with those of networks trained alone.
    pub correlation: Option<f64>,
    pub compared: Vec<Compared>,
    /// How likely each option of each slot is in the end.
    pub gates: Vec<Vec<f64>>,
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub architecture: Architecture,
    pub estimate: Estimate,
    /// Share of held-out images labelled right, as far as it was trained for the ranking.
    pub accuracy: f64,
}

/// What the candidates' order rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// Their accuracy with the supernet's weights.
    Supernet,
    /// Their accuracy after a short training alone: the supernet's ranks said too little.
    TrainedAlone,
}

impl Ranking {
    pub fn word(self) -> &'static str {
        match self {
            Self::Supernet => "supernet",
            Self::TrainedAlone => "trainedAlone",
        }
    }
}

impl Found {
    /// As it is written to a file.
    pub fn to_json(&self) -> serde_json::Value {
        let Self {
            candidates,
            ranking,
            correlation,
            compared,
            gates,
            seconds,
        } = self;
        let candidate = |candidate: &Candidate| {
            let Estimate {
                p50_us,
                p95_us,
                p95_at_most_us,
                model_bytes,
                peak_memory_bytes,
                macs,
                parameters,
            } = candidate.estimate;
            json!({
                "architecture": candidate.architecture,
                "accuracy": candidate.accuracy,
                "p50Us": p50_us,
                "p95Us": p95_us,
                "p95AtMostUs": p95_at_most_us,
                "modelBytes": model_bytes,
                "peakMemoryBytes": peak_memory_bytes,
                "macs": macs,
                "parameters": parameters,
            })
        };
        let candidates: Vec<_> = candidates.iter().map(candidate).collect();
        json!({
            "best": candidates.first(),
            "candidates": candidates,
            "ranking": ranking.word(),
            "rankCorrelation": {"spearman": correlation, "networks": compared.len(), "compared": compared},
            "gates": gates,
            "seconds": seconds,
        })
    }
}
