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
    #[error("the run was cancelled")]
    Cancelled,
    #[error("a worker thread of the graph broke; the log says where")]
    Broken,
    #[error("nothing can run any more: node {node} waits for stream {stream}")]
    Stalled { node: String, stream: String },
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
    #[error("node {node}: {problem}")]
    Options { node: String, problem: OptionError },
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
