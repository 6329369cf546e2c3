//! Everything the screen shows at one instant.

use std::time::Duration;

use crds::edgepipeline::EdgePipelineStatus;
use crds::nasjob::NasJobStatus;

use crate::api::{Device, Telemetry};

/// The steps of the demo, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Install,
    Devices,
    Profile,
    Search,
    Rollout,
    Telemetry,
}

impl Step {
    pub const ALL: [Self; 6] = [
        Self::Install,
        Self::Devices,
        Self::Profile,
        Self::Search,
        Self::Rollout,
        Self::Telemetry,
    ];

    /// What is done, and why it takes its time.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Install => "install the chart: Postgres, Mosquitto, operator",
            Self::Devices => "connect edge agents of two device classes",
            Self::Profile => "devices measure the blocks of the search space (once per class)",
            Self::Search => "choose under the bounds, train, export, measure again (training takes minutes)",
            Self::Rollout => "roll the best model of each class out: canary, then waves",
            Self::Telemetry => "results come back: every sample sent is a row stored",
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Finished steps and what they took.
    pub done: Vec<(Step, Duration)>,
    /// The step under way and since when.
    pub running: Option<(Step, Duration)>,
    pub search: Option<NasJobStatus>,
    pub rollout: Option<EdgePipelineStatus>,
    pub devices: Vec<Device>,
    pub telemetry: Option<Telemetry>,
}
