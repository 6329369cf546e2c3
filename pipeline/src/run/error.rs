//! Why a graph didn't start, ended early, or took no packet.

use std::io;

use crate::options::OptionError;
use crate::timestamp::Timestamp;

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error("node {node}: {call} failed: {problem}")]
    Node {
        node: String,
        call: &'static str,
        problem: String,
    },
    #[error("node {node}: a packet at {timestamp} was sent when {bound} was the earliest time allowed")]
    Late {
        node: String,
        timestamp: Timestamp,
        bound: Timestamp,
    },
    #[error("input stream {stream}: a packet at {timestamp} came when {bound} was the earliest time allowed")]
    LateInput {
        stream: String,
        timestamp: Timestamp,
        bound: Timestamp,
    },
    #[error("node {node} waits for side packet {name}, which no node made")]
    NoSidePacket { node: String, name: String },
    #[error("status handler {handler}: {call} failed: {problem}")]
    StatusHandler {
        handler: String,
        /// `PreRun` or `PostRun`.
        call: &'static str,
        problem: String,
    },
    #[error("all wait for stream {stream}, which is full, to be read by node {node}; raise its queueSize")]
    Deadlock { node: String, stream: String },
    #[error("the run was cancelled")]
    Cancelled,
    #[error("a worker thread of the graph broke; the log says where")]
    Broken,
}

impl RunError {
    /// The kind of error, in the reference's terms.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Node { .. } | Self::StatusHandler { .. } => "unknown",
            Self::Late { .. } | Self::LateInput { .. } => "invalidArgument",
            Self::NoSidePacket { .. } => "failedPrecondition",
            Self::Deadlock { .. } => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Broken => "internal",
        }
    }

    /// The node at which it happened.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Node { node, .. }
            | Self::Late { node, .. }
            | Self::NoSidePacket { node, .. }
            | Self::Deadlock { node, .. } => Some(node),
            Self::StatusHandler { .. } | Self::LateInput { .. } | Self::Cancelled | Self::Broken => None,
        }
    }
}

/// Why a graph didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("side packet {name} is missing: node {node} needs it as {port} ({wanted})")]
    MissingSidePacket {
        name: String,
        node: String,
        port: String,
        wanted: String,
    },
    #[error("side packet {name} is a {found}, but node {node} needs {wanted} as {port}")]
    SidePacketType {
        name: String,
        node: String,
        port: String,
        wanted: String,
        found: &'static str,
    },
    #[error(
        "service {service} is missing: node {node} needs it ({wanted}), and this program doesn't lend it"
    )]
    MissingService {
        service: &'static str,
        node: String,
        wanted: &'static str,
    },
    #[error("service {service} is a {found}, but node {node} needs {wanted}")]
    ServiceType {
        service: &'static str,
        node: String,
        wanted: &'static str,
        found: &'static str,
    },
    #[error("node {node}: {problem}")]
    Options { node: String, problem: OptionError },
    #[error("status handler {handler}: {problem}")]
    HandlerOptions { handler: String, problem: OptionError },
    /// A status handler failed before the run began.
    #[error("{0}")]
    PreRun(RunError),
    #[error("no thread for the graph: {0}")]
    Thread(#[from] io::Error),
}

/// Why a packet wasn't taken from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    #[error("the graph has no input stream {0}")]
    Unknown(String),
    #[error("input stream {0} is full")]
    Full(String),
    #[error("input stream {0} is closed")]
    Closed(String),
    #[error("input stream {stream}: {timestamp} is below the stream's bound {bound}")]
    Late {
        stream: String,
        timestamp: Timestamp,
        bound: Timestamp,
    },
    #[error("the run is over")]
    Over,
}
