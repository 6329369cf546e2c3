//! A graph reduced to what the scheduler sees of it: nodes that wait, run, and make others able to run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::Condvar;
use shuttle::thread::{self, JoinHandle};

use crate::clock::{Clock, Wait};
use crate::run::pool::{Classes, Pool, Work};
use crate::run::ready::ReadySet;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{self, Mutex, lock};

/// What a node does when it is called.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kind {
    /// The executor it runs in.
    pub(crate) lane: usize,
    /// Calls of a source, one every microsecond.
    pub(crate) ticks: i64,
    /// Microseconds of computing per call.
    pub(crate) computes: u64,
    /// A call ends when this node was called so often.
    pub(crate) waits_for: Option<(usize, u32)>,
}

/// The shape of a graph. Nodes are numbered as the real ones are: sources first, the most urgent last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(crate) kinds: Vec<Kind>,
    /// Who reads what each node writes.
    pub(crate) readers: BTreeMap<usize, Vec<usize>>,
    pub(crate) sources: usize,
    /// Nodes from this on are of the most urgent class.
    pub(crate) top_from: usize,
    /// Workers of each executor.
    pub(crate) workers: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Idle,
    Queued,
    Running,
    Timed(i64),
}

#[derive(Debug, Default)]
struct Node {
    phase: Phase,
    waiting: u32,
    runs: u32,
    ticked: i64,
}

/// The nodes, whichever pool runs them, and what was told of them.
pub(crate) struct Nodes {
    shape: Shape,
    all: Vec<Mutex<Node>>,
    /// Less urgent nodes that run now, by executor.
    less_urgent: Vec<AtomicUsize>,
    /// Who still feeds the graph; it ends by itself once nobody does.
    feeding: Mutex<usize>,
    /// The highest question that was answered by "nothing can run".
    idle: Mutex<u64>,
    idle_told: Condvar,
}

/// Nodes with the pool that runs them.
pub(crate) struct Run {
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) pool: Pool,
}

impl Nodes {
    /// Nodes that run until they are halted.
    pub(crate) fn new(shape: Shape) -> Arc<Self> {
        Self::fed_by(usize::MAX, shape)
    }

    /// Nodes that end by themselves when so many have closed what they feed.
    pub(crate) fn fed_by(feeding: usize, shape: Shape) -> Arc<Self> {
        Arc::new(Self {
            feeding: Mutex::new(feeding),
            all: shape.kinds.iter().map(|_| Mutex::default()).collect(),
            less_urgent: shape.workers.iter().map(|_| AtomicUsize::new(0)).collect(),
            idle: Mutex::new(0),
            idle_told: Condvar::new(),
            shape,
        })
    }

    pub(crate) fn runs(&self) -> Vec<u32> {
        self.all.iter().map(|node| lock(node).runs).collect()
    }

    /// Nodes in the middle of a call.
    pub(crate) fn running(&self) -> Vec<usize> {
        let running = |index: &usize| lock(&self.all[*index]).phase == Phase::Running;
        (0..self.all.len()).filter(running).collect()
    }

    /// Waits for the answer to a question whether anything can run.
    pub(crate) fn wait_told(&self, asked: u64) {
        let mut idle = lock(&self.idle);
        while *idle < asked {
            idle = self.idle_told.wait(idle).unwrap();
        }
    }

    fn is_less_urgent(&self, node: usize) -> bool {
        (self.shape.sources..self.shape.top_from).contains(&node)
    }

    /// How many less urgent nodes of an executor may run at once.
    fn limit(&self, lane: usize) -> usize {
        let kept = self.shape.top_from > self.shape.sources && self.shape.top_from < self.all.len();
        (self.shape.workers[lane] - usize::from(kept)).max(1)
    }
}

impl Run {
    pub(crate) fn new(nodes: &Arc<Nodes>, clock: Arc<dyn Clock>) -> Self {
        let shape = &nodes.shape;
        let classes = Classes {
            sources: shape.sources,
            top_from: shape.top_from,
        };
        let lane_of = shape.kinds.iter().map(|kind| kind.lane).collect();
        Self {
            pool: Pool::new(clock, lane_of, classes, &shape.workers),
            nodes: Arc::clone(nodes),
        }
    }

    /// One that takes over from another.
    pub(crate) fn unstarted(nodes: &Arc<Nodes>, clock: Arc<dyn Clock>) -> Self {
        let run = Self::new(nodes, clock);
        Self {
            pool: run.pool.unstarted(),
            ..run
        }
    }

    pub(crate) fn start(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let lanes = self.nodes.shape.workers.iter().enumerate();
        let lanes = lanes.flat_map(|(lane, workers)| vec![lane; *workers]);
        lanes
            .map(|lane| {
                let run = Arc::clone(self);
                thread::spawn(move || run.work(lane))
            })
            .collect()
    }

    /// Sources begin.
    pub(crate) fn begin(&self) {
        for source in 0..self.nodes.shape.sources {
            lock(&self.nodes.all[source]).phase = Phase::Queued;
            self.pool.publish(source);
        }
    }

    /// A packet comes from outside.
    pub(crate) fn feed(&self, node: usize) {
        let mut woken = Vec::new();
        self.deliver(node, &mut woken);
        self.pool.publish_all(woken);
    }

    /// The last packet from outside: nobody sees it closed before what it woke can be seen.
    pub(crate) fn feed_last(&self, node: usize) {
        let mut feeding = lock(&self.nodes.feeding);
        self.feed(node);
        *feeding -= 1;
    }

    /// Hands what is queued to a pool that takes over, while nobody works.
    pub(crate) fn hand_over(&self, to: &Self) {
        for (index, node) in self.nodes.all.iter().enumerate() {
            let phase = lock(node).phase;
            assert_ne!(phase, Phase::Running, "node {index} runs while all are held");
            match phase {
                Phase::Queued => to.pool.publish(index),
                Phase::Timed(at) => to.pool.wake_node_at(index, at),
                _ => {}
            }
        }
        to.pool.take_over(&self.pool);
    }

    /// The worker's loop of `run/worker.rs`.
    fn work(&self, lane: usize) {
        let choose = |ready: &ReadySet, own: Option<usize>, top_only: bool| self.choose(ready, own, top_only);
        let mut own = None;
        let mut woken = Vec::new();
        loop {
            match self.pool.next(lane, own.take(), &choose).0 {
                Work::Halt => return,
                Work::Idle { asked, .. } => {
                    if *lock(&self.nodes.feeding) == 0 && self.pool.others_rest() {
                        self.pool.halt();
                    }
                    let mut idle = lock(&self.nodes.idle);
                    *idle = asked.max(*idle);
                    drop(idle);
                    self.nodes.idle_told.notify_all();
                }
                Work::Timer { node, at } => {
                    if self.timer(node, at) {
                        if self.pool.is_of(node, lane) {
                            own = Some(node);
                        } else {
                            self.pool.publish(node);
                        }
                    }
                }
                Work::Run(node) => {
                    self.step(node, &mut woken);
                    self.pool.finished(lane, node);
                    let mine = woken.iter().filter(|node| self.pool.is_of(**node, lane));
                    own = mine.max().copied();
                    for node in woken.drain(..).filter(|node| Some(*node) != own) {
                        self.pool.publish(node);
                    }
                }
            }
        }
    }

    /// The loop of the thread that keeps the sources' time.
    pub(crate) fn stand_in(&self) {
        let mut woken = Vec::new();
        while let Some((node, at)) = self.pool.overdue() {
            if !self.timer(node, at) {
                continue;
            }
            if node < self.nodes.shape.sources {
                self.step(node, &mut woken);
            } else {
                woken.push(node);
            }
            self.pool.publish_all(std::mem::take(&mut woken));
        }
    }

    fn choose(&self, ready: &ReadySet, own: Option<usize>, top_only: bool) -> Option<usize> {
        let shape = &self.nodes.shape;
        let fits = |node: &usize| !top_only || *node >= shape.top_from || *node < shape.sources;
        let best = if top_only {
            ready.below(shape.kinds.len()).filter(fits).max()
        } else {
            ready.highest()
        };
        best.filter(|best| own.is_none_or(|own| *best > own))
    }

    fn timer(&self, index: usize, at: i64) -> bool {
        let mut node = lock(&self.nodes.all[index]);
        let waited = node.phase == Phase::Timed(at);
        if waited {
            node.phase = Phase::Queued;
        }
        waited
    }

    fn step(&self, index: usize, woken: &mut Vec<usize>) {
        let kind = self.nodes.shape.kinds[index];
        {
            let mut node = lock(&self.nodes.all[index]);
            assert_eq!(node.phase, Phase::Queued, "node {index} is called");
            node.phase = Phase::Running;
        }
        self.compute(index, kind);
        for reader in self.nodes.shape.readers.get(&index).into_iter().flatten() {
            self.deliver(*reader, woken);
        }
        let mut node = lock(&self.nodes.all[index]);
        node.runs += 1;
        node.ticked += 1;
        let wish = node.ticked * 1_000;
        node.phase = if index < self.nodes.shape.sources {
            if node.ticked == kind.ticks {
                Phase::Idle
            } else if wish > self.pool.clock().nanos() {
                Phase::Timed(wish)
            } else {
                Phase::Queued
            }
        } else {
            node.waiting -= 1;
            if node.waiting > 0 {
                Phase::Queued
            } else {
                Phase::Idle
            }
        };
        let phase = node.phase;
        drop(node);
        match phase {
            Phase::Queued => woken.push(index),
            Phase::Timed(at) => self.pool.wake_node_at(index, at),
            _ => {}
        }
    }

    fn compute(&self, index: usize, kind: Kind) {
        let counts = self.nodes.is_less_urgent(index);
        let running = &self.nodes.less_urgent[kind.lane];
        if counts {
            let others = running.fetch_add(1, Ordering::SeqCst);
            assert!(
                others < self.nodes.limit(kind.lane),
                "no worker is free for the most urgent"
            );
        }
        if let Some((other, runs)) = kind.waits_for {
            while lock(&self.nodes.all[other]).runs < runs {
                thread::yield_now();
            }
        }
        if kind.computes > 0 {
            let span = Duration::from_micros(kind.computes);
            if matches!(self.pool.clock().wait_for(i64::MAX), Wait::Sleep(_)) {
                sync::work_for(span);
            } else {
                self.pool.spend(span);
            }
        }
        if counts {
            running.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn deliver(&self, index: usize, woken: &mut Vec<usize>) {
        let mut node = lock(&self.nodes.all[index]);
        node.waiting += 1;
        if node.phase == Phase::Idle {
            node.phase = Phase::Queued;
            woken.push(index);
        }
    }
}
