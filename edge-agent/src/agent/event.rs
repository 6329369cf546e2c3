//! What happens to the agent, and what it wants done about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::ack::Ack;
use protocol::desired::{Desired, ModelRef};
use protocol::id::Digest;
use protocol::profile::ProfileRequest;
use protocol::reported::Running;

use super::durable::{Durable, Installed};

/// The moment an event is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the process started; never goes back. All decisions rest on it.
    pub uptime: Duration,
    /// The device's clock; only copied into acks.
    pub wall: jiff::Timestamp,
}

/// Why something didn't work: a CamelCase code for machines, the rest for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
}

impl Failure {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The process has started; comes first, once.
    Booted,
    /// The broker is reachable (again).
    Connected,
    Desired(Box<Desired>),
    /// A message on the desired topic that is no document.
    Unreadable(String),
    /// The empty retained message: run nothing.
    Cleared,
    /// All models of the fetch are on the disk with the right digest, or can't be had.
    Fetched {
        ticket: u64,
        outcome: Result<(), Failure>,
    },
    /// The graph is open and its sources run.
    Started {
        run: u64,
    },
    /// The graph could not be opened, and nothing runs.
    StartFailed {
        run: u64,
        failure: Failure,
    },
    /// The graph could not take the place of the one that runs, which goes on.
    SwitchFailed {
        run: u64,
        failure: Failure,
    },
    /// Figures of the running graph since it was started or took another one's place, about once a second.
    Figures {
        run: u64,
        running: Running,
    },
    /// The graph has stopped by itself; `None`: its sources came to their end.
    Ended {
        run: u64,
        failure: Option<Failure>,
    },
    Profile(Box<ProfileRequest>),
    /// The profile asked for is measured and answered.
    Measured,
    /// Time has passed.
    Tick,
    /// The process is asked to end.
    Shutdown,
}

/// Performed in order. A `Persist` comes first; when it fails nothing after it may happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Persist(Box<Durable>),
    Ack(Box<Ack>),
    /// Publish the reported document soon.
    Report,
    /// Tell people.
    Notice(Failure),
    /// Make sure the models are on the disk and hold their digests; answers with `Fetched`.
    Fetch {
        ticket: u64,
        models: BTreeMap<String, ModelRef>,
    },
    StopFetch {
        ticket: u64,
    },
    /// Stop what runs and run this; answers with `Started` or `StartFailed`.
    Start {
        run: u64,
        installed: Box<Installed>,
    },
    /// Let this take the place of what runs, without ending what stays the same; answers with `Started`,
    /// `SwitchFailed`, or with `StartFailed` if it had to be started and didn't.
    Switch {
        run: u64,
        installed: Box<Installed>,
    },
    Stop,
    /// Measure with nothing else running; answers with `Measured`.
    Measure(Box<ProfileRequest>),
    /// Delete all models but these.
    Collect(BTreeSet<Digest>),
}
