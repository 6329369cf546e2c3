//! Workers and time: who runs next, who sleeps until when, and how a virtual clock moves on.
//!
//! Knows node numbers only. A worker keeps the node it woke itself and publishes what is left over, so a lone
//! packet never changes threads and a sleeping worker is woken only for work that another can't take.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Wait};
use crate::run::ready::ReadySet;
use crate::sync::lock;

/// Rounds of looking for work before a worker sleeps: a few microseconds.
const SPINS: u32 = 400;

#[derive(Debug)]
pub(crate) struct Pool {
    clock: Arc<dyn Clock>,
    ready: ReadySet,
    state: Mutex<State>,
    wake: Condvar,
    /// Workers asleep, readable without the lock.
    asleep: AtomicUsize,
    /// Workers in `spend` on a virtual clock wait apart: a wake-up for work must not reach them.
    spent: Condvar,
    idle_told: AtomicBool,
    halted: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    workers: usize,
    asleep: usize,
    /// Ends of the spans that workers spend on a virtual clock.
    spending: Vec<i64>,
    /// When and for which node; the node knows which of its wishes still holds.
    timers: BinaryHeap<Reverse<(i64, usize)>>,
    /// Raised by everybody who asks to be told when nothing can run.
    asked: u64,
}

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Run(usize),
    /// The time that a node waited for has come.
    Timer {
        node: usize,
        at: i64,
    },
    /// Nothing can run until somebody feeds the graph or moves its clock.
    Idle {
        asked: u64,
        timers: bool,
    },
    Halt,
}

impl Pool {
    pub(crate) fn new(clock: Arc<dyn Clock>, nodes: usize, workers: usize) -> Self {
        Self {
            clock,
            ready: ReadySet::new(nodes),
            state: Mutex::new(State {
                workers,
                ..State::default()
            }),
            wake: Condvar::new(),
            asleep: AtomicUsize::new(0),
            spent: Condvar::new(),
            idle_told: AtomicBool::new(false),
            halted: AtomicBool::new(false),
        }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Offers a node to whoever is free.
    pub(crate) fn publish(&self, node: usize) {
        self.ready.insert(node);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.state));
            self.wake.notify_one();
        }
    }

    pub(crate) fn publish_all(&self, nodes: Vec<usize>) {
        for node in nodes {
            self.publish(node);
        }
    }

    pub(crate) fn wake_node_at(&self, node: usize, at: i64) {
        let mut state = lock(&self.state);
        let earliest = state.timers.peek().is_none_or(|Reverse((first, _))| at < *first);
        state.timers.push(Reverse((at, node)));
        let sleepers = state.asleep;
        drop(state);
        if earliest && sleepers > 0 {
            // All: whoever stays asleep must know the new time when the others get busy.
            self.wake.notify_all();
        }
    }

    pub(crate) fn halt(&self) {
        self.halted.store(true, Ordering::SeqCst);
        self.time_changed();
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::SeqCst)
    }

    /// Has everybody look at the clock again.
    pub(crate) fn time_changed(&self) {
        drop(lock(&self.state));
        self.wake.notify_all();
        self.spent.notify_all();
    }

    /// Asks to be told, by `Work::Idle` of the returned number or a higher one, when nothing can run.
    pub(crate) fn ask_idle(&self) -> u64 {
        let mut state = lock(&self.state);
        state.asked += 1;
        let asked = state.asked;
        self.idle_told.store(false, Ordering::SeqCst);
        drop(state);
        self.wake.notify_all();
        asked
    }

    /// The most urgent of the worker's own node and the published ones; else sleeps until there is one.
    /// `choose` picks among published nodes. The second value says whether the worker slept.
    pub(crate) fn next(
        &self,
        own: Option<usize>,
        choose: impl Fn(&ReadySet) -> Option<usize>,
    ) -> (Work, bool) {
        if self.is_halted() {
            return (Work::Halt, false);
        }
        if let Some(node) = self.pick(own, &choose) {
            return (Work::Run(node), false);
        }
        for _ in 0..SPINS {
            spin_loop();
            if let Some(node) = self.pick(None, &choose) {
                return (Work::Run(node), true);
            }
        }
        loop {
            match self.sleep() {
                Some(work) => return (work, true),
                None => {
                    if let Some(node) = self.pick(None, &choose) {
                        return (Work::Run(node), true);
                    }
                }
            }
        }
    }

    /// Keeps the calling worker busy. On a virtual clock the worker counts as waiting for the end of the span.
    pub(crate) fn spend(&self, span: Duration) {
        let end = self.clock.nanos().saturating_add(span.as_nanos() as i64);
        if matches!(self.clock.wait_for(end), Wait::Sleep(_)) {
            while self.clock.nanos() < end && !self.is_halted() {
                spin_loop();
            }
            return;
        }
        let mut state = lock(&self.state);
        state.spending.push(end);
        while self.clock.nanos() < end && !self.is_halted() {
            if !self.jump_if_idle(&state) {
                state = self.spent.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if let Some(index) = state.spending.iter().position(|other| *other == end) {
            state.spending.swap_remove(index);
        }
    }

    fn pick(&self, own: Option<usize>, choose: &impl Fn(&ReadySet) -> Option<usize>) -> Option<usize> {
        loop {
            let best = choose(&self.ready);
            let Some(best) = best.filter(|best| own.is_none_or(|own| own < *best)) else {
                return own;
            };
            if self.ready.claim(best) {
                if self.idle_told.load(Ordering::Relaxed) {
                    self.idle_told.store(false, Ordering::Relaxed);
                }
                if let Some(node) = own {
                    self.publish(node);
                }
                return Some(best);
            }
        }
    }

    /// Sleeps until there may be a published node (none), or something else to do.
    fn sleep(&self) -> Option<Work> {
        let mut state = lock(&self.state);
        self.set_asleep(&mut state, true);
        let work = loop {
            if self.is_halted() {
                break Some(Work::Halt);
            }
            if !self.ready.is_empty() {
                break None;
            }
            let now = self.clock.nanos();
            match state.timers.peek() {
                Some(Reverse((at, node))) if *at <= now => {
                    let work = Work::Timer { node: *node, at: *at };
                    state.timers.pop();
                    self.idle_told.store(false, Ordering::SeqCst);
                    break Some(work);
                }
                _ => {}
            }
            if self.jump_if_idle(&state) {
                continue;
            }
            let all_asleep = state.asleep == state.workers;
            let time_stands = state
                .timers
                .peek()
                .is_none_or(|Reverse((at, _))| self.clock.wait_for(*at) == Wait::Told);
            if all_asleep && time_stands && !self.idle_told.swap(true, Ordering::SeqCst) {
                break Some(Work::Idle {
                    asked: state.asked,
                    timers: !state.timers.is_empty(),
                });
            }
            state = self.wait(state);
        };
        self.set_asleep(&mut state, false);
        work
    }

    fn wait<'a>(&self, state: std::sync::MutexGuard<'a, State>) -> std::sync::MutexGuard<'a, State> {
        let next = state
            .timers
            .peek()
            .map(|Reverse((at, _))| self.clock.wait_for(*at));
        match next {
            Some(Wait::Sleep(span)) => {
                let waited = self.wake.wait_timeout(state, span);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            _ => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a virtual clock to the next thing that waits for it, when nothing can run before. True if it moved.
    fn jump_if_idle(&self, state: &State) -> bool {
        if state.asleep + state.spending.len() != state.workers {
            return false;
        }
        let now = self.clock.nanos();
        let spend = state.spending.iter().min().copied();
        let timer = state.timers.peek().map(|Reverse((at, _))| *at);
        // With nobody asleep, nobody could serve a timer or a ready node: only the end of a span helps.
        let next = if state.asleep > 0 {
            if !self.ready.is_empty() {
                return false;
            }
            [spend, timer].into_iter().flatten().min()
        } else {
            spend
        };
        match next {
            Some(at) if at > now && self.clock.wait_for(at) == Wait::Jump => {
                self.clock.jump(at);
                self.wake.notify_all();
                self.spent.notify_all();
                true
            }
            _ => false,
        }
    }

    fn set_asleep(&self, state: &mut State, asleep: bool) {
        if asleep {
            state.asleep += 1;
        } else {
            state.asleep -= 1;
        }
        self.asleep.store(state.asleep, Ordering::SeqCst);
    }
}
