//! Names what doesn't move. Nothing is measured for it: steps and deliveries leave the times they know anyway, and
//! whoever asks looks at them.

use crate::run::RunningGraph;
use crate::run::engine::Engine;
use crate::run::inbox::{Inbox, Phase};
use crate::stall::{Stall, WaitsFor};
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::{Plan, PlannedNode};

/// What stands still for so long is a stall. Whoever looks four times a second names it within the second.
const STALLED_AFTER_NANOS: i64 = 750_000_000;
/// A call is stuck only when it takes this many times as long as usual.
const STUCK_FACTOR: i64 = 10;

impl RunningGraph {
    /// What stands still now; nothing while the graph is paused or opens its nodes, or when it is over. Cheap enough
    /// to ask several times a second: one short lock a node.
    pub fn stalls(&self) -> Vec<Stall> {
        let engine = self.engine();
        if self.status().is_over() || engine.services.pool.is_paused() || !engine.is_open() {
            return Vec::new();
        }
        // The clock first: nothing seen below can be older than it says.
        let now = engine.services.pool.clock().nanos();
        find(&engine.plan, &engine.look(), now)
    }
}

/// A graph's nodes and inputs at one moment.
#[derive(Debug, Clone, Default)]
struct Look {
    nodes: Vec<NodeLook>,
    /// Per graph input: since when somebody has waited to feed it.
    held: Vec<Option<i64>>,
    /// Per node: the side packet it waits for.
    missing: Vec<Option<String>>,
}

/// One node: where it is, and since when. Times in nanoseconds.
#[derive(Debug, Clone)]
struct NodeLook {
    phase: Phase,
    since: i64,
    waiting: u64,
    usual: i64,
    /// When the first of the packets that wait came.
    filled: Option<i64>,
    oldest: Option<Timestamp>,
    awaited: Option<Awaited>,
    /// Inputs that are full.
    full: Vec<usize>,
}

/// An input that keeps others waiting.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    input: usize,
    bound: Timestamp,
    moved: i64,
}

impl NodeLook {
    fn of(inbox: &Inbox, usual: i64) -> Self {
        let awaited = inbox.awaited_input().and_then(|input| {
            let stream = inbox.streams.get(input)?;
            Some(Awaited {
                input,
                bound: stream.bound(),
                moved: stream.moved(),
            })
        });
        let full = inbox
            .streams
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.is_full());
        let filled = inbox.streams.iter().filter(|stream| !stream.is_empty());
        Self {
            phase: inbox.phase,
            since: inbox.since,
            waiting: inbox.queued(),
            usual,
            filled: filled.map(crate::run::inbox::Stream::filled).min(),
            oldest: inbox.oldest(),
            awaited,
            full: full.map(|(input, _)| input).collect(),
        }
    }
}

impl Engine {
    fn look(&self) -> Look {
        Look {
            nodes: self
                .cells
                .iter()
                .map(|cell| NodeLook::of(&lock(&cell.inbox), cell.usual_nanos()))
                .collect(),
            held: self.feeds.iter().map(|feed| *lock(&feed.door)).collect(),
            missing: self.plan.nodes.iter().map(|node| self.unmade(node)).collect(),
        }
    }
}

fn find(plan: &Plan, look: &Look, now: i64) -> Vec<Stall> {
    let mut stalls = Vec::new();
    for (index, (node, planned)) in look.nodes.iter().zip(&plan.nodes).enumerate() {
        let Some((waits_for, since)) = standstill(plan, look, index, node, planned) else {
            continue;
        };
        let usual = if matches!(waits_for, WaitsFor::Call { .. }) {
            node.usual
        } else {
            0
        };
        if now - since >= STALLED_AFTER_NANOS.max(usual.saturating_mul(STUCK_FACTOR)) {
            stalls.push(stall(planned.name.clone(), waits_for, since, now, node.waiting));
        }
    }
    for (index, (held, input)) in look.held.iter().zip(&plan.inputs).enumerate() {
        let since = held.filter(|since| now - since >= STALLED_AFTER_NANOS);
        if let (Some(since), Some(room)) = (since, full_stream(plan, look, plan.sources + index)) {
            stalls.push(stall(input.stream.clone(), room, since, now, 0));
        }
    }
    // What holds the others up comes first: a call that doesn't return, then who waits for news, then who is held back.
    stalls.sort_by_key(|stall| match stall.waits_for {
        WaitsFor::Call { .. } => 0,
        WaitsFor::SidePacket { .. } => 1,
        WaitsFor::Bound { .. } => 2,
        WaitsFor::FramesUnderWay => 3,
        WaitsFor::Room { .. } => 4,
    });
    stalls
}

/// What the node waits for, and since when; none where it has nothing to do or is about to do it.
fn standstill(
    plan: &Plan,
    look: &Look,
    index: usize,
    node: &NodeLook,
    planned: &PlannedNode,
) -> Option<(WaitsFor, i64)> {
    match node.phase {
        Phase::Running => {
            let usual_ms = node.usual as f64 / 1e6;
            Some((WaitsFor::Call { usual_ms }, node.since))
        }
        Phase::Throttled => Some((full_stream(plan, look, index)?, node.since)),
        Phase::Limited => Some((WaitsFor::FramesUnderWay, node.since.max(node.filled?))),
        Phase::Unopened => {
            let name = look.missing.get(index)?.clone()?;
            Some((WaitsFor::SidePacket { name }, node.filled?))
        }
        Phase::Idle => {
            let awaited = node.awaited?;
            let stream = planned.inputs.get(awaited.input)?.stream.clone();
            let writer = plan
                .nodes
                .iter()
                .find(|writer| writer.outputs.iter().any(|output| output.stream == stream));
            let bound = WaitsFor::Bound {
                writer: writer.map(|writer| writer.name.clone()),
                stream,
                bound: awaited.bound.to_string(),
                needed: node.oldest?.to_string(),
            };
            // Whatever came last: the packet, the bound's last move, or the end of the node's own work.
            Some((bound, node.filled?.max(awaited.moved).max(node.since)))
        }
        Phase::Queued | Phase::Timed(_) | Phase::Layered | Phase::Closed => None,
    }
}

/// The full stream on whose behalf a source or a graph input is held back; the one nearest to the outputs, since it
/// filled first.
fn full_stream(plan: &Plan, look: &Look, ancestor: usize) -> Option<WaitsFor> {
    let nodes = look.nodes.iter().zip(&plan.nodes).rev();
    nodes
        .flat_map(|(node, planned)| node.full.iter().map(move |input| (*input, planned)))
        .find(|(input, planned)| {
            let ancestors = planned.ancestors.get(*input);
            ancestors.is_some_and(|ancestors| ancestors.contains(&ancestor))
        })
        .and_then(|(input, planned)| {
            Some(WaitsFor::Room {
                stream: planned.inputs.get(input)?.stream.clone(),
                reader: planned.name.clone(),
            })
        })
}

fn stall(node: String, waits_for: WaitsFor, since: i64, now: i64, waiting: u64) -> Stall {
    Stall {
        node,
        waits_for,
        since: since.div_euclid(1_000),
        for_ms: (now - since) as f64 / 1e6,
        waiting,
    }
}

#[cfg(test)]
mod tests;
