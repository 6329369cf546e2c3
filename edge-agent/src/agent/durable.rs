//! What the device must not forget: the order it has come to, its last good revision, and the one on trial.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::spec::GraphSpec;
use protocol::desired::{Desired, ModelRef, Order};
use protocol::id::Digest;
use protocol::reported::{Progress, Slot};
use serde::{Deserialize, Serialize};

/// Form of the file; a file of another form is refused.
pub const FORM: u32 = 1;

/// The agent's state on disk, replaced as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Durable {
    pub form: u32,
    /// Highest order taken; survives clearing, so that no old document comes back.
    pub last_order: Order,
    /// The last good revision: it held through its bake. Only a better one or an order to clear replaces it.
    #[serde(default)]
    pub active: Option<Installed>,
    /// The good one before, kept so that a rollback needs no download.
    #[serde(default)]
    pub previous: Option<Installed>,
    #[serde(default)]
    pub trial: Option<Trial>,
    /// How far the last document came.
    #[serde(default)]
    pub progress: Option<Progress>,
}

impl Default for Durable {
    fn default() -> Self {
        Self {
            form: FORM,
            last_order: Order::default(),
            active: None,
            previous: None,
            trial: None,
            progress: None,
        }
    }
}

impl Durable {
    /// Models that must stay on the disk.
    pub fn models(&self) -> BTreeSet<Digest> {
        let slots = self
            .active
            .iter()
            .chain(&self.previous)
            .chain(self.trial.as_ref().map(|t| &t.installed));
        slots
            .flat_map(|slot| slot.models.values().map(|model| model.sha256.clone()))
            .collect()
    }
}

/// A revision in a slot: all it takes to run it again without the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    pub pipeline: String,
    pub revision: String,
    pub graph: GraphSpec,
    pub models: BTreeMap<String, ModelRef>,
}

impl Installed {
    pub fn slot(&self) -> Slot {
        Slot {
            revision: self.revision.clone(),
            pipeline: self.pipeline.clone(),
            models: self
                .models
                .iter()
                .map(|(name, model)| (name.clone(), model.sha256.clone()))
                .collect(),
        }
    }

    /// Runs exactly what `other` runs, whoever asked for it.
    pub fn same_content(&self, other: &Self) -> bool {
        let digests = |models: &BTreeMap<String, ModelRef>| -> Vec<(String, Digest)> {
            models
                .iter()
                .map(|(name, model)| (name.clone(), model.sha256.clone()))
                .collect()
        };
        self.graph == other.graph && digests(&self.models) == digests(&other.models)
    }
}

impl From<&Desired> for Installed {
    fn from(desired: &Desired) -> Self {
        Self {
            pipeline: desired.pipeline.clone(),
            revision: desired.revision.clone(),
            graph: desired.graph.clone(),
            models: desired.models.clone(),
        }
    }
}

/// A revision that has yet to prove itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    pub installed: Installed,
    pub bake: units::Duration,
    pub objectives: protocol::desired::Objectives,
    /// How often it was started; written before each start, so that a start that kills the process counts.
    pub starts: u32,
}
