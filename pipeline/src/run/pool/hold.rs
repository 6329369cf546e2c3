//! Holding nodes back, by the user's `pause` or to let another pool take over between two frames.
//!
//! To take over, everything has to rest for a moment. A pool that just paused would stand for as long as its slowest
//! node still computes. So slow nodes are kept back first, each when it comes to its next call, while all others go
//! on; once none of the slow ones runs, the rest is held for the few microseconds that it needs to come to a stop.

use std::sync::PoisonError;
use std::time::Duration;

use crate::run::pool::Pool;
use crate::run::ready::ReadySet;
use crate::sync::atomic::Ordering;
use crate::sync::{Condvar, Instant, lock};

/// The user paused the graph.
pub(super) const PAUSED: u8 = 1;
/// Slow nodes are kept back.
const SLOW: u8 = 2;
/// Nothing may run.
pub(super) const ALL: u8 = 4;
/// Nothing has run yet.
const UNSTARTED: u8 = 8;
const HOLDS: u8 = SLOW | ALL | UNSTARTED;

#[derive(Debug)]
pub(super) struct Hold {
    slow: ReadySet,
    /// Slow nodes that could run and are kept back.
    kept: ReadySet,
    /// A worker came to rest, or finished with a node, while something was held.
    pub(super) changed: Condvar,
}

impl Hold {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            slow: ReadySet::new(nodes),
            kept: ReadySet::new(nodes),
            changed: Condvar::new(),
        }
    }
}

impl Pool {
    /// Lets nothing run until `take_over`.
    pub(crate) fn unstarted(self) -> Self {
        self.held.store(ALL | UNSTARTED, Ordering::SeqCst);
        self
    }

    pub(super) fn is_unstarted(&self) -> bool {
        self.held.load(Ordering::Relaxed) & UNSTARTED != 0
    }

    /// Whether nodes are held back for other reasons than the user's.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed) & HOLDS != 0
    }

    pub(super) fn is_keeping_back(&self) -> bool {
        self.is_held() && !self.hold.kept.is_empty()
    }

    /// Keeps these nodes from their next call on, besides those kept already.
    pub(crate) fn keep_back(&self, slow: impl Iterator<Item = usize>) {
        for node in slow {
            self.hold.slow.insert(node);
        }
        self.held.fetch_or(SLOW, Ordering::SeqCst);
    }

    /// True for a node that is kept back; it is offered again by `release`.
    pub(super) fn keeps_back(&self, node: usize) -> bool {
        let kept = self.held.load(Ordering::SeqCst) & SLOW != 0 && self.hold.slow.contains(node);
        if kept {
            self.hold.kept.insert(node);
            // `release` may have come in between.
            if self.held.load(Ordering::SeqCst) & SLOW == 0 && self.hold.kept.claim(node) {
                self.publish(node);
            }
        }
        kept
    }

    /// What a worker does with the node it woke itself while something is held: gives what it may run on with.
    pub(super) fn own_while_held(&self, node: usize) -> Option<usize> {
        if self.is_held() {
            self.tell_hold();
        }
        if self.is_paused() {
            self.publish(node);
            return None;
        }
        (!self.keeps_back(node)).then_some(node)
    }

    /// Waits at most `limit` for a worker to finish with a node or to come to rest.
    pub(crate) fn wait_for_workers(&self, limit: Duration) {
        let state = lock(&self.state);
        let waited = self.hold.changed.wait_timeout(state, limit);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Stops everything and waits at most `limit` until no worker is at work but `stuck` of them. True if so; else
    /// everything goes on.
    pub(crate) fn hold_all(&self, limit: Duration, stuck: usize) -> bool {
        self.held.fetch_or(ALL, Ordering::SeqCst);
        let end = Instant::now() + limit;
        let mut state = lock(&self.state);
        loop {
            if state.asleep + stuck >= state.workers && !state.reserve_busy || self.is_halted() {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                self.held.fetch_and(!ALL, Ordering::SeqCst);
                self.time_changed();
                return false;
            }
            let waited = self.hold.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends all holds but the user's.
    pub(crate) fn release(&self) {
        self.held.fetch_and(PAUSED, Ordering::SeqCst);
        self.hold.slow.clear();
        for node in self.hold.kept.take_all() {
            self.publish(node);
        }
        // While something was held, nobody was told that nothing can run.
        self.idle_told.store(false, Ordering::SeqCst);
        self.time_changed();
    }

    /// Starts in place of a pool that is held: what was asked of that one is asked of this one.
    pub(crate) fn take_over(&self, before: &Self) {
        let asked = lock(&before.state).asked;
        {
            let mut state = lock(&self.state);
            state.asked = state.asked.max(asked);
        }
        let paused = before.held.load(Ordering::SeqCst) & PAUSED;
        self.held.store(paused, Ordering::SeqCst);
        self.idle_told.store(false, Ordering::SeqCst);
        self.time_changed();
    }

    fn tell_hold(&self) {
        drop(lock(&self.state));
        self.hold.changed.notify_all();
    }
}
