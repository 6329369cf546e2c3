//! Runs a validated graph on worker threads: start, feed, observe, measure, stop.

pub(crate) mod cell;
pub(crate) mod context;
mod crew;
mod current;
pub(crate) mod deliver;
pub(crate) mod drops;
mod end;
pub(crate) mod engine;
mod error;
mod feeding;
pub(crate) mod inbox;
pub(crate) mod limiter;
mod measure;
pub(crate) mod meter;
mod open;
pub(crate) mod policy;
pub(crate) mod pool;
pub(crate) mod ready;
mod reload;
mod restart;
pub(crate) mod shard;
pub(crate) mod status;
mod step;
mod streams;
mod stuck;
mod tell;
mod threads;
mod watch;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use crate::backend::{Backend, NoBackend};
use crate::clock::{Clock, RealClock};
use crate::contract::PortType;
use crate::options::OptionError;
use crate::packet::{Packet, SidePacket};
use crate::run::cell::Cell;
use crate::run::context::Ports;
use crate::run::current::Current;
use crate::run::engine::{Engine, Progress};
pub use crate::run::error::{FeedError, RunError, StartError};
pub use crate::run::reload::{ReloadError, ReloadReport};
use crate::service::GraphServices;
use crate::sink::{NoSink, SinkPort};
use crate::stats::DropReason;
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::trace::Trace;
use crate::validate::plan::{PlannedNode, ValidatedGraph};

/// What the program that runs a graph lends to it.
pub struct Inputs {
    /// By the name that the graph uses: the models, above all.
    pub side_packets: BTreeMap<String, SidePacket>,
    pub sink: Arc<dyn SinkPort>,
    pub clock: Arc<dyn Clock>,
    pub backend: Arc<dyn Backend>,
    /// Further objects for the nodes that ask for them.
    pub services: GraphServices,
    /// Sees what the graph's output streams carry.
    pub observer: Option<Arc<dyn Observer>>,
    /// Worker threads, in place of what the graph says.
    pub threads: Option<usize>,
    /// Collects what each thread does.
    pub trace: Option<Arc<Trace>>,
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            side_packets,
            sink: _,
            clock,
            backend,
            services,
            observer: _,
            threads,
            trace: _,
        } = self;
        let mut fields = f.debug_struct("Inputs");
        fields
            .field("side_packets", side_packets)
            .field("clock", clock)
            .field("backend", backend)
            .field("services", services);
        fields.field("threads", threads).finish_non_exhaustive()
    }
}

impl Default for Inputs {
    /// The real clock, no models, no runtime, and a sink that forgets.
    fn default() -> Self {
        Self {
            side_packets: BTreeMap::new(),
            sink: Arc::new(NoSink),
            clock: Arc::new(RealClock::new()),
            backend: Arc::new(NoBackend),
            services: GraphServices::default(),
            observer: None,
            threads: None,
            trace: None,
        }
    }
}

/// Sees a graph's output streams. Called on the worker that sends: must not block.
pub trait Observer: Send + Sync {
    fn seen(&self, stream: &str, what: Observed<'_>);

    /// A packet of this time was dropped at a node.
    fn dropped(&self, _node: &str, _reason: DropReason, _at: Timestamp) {}
}

/// What came on an output stream.
#[derive(Debug, Clone, Copy)]
pub enum Observed<'a> {
    Packet(&'a Packet),
    Bound(Timestamp),
    Closed,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStatus {
    /// Nodes are being opened: models load.
    Opening,
    Running,
    /// Sources have ended; what is on its way is still processed.
    Stopping,
    Finished,
    Cancelled,
    Failed(RunError),
}

impl RunStatus {
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled | Self::Failed(_))
    }
}

/// A started graph. Dropping it cancels the run.
pub struct RunningGraph {
    current: Arc<Current>,
    started: i64,
    window_started: Mutex<i64>,
}

impl std::fmt::Debug for RunningGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningGraph")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl ValidatedGraph {
    /// Starts the graph. Returns at once: nodes are opened by the workers, and `status` tells how that went.
    pub fn start(&self, inputs: Inputs) -> Result<RunningGraph, StartError> {
        let (clock, threads) = (Arc::clone(&inputs.clock), inputs.threads);
        let progress = Arc::new(Progress::new());
        let (engine, workers) = self.engine(inputs, Arc::clone(&progress), false)?;
        engine.pre_run().map_err(StartError::PreRun)?;
        let timed = Arc::new(Mutex::new(Arc::downgrade(&engine)));
        let watched = Arc::clone(&timed);
        clock.on_change(Box::new(move || {
            let engine = lock(&watched).upgrade();
            if let Some(engine) = engine {
                engine.services.pool.time_changed();
            }
        }));
        let started = clock.nanos();
        let current = Current::new(&engine, progress, timed, threads);
        threads::start(&engine, &workers, true, &current.threads)?;
        let graph = RunningGraph {
            current: Arc::new(current),
            started,
            window_started: Mutex::new(started),
        };
        graph.current.watch_for_stuck_nodes()?;
        Ok(graph)
    }

    /// Builds what runs the graph, and says how many workers each executor has. One that is built to take over from
    /// another lets nothing run before.
    fn engine(
        &self,
        mut inputs: Inputs,
        progress: Arc<Progress>,
        takes_over: bool,
    ) -> Result<(Arc<Engine>, Vec<usize>), StartError> {
        let plan = Arc::clone(&self.0);
        self.check_side_packets(&inputs.side_packets)?;
        inputs.services = inputs.services.for_graph(&plan)?;
        let observed = inputs.observer.is_some();
        let cells = plan
            .nodes
            .iter()
            .map(|node| cell(node, observed, &inputs.services));
        let cells = cells.collect::<Result<Vec<Cell>, StartError>>()?;
        let handlers = status::build(&plan)?;
        let own = inputs
            .threads
            .or(plan.threads)
            .unwrap_or_else(|| default_threads(cells.len()))
            .max(1);
        let workers: Vec<usize> = std::iter::once(own)
            .chain(plan.executors.iter().map(|executor| executor.threads.max(1)))
            .collect();
        let engine = Engine::new(plan, cells, handlers, inputs, &workers, progress, takes_over);
        Ok((Arc::new(engine), workers))
    }

    fn check_side_packets(&self, given: &BTreeMap<String, SidePacket>) -> Result<(), StartError> {
        for required in self.given_side_packets() {
            let (name, node, port) = (
                required.name.clone(),
                required.node.clone(),
                match required.port {
                    "" => "a port without a tag".to_owned(),
                    tag => tag.to_owned(),
                },
            );
            let wanted = required.carries.to_string();
            match given.get(&required.name).map(SidePacket::type_info) {
                None if required.optional => {}
                None => {
                    return Err(StartError::MissingSidePacket {
                        name,
                        node,
                        port,
                        wanted,
                    });
                }
                Some(found) if !required.takes(found) => {
                    let found = found.name();
                    return Err(StartError::SidePacketType {
                        name,
                        node,
                        port,
                        wanted,
                        found,
                    });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl RunningGraph {
    /// What runs the graph now. Hold it no longer than for one call: a reload waits for it.
    fn engine(&self) -> RwLockReadGuard<'_, Arc<Engine>> {
        self.current.engine()
    }

    pub fn status(&self) -> RunStatus {
        lock(&self.current.progress.outcome).status.clone()
    }

    /// Ends the sources and the graph's inputs; what is on its way is still processed.
    pub fn stop(&self) {
        self.engine().stop();
    }

    /// Ends the run between two calls of nodes; what is on its way is lost.
    pub fn cancel(&self) {
        self.engine().fail(RunError::Cancelled);
    }

    /// Lets no further node run until `resume`; those that run now finish.
    pub fn pause(&self) {
        self.engine().services.pool.pause();
    }

    pub fn resume(&self) {
        self.engine().services.pool.resume();
    }

    /// A side packet by the graph's name for it, once it is made.
    pub fn side_packet(&self, name: &str) -> Option<SidePacket> {
        lock(&self.engine().opening.side).get(name).cloned()
    }

    /// Waits until the run is over.
    pub fn wait(&self) -> Result<(), RunError> {
        let outcome = lock(&self.current.progress.outcome);
        let over = self
            .current
            .progress
            .changed
            .wait_while(outcome, |outcome| !outcome.status.is_over());
        let result = over.unwrap_or_else(PoisonError::into_inner).error.clone();
        threads::join(std::mem::take(&mut *lock(&self.current.threads)));
        result.map_or(Ok(()), Err)
    }

    /// Waits for the end at most this long; none when the run goes on, a node being stuck for instance.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Result<(), RunError>> {
        let outcome = lock(&self.current.progress.outcome);
        let waited = self
            .current
            .progress
            .changed
            .wait_timeout_while(outcome, limit, |outcome| !outcome.status.is_over());
        let (outcome, _) = waited.unwrap_or_else(PoisonError::into_inner);
        outcome
            .status
            .is_over()
            .then(|| outcome.error.clone().map_or(Ok(()), Err))
    }

    /// Waits until all nodes are open (or the run is over) and says how it went; none when the time is up.
    pub fn wait_open(&self, limit: Duration) -> Option<RunStatus> {
        let outcome = lock(&self.current.progress.outcome);
        let opening = |outcome: &mut engine::Outcome| outcome.status == RunStatus::Opening;
        let waited = self
            .current
            .progress
            .changed
            .wait_timeout_while(outcome, limit, opening);
        let (outcome, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (outcome.status != RunStatus::Opening).then(|| outcome.status.clone())
    }

    /// Waits until nothing can run before the graph is fed or its clock moves, or the run is over.
    pub fn wait_idle(&self) {
        let asked = self.engine().services.pool.ask_idle();
        let outcome = lock(&self.current.progress.outcome);
        let busy = |outcome: &mut engine::Outcome| outcome.idle_asked < asked && !outcome.status.is_over();
        drop(self.current.progress.changed.wait_while(outcome, busy));
    }
}

impl Drop for RunningGraph {
    fn drop(&mut self) {
        if !self.status().is_over() {
            self.cancel();
        }
    }
}

fn cell(planned: &PlannedNode, observed: bool, services: &GraphServices) -> Result<Cell, StartError> {
    let side_outputs = planned.side_outputs.iter().map(|(tag, index, _)| {
        let port = planned.contract.side_outputs.iter().find(|port| port.tag == *tag);
        (
            *tag,
            *index,
            port.map_or(PortType::Any, |port| port.carries.clone()),
        )
    });
    let ports = Ports {
        node: planned.name.clone(),
        inputs: planned.inputs.iter().map(|port| (port.tag, port.index)).collect(),
        outputs: planned
            .outputs
            .iter()
            .map(|port| (port.tag, port.index))
            .collect(),
        after_stuck: AtomicBool::new(false),
        side: OnceLock::new(),
        side_outputs: side_outputs.collect(),
        services: services.requested(&planned.contract.services),
    };
    Cell::new(planned, ports, observed).map_err(|errors| StartError::Options {
        node: planned.name.clone(),
        problem: errors.into_iter().next().unwrap_or(OptionError::Whole {
            problem: "unusable".to_owned(),
        }),
    })
}

/// At least two: a source must keep its time while another node computes.
fn default_threads(nodes: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores.min(nodes).max(2)
}

#[cfg(test)]
mod tests;
