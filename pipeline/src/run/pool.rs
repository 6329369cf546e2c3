//! Workers and time: who runs next, who sleeps until when, and how a virtual clock moves on.
//!
//! Knows node numbers only. A worker keeps the node it woke itself and publishes what is left over, so a lone
//! packet never changes threads and a sleeping worker is woken only for work that another can't take.

// Named, so that the file is found too when `tests/permute` takes in this one.
#[path = "pool/hold.rs"]
pub(crate) mod hold;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Wait};
use crate::run::pool::hold::{ALL, Hold, PAUSED};
use crate::run::ready::ReadySet;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, SPINS, lock, spin_loop};

/// How late a timer may be served before the reserve thread steps in for busy workers.
const RESERVE_AFTER: Duration = Duration::from_micros(300);

#[derive(Debug)]
pub(crate) struct Pool {
    clock: Arc<dyn Clock>,
    /// One per executor; the graph's own first.
    lanes: Vec<Lane>,
    /// Executor of each node.
    lane_of: Vec<usize>,
    classes: Classes,
    state: Mutex<State>,
    /// Workers in `spend` on a virtual clock wait apart: a wake-up for work must not reach them.
    spent: Condvar,
    reserve: Condvar,
    idle_told: AtomicBool,
    halted: AtomicBool,
    /// What may not run now; see `hold`.
    held: AtomicU8,
    hold: Hold,
}

/// The nodes of one executor that can run, and its workers that wait for them.
#[derive(Debug)]
struct Lane {
    ready: ReadySet,
    wake: Condvar,
    /// Workers asleep, readable without the lock.
    asleep: AtomicUsize,
    /// Workers that run less urgent nodes, and how many may: one is kept for the most urgent class.
    less_urgent: AtomicUsize,
    less_urgent_limit: usize,
}

/// Which node numbers are of which urgency.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Classes {
    /// Nodes below this are sources: short, and never held back.
    pub(crate) sources: usize,
    /// Nodes from this on are of the graph's most urgent class.
    pub(crate) top_from: usize,
}

impl Classes {
    fn is_less_urgent(self, node: usize) -> bool {
        (self.sources..self.top_from).contains(&node)
    }
}

/// Picks the most urgent of the published nodes: one more urgent than the worker's own, and where the bool is set
/// only of the most urgent class or a source.
pub(crate) trait Choose: Fn(&ReadySet, Option<usize>, bool) -> Option<usize> {}
impl<F: Fn(&ReadySet, Option<usize>, bool) -> Option<usize>> Choose for F {}

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
    /// The reserve thread runs a node.
    reserve_busy: bool,
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

impl Lane {
    fn is_saturated(&self) -> bool {
        self.less_urgent.load(Ordering::Relaxed) >= self.less_urgent_limit
    }
}

impl Pool {
    /// `lane_of` gives each node's executor, `workers` the threads of each executor.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        lane_of: Vec<usize>,
        classes: Classes,
        workers: &[usize],
    ) -> Self {
        let kept_free = usize::from(classes.top_from > classes.sources && classes.top_from < lane_of.len());
        let nodes = lane_of.len();
        let lane = |workers: &usize| Lane {
            ready: ReadySet::new(lane_of.len()),
            wake: Condvar::new(),
            asleep: AtomicUsize::new(0),
            less_urgent: AtomicUsize::new(0),
            less_urgent_limit: (workers - kept_free).max(1),
        };
        Self {
            clock,
            lanes: workers.iter().map(lane).collect(),
            lane_of,
            classes,
            state: Mutex::new(State {
                workers: workers.iter().sum(),
                ..State::default()
            }),
            spent: Condvar::new(),
            reserve: Condvar::new(),
            idle_told: AtomicBool::new(false),
            halted: AtomicBool::new(false),
            held: AtomicU8::new(0),
            hold: Hold::new(nodes),
        }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Offers a node to whoever is free.
    pub(crate) fn publish(&self, node: usize) {
        let Some(lane) = self.lane(node) else { return };
        lane.ready.insert(node);
        if lane.asleep.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.state));
            lane.wake.notify_one();
        }
    }

    pub(crate) fn publish_all(&self, nodes: Vec<usize>) {
        for node in nodes {
            self.publish(node);
        }
    }

    /// Whether workers of this executor run the node.
    pub(crate) fn is_of(&self, node: usize, lane: usize) -> bool {
        self.lane_of.get(node) == Some(&lane)
    }

    pub(crate) fn wake_node_at(&self, node: usize, at: i64) {
        let mut state = lock(&self.state);
        let earliest = state.timers.peek().is_none_or(|Reverse((first, _))| at < *first);
        state.timers.push(Reverse((at, node)));
        let sleepers = state.asleep;
        drop(state);
        if earliest {
            if sleepers > 0 {
                // All: whoever stays asleep must know the new time when the others get busy.
                self.wake_all();
            }
            self.reserve.notify_one();
        }
    }

    pub(crate) fn halt(&self) {
        self.halted.store(true, Ordering::SeqCst);
        self.time_changed();
        // Whoever waits for the workers to come to rest: they don't any more, they leave.
        self.hold.changed.notify_all();
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Has no further node run until `resume`; those that run now finish.
    pub(crate) fn pause(&self) {
        self.held.fetch_or(PAUSED, Ordering::SeqCst);
    }

    pub(crate) fn resume(&self) {
        self.held.fetch_and(!PAUSED, Ordering::SeqCst);
        self.time_changed();
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.held.load(Ordering::Relaxed) & (PAUSED | ALL) != 0
    }

    /// Has everybody look at the clock again.
    pub(crate) fn time_changed(&self) {
        drop(lock(&self.state));
        self.wake_all();
        self.spent.notify_all();
        self.reserve.notify_all();
    }

    /// Whether nothing can run but the calling worker.
    pub(crate) fn others_rest(&self) -> bool {
        let state = lock(&self.state);
        let asleep = state.asleep + 1 == state.workers && !state.reserve_busy;
        asleep && !self.is_held() && self.lanes.iter().all(|lane| lane.ready.is_empty())
    }

    /// Asks to be told, by `Work::Idle` of the returned number or a higher one, when nothing can run.
    pub(crate) fn ask_idle(&self) -> u64 {
        let mut state = lock(&self.state);
        state.asked += 1;
        let asked = state.asked;
        self.idle_told.store(false, Ordering::SeqCst);
        drop(state);
        self.wake_all();
        asked
    }

    /// The most urgent of the worker's own node and the published ones; else sleeps until there is one.
    /// The second value says whether the worker waited.
    pub(crate) fn next(&self, lane: usize, own: Option<usize>, choose: &impl Choose) -> (Work, bool) {
        if self.is_halted() {
            return (Work::Halt, false);
        }
        let own = match own {
            Some(node) if self.held.load(Ordering::Relaxed) != 0 => self.own_while_held(node),
            own => own,
        };
        if let Some(node) = self.pick(lane, own, choose) {
            return (Work::Run(node), false);
        }
        for _ in 0..SPINS {
            spin_loop();
            if let Some(node) = self.pick(lane, None, choose) {
                return (Work::Run(node), true);
            }
        }
        loop {
            match self.sleep(lane) {
                Some(work) => return (work, true),
                None => {
                    if let Some(node) = self.pick(lane, None, choose) {
                        return (Work::Run(node), true);
                    }
                }
            }
        }
    }

    /// Waits until a timer is overdue because all workers are busy; none when the run is over.
    pub(crate) fn overdue(&self) -> Option<(usize, i64)> {
        let mut state = lock(&self.state);
        if state.reserve_busy {
            state.reserve_busy = false;
            self.hold.changed.notify_all();
            // The last worker to fall asleep may have waited for this.
            self.wake_all();
        }
        loop {
            if self.is_halted() {
                return None;
            }
            let first = state.timers.peek().map(|Reverse(first)| *first);
            state = match first {
                Some((at, node)) if !self.is_paused() => {
                    let late = at.saturating_add(RESERVE_AFTER.as_nanos() as i64);
                    match self.clock.wait_for(late) {
                        Wait::Sleep(Duration::ZERO) => {
                            state.timers.pop();
                            state.reserve_busy = true;
                            return Some((node, at));
                        }
                        Wait::Sleep(span) => {
                            let waited = self.reserve.wait_timeout(state, span);
                            waited.unwrap_or_else(PoisonError::into_inner).0
                        }
                        Wait::Jump | Wait::Told => return None,
                    }
                }
                _ => self.reserve.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Keeps the calling worker busy. On a virtual clock the worker counts as waiting for the end of the span.
    pub(crate) fn spend(&self, span: Duration) {
        let end = self.clock.nanos().saturating_add(span.as_nanos() as i64);
        if self.is_unstarted() {
            // Nobody would move a virtual clock on behalf of a graph that isn't there yet.
            return;
        }
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

    fn lane(&self, node: usize) -> Option<&Lane> {
        self.lanes.get(*self.lane_of.get(node)?)
    }

    fn wake_all(&self) {
        for lane in &self.lanes {
            lane.wake.notify_all();
        }
    }

    /// A worker is done with a node.
    pub(crate) fn finished(&self, lane: usize, node: usize) {
        if !self.classes.is_less_urgent(node) {
            return;
        }
        if let Some(lane) = self.lanes.get(lane) {
            lane.less_urgent.fetch_sub(1, Ordering::SeqCst);
            if lane.asleep.load(Ordering::SeqCst) > 0 && !lane.ready.is_empty() {
                drop(lock(&self.state));
                lane.wake.notify_one();
            }
        }
    }

    fn pick(&self, lane: usize, own: Option<usize>, choose: &impl Choose) -> Option<usize> {
        let lane = self.lanes.get(lane)?;
        let held = self.held.load(Ordering::Relaxed);
        if held & (PAUSED | ALL) != 0 {
            // Since the worker looked: its own node waits with the others.
            if let Some(node) = own {
                self.publish(node);
            }
            return None;
        }
        let mut own = own;
        loop {
            let Some(best) = choose(&lane.ready, own, lane.is_saturated()) else {
                let node = own?;
                if self.may_run(lane, node) {
                    return Some(node);
                }
                self.publish(node);
                own = None;
                continue;
            };
            if !lane.ready.claim(best) || held != 0 && self.keeps_back(best) {
                continue;
            }
            if !self.may_run(lane, best) {
                lane.ready.insert(best);
                continue;
            }
            if self.idle_told.load(Ordering::Relaxed) {
                self.idle_told.store(false, Ordering::Relaxed);
            }
            if let Some(node) = own {
                self.publish(node);
            }
            return Some(best);
        }
    }

    /// Takes one of the places of less urgent nodes, where the node needs one.
    fn may_run(&self, lane: &Lane, node: usize) -> bool {
        if !self.classes.is_less_urgent(node) {
            return true;
        }
        let taken = lane.less_urgent.fetch_add(1, Ordering::SeqCst);
        if taken >= lane.less_urgent_limit {
            lane.less_urgent.fetch_sub(1, Ordering::SeqCst);
            return false;
        }
        true
    }

    fn is_runnable(&self, lane: &Lane) -> bool {
        if lane.is_saturated() {
            let less_urgent = |node| self.classes.is_less_urgent(node);
            lane.ready
                .below(self.lane_of.len())
                .any(|node| !less_urgent(node))
        } else {
            !lane.ready.is_empty()
        }
    }

    /// Sleeps until there may be a published node (none), or something else to do.
    fn sleep(&self, lane_index: usize) -> Option<Work> {
        let lane = self.lanes.get(lane_index)?;
        let mut state = lock(&self.state);
        state.asleep += 1;
        lane.asleep.fetch_add(1, Ordering::SeqCst);
        let work = loop {
            if self.is_halted() {
                break Some(Work::Halt);
            }
            let paused = self.is_paused();
            if !paused && self.is_runnable(lane) {
                break None;
            }
            let now = self.clock.nanos();
            match state.timers.peek() {
                Some(Reverse((at, node))) if *at <= now && lane_index == 0 && !paused => {
                    let work = Work::Timer { node: *node, at: *at };
                    state.timers.pop();
                    self.idle_told.store(false, Ordering::SeqCst);
                    break Some(work);
                }
                _ => {}
            }
            if !paused && self.jump_if_idle(&state) {
                continue;
            }
            if self.nothing_runs(&state) && !self.idle_told.swap(true, Ordering::SeqCst) {
                break Some(Work::Idle {
                    asked: state.asked,
                    timers: !state.timers.is_empty(),
                });
            }
            if self.is_held() {
                self.hold.changed.notify_all();
            }
            state = self.wait(lane, state);
        };
        state.asleep -= 1;
        lane.asleep.fetch_sub(1, Ordering::SeqCst);
        work
    }

    fn nothing_runs(&self, state: &State) -> bool {
        let time_stands = state
            .timers
            .peek()
            .is_none_or(|Reverse((at, _))| self.clock.wait_for(*at) == Wait::Told);
        let all_asleep = state.asleep == state.workers && !state.reserve_busy;
        all_asleep
            && !self.is_held()
            && (self.is_paused() || time_stands && self.lanes.iter().all(|lane| lane.ready.is_empty()))
    }

    fn wait<'a>(&self, lane: &Lane, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let next = state
            .timers
            .peek()
            .filter(|_| !self.is_paused())
            .map(|Reverse((at, _))| self.clock.wait_for(*at));
        match next {
            Some(Wait::Sleep(span)) => {
                let waited = lane.wake.wait_timeout(state, span);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            _ => lane.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
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
            if self.lanes.iter().any(|lane| self.is_runnable(lane)) {
                return false;
            }
            // Nodes that are kept back could run: time goes on only with the call that they wait for.
            if spend.is_none() && self.is_keeping_back() {
                return false;
            }
            [spend, timer].into_iter().flatten().min()
        } else {
            spend
        };
        let work_moves = self.clock.moves_with_work();
        match next {
            Some(at)
                if at > now && (spend.is_some() && work_moves || self.clock.wait_for(at) == Wait::Jump) =>
            {
                self.clock.jump(at);
                self.wake_all();
                self.spent.notify_all();
                true
            }
            _ => false,
        }
    }
}
