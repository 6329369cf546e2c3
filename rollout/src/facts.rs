//! What the operator has observed of one rollout, as plain data.
//!
//! Owns the words of a rollout's states. Judges nothing; whoever fills it in reads a database and a fleet.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Everything a plan rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub rollout: Rollout,
    /// Frozen when the rollout started; empty before its first plan.
    pub waves: Vec<Wave>,
    /// Devices the pipeline owns, and devices with a row in this rollout. In any order.
    pub devices: Vec<Device>,
    /// The user asked to offer nothing further.
    pub paused: bool,
    /// Devices per site that are changing on behalf of other rollouts, those in `devices` not counted.
    pub busy: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Unique for all times: membership hangs on it.
    pub uid: String,
    pub revision: String,
    pub state: RolloutState,
    /// Why it failed; set once.
    pub failure: Option<Failure>,
    /// From when the deadline counts when no device or wave got further since: the start, or the end of a hold.
    pub progress_at: Timestamp,
    /// Since when the user holds it.
    pub paused_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// Waves are under way.
    Running,
    /// Every wave passed; devices that come later get the revision at once.
    Complete,
    /// A gate failed; devices that were offered the revision are on their way back.
    RollingBack,
    /// Nothing is under way any more: all that could go back went back.
    RolledBack,
    /// A gate failed and the policy says to hold.
    Halted,
}

/// Why a rollout failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// CamelCase, for instance GateFailed.
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wave {
    pub state: WaveState,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaveState {
    Scheduled,
    Running,
    /// All its devices run the revision and watch themselves.
    Baking,
    Passed,
    Failed,
    /// Nothing is open and still nothing can be said: too few samples or figures. Goes on when more come.
    Inconclusive,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    pub id: String,
    pub site: String,
    /// Matched, owned by this pipeline, and there is content for its class.
    pub member: bool,
    pub online: bool,
    /// Since when it is online, or not.
    pub since: Timestamp,
    /// Last sign of life, by the operator's clock.
    pub seen_at: Timestamp,
    /// Already healthy on the revision, and its desired document says so too.
    pub current: bool,
    /// Still changing on behalf of an earlier rollout; it takes a new document in the middle of that.
    pub changing_elsewhere: bool,
    /// Of the rollout's revision, as the device reports them.
    pub figures: Option<Figures>,
    /// None: not part of the rollout yet.
    pub row: Option<Row>,
}

/// A device's place in the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Frozen when the device joined.
    pub wave: usize,
    pub state: DeviceState,
    /// Offers so far.
    pub attempt: u32,
    /// When the last document of this rollout was written for it; none when that one was taken back.
    pub offered_at: Option<Timestamp>,
    /// When it came to a state that is no step on the way.
    pub finished_at: Option<Timestamp>,
    /// CamelCase reason of a bad end.
    pub code: Option<String>,
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceState {
    Pending,
    Offered,
    Received,
    Downloading,
    Verified,
    Staged,
    Activating,
    Baking,
    Healthy,
    /// Had the revision before the rollout came to it.
    AlreadyCurrent,
    Failed,
    Rejected,
    TimedOut,
    /// Was told to take its previous revision again.
    RollingBack,
    RolledBack,
    /// Didn't take its previous revision in time, or refused it.
    RollbackFailed,
    /// No longer a device of this pipeline.
    Removed,
}

/// A running graph in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    pub fps: f64,
    pub latency_p95_ms: f64,
    pub completed: u64,
    pub errors: u64,
}

impl DeviceState {
    pub const ALL: [Self; 17] = [
        Self::Pending,
        Self::Offered,
        Self::Received,
        Self::Downloading,
        Self::Verified,
        Self::Staged,
        Self::Activating,
        Self::Baking,
        Self::Healthy,
        Self::AlreadyCurrent,
        Self::Failed,
        Self::Rejected,
        Self::TimedOut,
        Self::RollingBack,
        Self::RolledBack,
        Self::RollbackFailed,
        Self::Removed,
    ];

    /// On its way to the revision.
    pub fn is_under_way(self) -> bool {
        use DeviceState::{Activating, Baking, Downloading, Offered, Received, Staged, Verified};
        matches!(
            self,
            Offered | Received | Downloading | Verified | Staged | Activating | Baking
        )
    }

    /// Changing right now, forth or back: what a site's limit counts.
    pub fn is_changing(self) -> bool {
        self.is_under_way() || self == Self::RollingBack
    }

    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected | Self::TimedOut)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Offered => "Offered",
            Self::Received => "Received",
            Self::Downloading => "Downloading",
            Self::Verified => "Verified",
            Self::Staged => "Staged",
            Self::Activating => "Activating",
            Self::Baking => "Baking",
            Self::Healthy => "Healthy",
            Self::AlreadyCurrent => "AlreadyCurrent",
            Self::Failed => "Failed",
            Self::Rejected => "Rejected",
            Self::TimedOut => "TimedOut",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::RollbackFailed => "RollbackFailed",
            Self::Removed => "Removed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl RolloutState {
    pub const ALL: [Self; 5] = [
        Self::Running,
        Self::Complete,
        Self::RollingBack,
        Self::RolledBack,
        Self::Halted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Complete => "Complete",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Halted => "Halted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl WaveState {
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Running,
        Self::Baking,
        Self::Passed,
        Self::Failed,
        Self::Inconclusive,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Running => "Running",
            Self::Baking => "Baking",
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::Inconclusive => "Inconclusive",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}
