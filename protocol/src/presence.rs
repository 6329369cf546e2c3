//! Birth and will of a device's connection.

use serde::{Deserialize, Serialize};

use crate::id::{BootId, DeviceId};

pub const MAX_PRESENCE: usize = 1024;

/// Retained; an offline message counts only if its boot and connection are the ones known to be online.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    pub version: u32,
    pub device: DeviceId,
    pub online: bool,
    pub boot_id: BootId,
    /// Counts connections within a boot, so that a late will of an earlier one is known as late.
    pub connection: u64,
}
