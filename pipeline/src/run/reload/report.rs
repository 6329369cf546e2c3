//! What a reload did, or why it did nothing.

use std::fmt;
use std::time::Duration;

use crate::run::StartError;

/// What changed; nodes by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// Nodes that went on as they were.
    pub kept: Vec<String>,
    /// Those among them that are wired or treated otherwise: by their settings, not their options.
    pub adjusted: Vec<String>,
    /// Made anew: another calculator, other options, ports or side packets.
    pub reopened: Vec<String>,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Packets that waited for what isn't there any more.
    pub dropped: u64,
    /// How long nothing ran.
    pub gap: Duration,
}

impl ReloadReport {
    /// Whether the new graph is the old one.
    pub fn is_unchanged(&self) -> bool {
        let Self {
            kept: _,
            adjusted,
            reopened,
            added,
            removed,
            dropped: _,
            gap: _,
        } = self;
        [adjusted, reopened, added, removed]
            .iter()
            .all(|list| list.is_empty())
    }
}

impl fmt::Display for ReloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unchanged() {
            return f.write_str("nothing changed");
        }
        let lists = [
            ("reopened", &self.reopened),
            ("added", &self.added),
            ("removed", &self.removed),
            ("other settings", &self.adjusted),
        ];
        for (what, nodes) in lists {
            if !nodes.is_empty() {
                write!(f, "{what}: {}; ", nodes.join(", "))?;
            }
        }
        write!(f, "{} kept", self.kept.len())?;
        if self.dropped > 0 {
            write!(f, ", {} packets dropped", self.dropped)?;
        }
        write!(f, ", gap {:.1} ms", self.gap.as_secs_f64() * 1e3)
    }
}

/// Why a reload did nothing: the graph runs on as it was, unless it is over.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("node {node}: Open failed: {problem}")]
    Open { node: String, problem: String },
    #[error("the node came back from its call meanwhile")]
    CameBack,
    #[error("node {node} didn't come to the end of its call within {} s", limit.as_secs())]
    Busy { node: String, limit: Duration },
    #[error("the run is over, or about to end")]
    Over,
}
