//! Puts subgraphs in the places of the nodes that name them, before anything else is checked.
//!
//! Pure. What is inside gets the node's name in front (`parent__child`), as do its streams and side packets; ports
//! are joined by tag and index. Of a subgraph's own graph settings only its options and status handlers count: threads,
//! queues and executors are the whole graph's.

mod expand;
mod option_values;
mod switch;
#[cfg(test)]
mod tests;
mod wiring;

pub(crate) use expand::expand;

use crate::spec::GraphSpec;
use crate::validate::GraphError;

/// A graph without subgraphs.
#[derive(Debug)]
pub(crate) struct Flat {
    pub(crate) graph: GraphSpec,
    /// Where each node was written.
    pub(crate) origins: Vec<Origin>,
    /// Where each status handler was written.
    pub(crate) handler_origins: Vec<Origin>,
}

/// A node or status handler as it was written: the subgraph's names from the outermost in, and its place among that
/// graph's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) scope: Vec<String>,
    pub(crate) index: usize,
}

/// A mistake with the node it was made in.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) origin: Option<Origin>,
    pub(crate) error: GraphError,
}
