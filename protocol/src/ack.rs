//! A device's steps within a rollout.

use serde::{Deserialize, Serialize};

use crate::desired::Order;
use crate::id::{BootId, DeviceId};

pub const MAX_ACK: usize = 16 * 1024;

/// One step of one device: taken at most once by (rollout, order, attempt, phase).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ack {
    pub version: u32,
    pub device: DeviceId,
    pub boot_id: BootId,
    pub rollout: String,
    pub order: Order,
    pub attempt: u32,
    pub phase: Phase,
    /// CamelCase reason of Failed, RolledBack and Rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What failed on what, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The device's clock; only for people, never for decisions.
    pub at: jiff::Timestamp,
}

/// Steps a device reports, in the order they are passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    Received,
    Downloading,
    Verified,
    Staged,
    Activating,
    Baking,
    Healthy,
    /// The new revision didn't hold; the device runs its previous one again, if it had one.
    Failed,
    /// The device refuses the document as it stands, for instance a graph it can't run.
    Rejected,
}

impl Phase {
    pub fn is_final(self) -> bool {
        match self {
            Self::Healthy | Self::Failed | Self::Rejected => true,
            Self::Received
            | Self::Downloading
            | Self::Verified
            | Self::Staged
            | Self::Activating
            | Self::Baking => false,
        }
    }
}
