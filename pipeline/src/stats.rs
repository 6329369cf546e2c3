//! What a running graph did, as plain data.

use serde::{Deserialize, Serialize};

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DropReason {
    /// It came after its time had passed on the stream, or a newer one overtook it at a node that runs on the newest.
    Late,
    /// It was older than the node's `maxAge`.
    Age,
    /// There was no room for it.
    Full,
    /// A limiter let it go.
    Limited,
    /// Whoever should have taken it had closed.
    Closed,
}

impl DropReason {
    pub const ALL: [Self; 5] = [Self::Late, Self::Age, Self::Full, Self::Limited, Self::Closed];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Age => "age",
            Self::Full => "full",
            Self::Limited => "limited",
            Self::Closed => "closed",
        }
    }
}

/// Dropped packets by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Drops {
    pub late: u64,
    pub age: u64,
    pub full: u64,
    pub limited: u64,
    pub closed: u64,
}

impl Drops {
    pub fn total(&self) -> u64 {
        self.late + self.age + self.full + self.limited + self.closed
    }

    pub fn of(&self, reason: DropReason) -> u64 {
        match reason {
            DropReason::Late => self.late,
            DropReason::Age => self.age,
            DropReason::Full => self.full,
            DropReason::Limited => self.limited,
            DropReason::Closed => self.closed,
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.late += other.late;
        self.age += other.age;
        self.full += other.full;
        self.limited += other.limited;
        self.closed += other.closed;
    }
}

/// Milliseconds at some quantiles; zeros while nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

/// One node that takes packets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStats {
    pub name: String,
    pub calculator: String,
    /// Calls of Process.
    pub processed: u64,
    pub fps: f64,
    pub process_ms: Quantiles,
    /// Now minus capture time when Process starts.
    pub start_age_ms: Quantiles,
    /// Now minus capture time when Process ends.
    pub end_age_ms: Quantiles,
    /// Packets dropped at this node's door, or by the node.
    pub drops: Drops,
    /// Packets waiting now.
    pub queued: u64,
    /// The node failed, which ended the run.
    pub errors: u64,
    /// Capture to the end of Process, for programs that add up the figures of many devices.
    #[serde(skip)]
    pub latency: Histogram,
}

/// Times counted by how long they were, as a Prometheus histogram has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Histogram {
    /// How many took no longer than each of `BOUNDS_SECONDS`.
    pub counts: [u64; Self::BOUNDS_SECONDS.len()],
    pub count: u64,
    pub sum_seconds: f64,
}

impl Histogram {
    /// From half a frame's time at 1000 frames a second to far too late, 33.4 ms and 66.7 ms being one and two frames
    /// of a camera.
    pub const BOUNDS_SECONDS: [f64; 14] = [
        0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.0334, 0.05, 0.0667, 0.1, 0.2, 0.5, 1.0, 5.0,
    ];
}

/// One stream between nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamStats {
    pub name: String,
    /// The node that fills it; none where it is fed from outside.
    pub writer: Option<String>,
    /// Packets sent on it.
    pub carried: u64,
    pub readers: Vec<ReaderStats>,
}

/// A stream as one of its readers has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReaderStats {
    pub node: String,
    /// Packets waiting now.
    pub depth: u64,
    /// Now minus capture time of the oldest packet that waits; none where none waits.
    pub oldest_ms: Option<f64>,
    /// Times the full queue got room for one packet more because everything waited for it.
    pub grown: u64,
}

/// One node that brings packets into the graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStats {
    pub name: String,
    pub calculator: String,
    /// Packets sent.
    pub produced: u64,
    pub fps: f64,
    /// How much later than planned the source ran.
    pub lateness_ms: Quantiles,
    pub process_ms: Quantiles,
    pub drops: Drops,
    pub errors: u64,
}

/// A whole graph over some time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphStats {
    pub elapsed_seconds: f64,
    pub nodes: Vec<NodeStats>,
    pub sources: Vec<SourceStats>,
    /// These count from the start of the run, whatever the time.
    pub streams: Vec<StreamStats>,
}

impl GraphStats {
    pub fn drops(&self) -> Drops {
        let all = self
            .nodes
            .iter()
            .map(|node| &node.drops)
            .chain(self.sources.iter().map(|source| &source.drops));
        all.fold(Drops::default(), |mut sum, drops| {
            sum.add(drops);
            sum
        })
    }

    pub fn produced(&self) -> u64 {
        self.sources.iter().map(|source| source.produced).sum()
    }
}
