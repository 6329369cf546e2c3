//! A running graph from the inside: its state, and what has to be known of all nodes at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::node::NodeError;
use crate::packet::{Payload, SidePacket};
use crate::run::cell::Cell;
use crate::run::context::{Services, SharedSink};
use crate::run::deliver::Feed;
use crate::run::limiter::Limiter;
use crate::run::pool::{Classes, Pool};
use crate::run::status::Handlers;
use crate::run::{Inputs, Observer, RunError, RunStatus};
use crate::sync::lock;
use crate::trace::Tracing;
use crate::validate::plan::Plan;

pub(crate) struct Engine {
    pub(crate) plan: Arc<Plan>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) services: Services,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) tracing: Option<Tracing>,
    pub(crate) feeds: Vec<Feed>,
    /// Full streams on behalf of which each source and then each graph input is held back.
    pub(crate) throttles: Vec<AtomicIsize>,
    /// Earliest next packet of each source: the one furthest behind runs first.
    pub(crate) source_bounds: Vec<AtomicI64>,
    /// Processor time that each branch has used, for fairness between them.
    pub(crate) used: Vec<AtomicI64>,
    pub(crate) limiters: Vec<Limiter>,
    pub(crate) opening: Opening,
    /// They hear of the run, in the order of the plan's.
    pub(crate) handlers: Mutex<Handlers>,
    /// Sources not yet closed, by layer.
    pub(crate) layers: Mutex<BTreeMap<u32, usize>>,
    pub(crate) open_nodes: AtomicUsize,
    pub(crate) live_workers: AtomicUsize,
    pub(crate) stopping: AtomicBool,
    /// The run goes by this engine: not yet, or not any more, while another one prepares or has taken over.
    pub(crate) in_force: AtomicBool,
    pub(crate) progress: Arc<Progress>,
}

/// How the run goes, whichever engine it goes by.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) outcome: Mutex<Outcome>,
    pub(crate) changed: Condvar,
}

/// What nodes wait for before they open.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Per node: writers that aren't open and side packets that aren't made.
    pub(crate) missing: Vec<AtomicUsize>,
    /// Side packets by the graph's name for them.
    pub(crate) side: Mutex<BTreeMap<String, SidePacket>>,
    /// What writers said of whole streams.
    pub(crate) headers: Mutex<BTreeMap<String, Payload>>,
    /// The first pass over all nodes is over: who becomes able to open is run for it.
    pub(crate) passed: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: RunStatus,
    /// What ended the run early.
    pub(crate) error: Option<RunError>,
    pub(crate) idle_asked: u64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            outcome: Mutex::new(Outcome {
                status: RunStatus::Opening,
                error: None,
                idle_asked: 0,
            }),
            changed: Condvar::new(),
        }
    }
}

/// Nodes that became able to run, for whoever made them so.
pub(crate) type Woken = Vec<usize>;

/// How far a branch may fall behind the busiest in used time: a camera that comes back gets no more than this
/// before the others.
const FAIRNESS_WINDOW_NANOS: i64 = 500_000_000;

impl Engine {
    /// Whatever runs here is held until the pool is told otherwise if it `takes_over` from another engine.
    pub(crate) fn new(
        plan: Arc<Plan>,
        cells: Vec<Cell>,
        handlers: Handlers,
        inputs: Inputs,
        workers: &[usize],
        progress: Arc<Progress>,
        takes_over: bool,
    ) -> Self {
        let side = inputs.side_packets;
        let missing = plan
            .nodes
            .iter()
            .map(|node| AtomicUsize::new(node.opens_after.len() + node.unmade(&side).count()));
        let classes = Classes {
            sources: plan.sources,
            top_from: plan.top_from,
        };
        let lane_of = plan.nodes.iter().map(|node| node.executor).collect();
        let pool = Pool::new(inputs.clock, lane_of, classes, workers);
        let services = Services {
            pool: if takes_over { pool.unstarted() } else { pool },
            backend: inputs.backend,
            sink: SharedSink(inputs.sink),
            lent: inputs.services,
        };
        let mut layers = BTreeMap::new();
        for source in plan.nodes.iter().take(plan.sources) {
            *layers.entry(source.layer).or_default() += 1;
        }
        let names = plan.nodes.iter().map(|node| node.name.as_str());
        let tracing = inputs.trace.map(|trace| Tracing::new(trace, names));
        Self {
            feeds: plan.inputs.iter().map(|_| Feed::new()).collect(),
            throttles: (0..plan.sources + plan.inputs.len())
                .map(|_| AtomicIsize::new(0))
                .collect(),
            source_bounds: (0..plan.sources).map(|_| AtomicI64::new(i64::MIN)).collect(),
            used: (0..plan.branches).map(|_| AtomicI64::new(0)).collect(),
            limiters: Limiter::all(&plan, workers.iter().sum()),
            opening: Opening {
                missing: missing.collect(),
                side: Mutex::new(side),
                headers: Mutex::default(),
                passed: AtomicBool::new(false),
            },
            handlers: Mutex::new(handlers),
            layers: Mutex::new(layers),
            open_nodes: AtomicUsize::new(plan.nodes.len()),
            live_workers: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            in_force: AtomicBool::new(!takes_over),
            progress,
            plan,
            cells,
            services,
            observer: inputs.observer,
            tracing,
        }
    }

    pub(crate) fn node_failed(&self, cell: &Cell, call: &'static str, error: &NodeError) {
        lock(&cell.meter).failed();
        self.fail(RunError::Node {
            node: cell.ports.node.clone(),
            call,
            problem: error.to_string(),
        });
    }

    /// Which source is furthest behind, for choosing among those that can run.
    pub(crate) fn source_bound(&self, source: usize) -> i64 {
        self.source_bounds
            .get(source)
            .map_or(i64::MAX, |bound| bound.load(Ordering::Relaxed))
    }

    /// Charges a branch for processor time.
    pub(crate) fn charge(&self, branch: usize, nanos: i64) {
        if self.used.len() <= 1 {
            return;
        }
        let most = self.used.iter().map(|used| used.load(Ordering::Relaxed)).max();
        if let Some(used) = self.used.get(branch) {
            let floor = most.unwrap_or(0) - FAIRNESS_WINDOW_NANOS;
            let now = used.load(Ordering::Relaxed).max(floor) + nanos;
            // Two workers of one branch may overwrite each other: a rough balance is enough.
            used.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn used(&self, branch: usize) -> i64 {
        self.used
            .get(branch)
            .map_or(0, |used| used.load(Ordering::Relaxed))
    }
}
