//! What a search over a supernet has found so far: kept in its checkpoints.

use ::search::gates::Gates;
use serde::{Deserialize, Serialize};

use super::correlation::Compared;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub gates: Gates,
    pub compared: Vec<Compared>,
    /// Candidates that were trained alone, since the supernet's ranks say too little.
    pub retrained: Vec<Retrained>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retrained {
    pub architecture: String,
    pub accuracy: f64,
}
