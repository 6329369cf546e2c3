//! The ports that a graph gives to one node, for calculators whose ports must match each other.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::sync::lock;

/// Tag and index of every stream and side packet written for one node.
#[derive(Debug, Clone, Default)]
pub struct GivenPorts {
    pub inputs: Vec<(String, usize)>,
    pub outputs: Vec<(String, usize)>,
    pub side_inputs: Vec<(String, usize)>,
    pub side_outputs: Vec<(String, usize)>,
}

/// Why a node's ports don't go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortsError(String);

impl PortsError {
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

/// How many of the ports have this tag.
pub fn count(ports: &[(String, usize)], tag: &str) -> usize {
    ports.iter().filter(|(found, _)| found == tag).count()
}

/// For nodes that pass each input without a tag on to the output of the same number.
pub(crate) fn check_pairs(given: &GivenPorts) -> Result<(), PortsError> {
    let (inputs, outputs) = (count(&given.inputs, ""), count(&given.outputs, ""));
    if inputs == outputs {
        return Ok(());
    }
    Err(PortsError::new(format!(
        "has {inputs} inputs without a tag but {outputs} such outputs; write one for each"
    )))
}

/// Whether both lists have the same tags and indexes, in any order.
pub fn same_ports(left: &[(String, usize)], right: &[(String, usize)]) -> bool {
    let sorted = |ports: &[(String, usize)]| {
        let mut ports = ports.to_vec();
        ports.sort();
        ports
    };
    sorted(left) == sorted(right)
}

/// The tags of a list, each once, in order.
pub fn tags(ports: &[(String, usize)]) -> BTreeSet<&str> {
    ports.iter().map(|(tag, _)| tag.as_str()).collect()
}

/// A tag of a user's choice as contracts hold it. Every tag is kept once, for the life of the process; none when
/// there are too many of them.
pub(crate) fn static_tag(tag: &str) -> Option<&'static str> {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = lock(&KNOWN);
    if let Some(found) = known.get(tag) {
        return Some(found);
    }
    if known.len() >= MOST_TAGS {
        return None;
    }
    let kept: &'static str = Box::leak(tag.to_owned().into_boxed_str());
    known.insert(kept);
    Some(kept)
}

/// So that whoever validates graphs of strangers isn't filled up by them.
const MOST_TAGS: usize = 4_096;
