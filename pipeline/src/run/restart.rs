//! A node that fails and shall go on: made anew, with longer and longer pauses while it keeps failing.

use crate::node::NodeError;
use crate::packet::Packet;
use crate::run::cell::{Body, Cell, Life};
use crate::run::engine::Engine;
use crate::spec::OnFailure;
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::PlannedNode;

const FIRST_PAUSE_NANOS: i64 = 100_000_000;
const LONGEST_PAUSE_NANOS: i64 = 30_000_000_000;

impl Engine {
    /// False where the failure shall end the run.
    pub(crate) fn restart(
        &self,
        cell: &Cell,
        planned: &PlannedNode,
        body: &mut Body,
        error: &NodeError,
        now: i64,
    ) -> bool {
        if planned.on_failure != OnFailure::Restart {
            return false;
        }
        lock(&cell.meter).failed();
        tracing::warn!(node = cell.ports.node, %error, "the node failed and is restarted");
        body.failures += 1;
        body.io.inputs.fill(Packet::empty(Timestamp::UNSTARTED));
        body.io.wake_at = None;
        body.io.shards.iter_mut().for_each(|shard| shard.packets.clear());
        let Ok(node) = planned.kind.build(&planned.options) else {
            return false;
        };
        body.replace(node);
        let opened = body.call(&cell.ports, &self.services, |node, ctx| node.open(ctx));
        // A node that can't even open is tried again after its pause, as one that failed.
        body.life = Life::Open;
        if let Err(error) = &opened {
            tracing::warn!(node = cell.ports.node, %error, "the node doesn't open");
            body.failures += 1;
        }
        body.not_before = (body.failures > 1 || opened.is_err()).then(|| now + pause(body.failures));
        true
    }
}

/// Twice as long after each failure in a row.
fn pause(failures: u32) -> i64 {
    let doublings = failures.saturating_sub(2).min(20);
    (FIRST_PAUSE_NANOS << doublings).min(LONGEST_PAUSE_NANOS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let millis: Vec<i64> = [2, 3, 4, 11, 100]
            .map(|failures| pause(failures) / 1_000_000)
            .to_vec();
        assert_eq!(millis, [100, 200, 400, 30_000, 30_000]);
    }
}
