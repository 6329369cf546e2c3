//! What a plan is made from: rows and objects as they were found, without any judgement.

use std::collections::BTreeMap;

use jiff::Timestamp;
use protocol::id::{DeviceId, SiteId};
use uuid::Uuid;

use crate::store::devices::Device;
use crate::store::profiles::{FailureRow, ProfileRow, RequestRow};
use crate::store::records::RecordRow;
use crate::store::studies::StudyRow;
use crate::store::trials::TrialRow;

/// Everything a plan looks at. The time is the database's.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub now: Timestamp,
    /// Devices that a target's selector matches.
    pub devices: Vec<DeviceFact>,
    pub study: Option<StudyRow>,
    pub tables: BTreeMap<Place, Table>,
    /// Requests each device left unanswered lately.
    pub silent: BTreeMap<String, i64>,
    /// Requests whose answer is awaited, of every job.
    pub requests: Vec<RequestRow>,
    pub trials: Vec<TrialRow>,
    /// What a strategy that learns has proposed and was told.
    pub records: Vec<RecordRow>,
    /// Another job that trains now, `namespace/name`.
    pub training: Option<String>,
    /// Trainer Jobs of this NasJob.
    pub jobs: Vec<JobFact>,
    /// Hash of the token in the Secret, if there is one.
    pub token: Option<String>,
    /// Devices that may measure at the same time.
    pub concurrency: usize,
    /// How trainer pods reach the operator.
    pub http_url: String,
}

/// Where a latency holds: one class with one runtime.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub class: String,
    pub runtime_hash: String,
}

/// What was measured at a place.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub rows: Vec<ProfileRow>,
    pub failures: Vec<FailureRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFact {
    pub id: DeviceId,
    pub site: SiteId,
    pub place: Place,
    pub boot_id: Uuid,
    pub labels: BTreeMap<String, String>,
    pub online: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFact {
    pub name: String,
    pub state: JobState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    Running,
    /// All pods ended well.
    Complete,
    /// Kubernetes gave up; its message.
    Failed(String),
}

impl From<Device> for DeviceFact {
    /// Every device carries its class, site and id as labels, whatever it says of itself.
    fn from(device: Device) -> Self {
        let Device {
            device: id,
            site,
            class,
            mut labels,
            reported,
            online,
            ..
        } = device;
        labels.insert("haizen.dev/class".into(), class.to_string());
        labels.insert("haizen.dev/site".into(), site.to_string());
        labels.insert("haizen.dev/device".into(), id.to_string());
        let place = Place {
            class: class.to_string(),
            runtime_hash: reported.runtime.hash,
        };
        Self {
            id,
            site,
            place,
            boot_id: reported.boot_id.0,
            labels,
            online,
        }
    }
}
