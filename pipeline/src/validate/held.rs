//! How many packets a graph can hold at once: the memory that it needs is known before it runs.

use crate::spec::Freshness;
use crate::validate::plan::{Outlet, Plan, PlannedNode, PlannedPolicy, ValidatedGraph};

/// Where packets enter the graph, and how many of them the queues and the calls behind it hold at most. What a
/// calculator keeps from one call to the next comes on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// A source's name, or that of a stream that is fed from outside.
    pub entry: String,
    pub packets: usize,
}

impl ValidatedGraph {
    /// For each source, then for each stream that is fed from outside.
    pub fn held_at_most(&self) -> Vec<Held> {
        let plan = &*self.0;
        let sources = plan.nodes.iter().take(plan.sources);
        let sources = sources.map(|node| held(plan, &node.name, &node.outlets));
        let fed = plan.inputs.iter();
        let fed = fed.map(|input| held(plan, &input.stream, std::slice::from_ref(&input.outlet)));
        sources.chain(fed).collect()
    }
}

/// The packet that is being made, what waits on each stream that it can reach, and the set of each call on its way.
fn held(plan: &Plan, entry: &str, outlets: &[Outlet]) -> Held {
    let mut reached = vec![false; plan.nodes.len()];
    let mut next: Vec<&Outlet> = outlets.iter().collect();
    let mut packets: usize = 1;
    while let Some(outlet) = next.pop() {
        for (reader, input) in &outlet.readers {
            let (Some(node), Some(reached)) = (plan.nodes.get(*reader), reached.get_mut(*reader)) else {
                continue;
            };
            packets = packets.saturating_add(waiting(node, *input));
            if !std::mem::replace(reached, true) {
                packets = packets.saturating_add(at_work(node));
                next.extend(&node.outlets);
            }
        }
    }
    let entry = entry.to_owned();
    Held { entry, packets }
}

/// A stream may be one packet above its limit: who fills it looks before.
fn waiting(node: &PlannedNode, input: usize) -> usize {
    let in_step = matches!(node.policy, PlannedPolicy::Default { .. });
    if node.freshness == Freshness::Newest && node.inputs.len() == 1 && in_step {
        return 1;
    }
    node.inputs.get(input).map_or(0, |port| port.limit.packets + 1)
}

/// Sets of calls, and sets that wait for their batch.
fn at_work(node: &PlannedNode) -> usize {
    let sets = match node.policy {
        PlannedPolicy::Default { batch } => batch.max(node.parallel),
        _ => node.parallel,
    };
    sets.max(1) * node.inputs.len()
}
