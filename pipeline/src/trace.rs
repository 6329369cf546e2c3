//! A run as a trace file that Perfetto (ui.perfetto.dev) and chrome://tracing open: who ran when, on which thread.
//!
//! Each thread writes into a ring of its own, so that the newest events are kept and threads don't wait for each
//! other. Nothing becomes text before the file is written.

mod file;
mod ring;

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex};

use crate::stats::DropReason;
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::trace::ring::{Event, Ring, What};

/// Events of each thread that are kept when nothing else is said: 32 bytes each, some minutes of a usual graph.
pub const DEFAULT_EVENTS: usize = 1 << 18;

thread_local! {
    /// Where this thread writes; none where it is no worker of a traced run.
    static OWN: RefCell<Option<Arc<Mutex<Ring>>>> = const { RefCell::new(None) };
}

/// Collects the events of one run, or of several one after the other.
#[derive(Debug)]
pub struct Trace {
    /// Events of each thread that are kept.
    events: usize,
    threads: Mutex<Vec<Thread>>,
    /// What threads other than the workers tell.
    outside: Arc<Mutex<Ring>>,
    /// Names of the nodes of all runs, in the order in which the runs started.
    names: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Thread {
    name: String,
    ring: Arc<Mutex<Ring>>,
}

/// What a trace file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub events: u64,
    /// Older events that had to make room for newer ones.
    pub lost: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self::new(DEFAULT_EVENTS)
    }
}

impl Trace {
    /// Keeps this many events of each thread, the newest; at least one.
    pub fn new(events: usize) -> Self {
        let events = events.max(1);
        Self {
            events,
            threads: Mutex::default(),
            outside: Arc::new(Mutex::new(Ring::new(events))),
            names: Mutex::default(),
        }
    }

    /// Writes what has been collected so far as Chrome's JSON; the run may go on meanwhile.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<Written> {
        let names = lock(&self.names).clone();
        let tracks: Vec<(String, Ring)> = {
            let threads = lock(&self.threads);
            let outside = ("outside".to_owned(), lock(&self.outside).clone());
            let own = threads
                .iter()
                .map(|thread| (thread.name.clone(), lock(&thread.ring).clone()));
            own.chain(std::iter::once(outside)).collect()
        };
        file::write(&names, &tracks, out)
    }
}

/// A graph's part in a trace.
#[derive(Debug, Clone)]
pub(crate) struct Tracing {
    trace: Arc<Trace>,
    /// Number of the graph's first node among the trace's names.
    first: u32,
}

impl Tracing {
    pub(crate) fn new<'a>(trace: Arc<Trace>, nodes: impl Iterator<Item = &'a str>) -> Self {
        let first = {
            let mut names = lock(&trace.names);
            let first = names.len() as u32;
            names.extend(nodes.map(str::to_owned));
            first
        };
        Self { trace, first }
    }

    /// The trace itself, for a graph that takes over.
    pub(crate) fn trace(&self) -> Arc<Trace> {
        Arc::clone(&self.trace)
    }

    /// Gives the calling thread a track of its own.
    pub(crate) fn attach(&self) {
        let ring = Arc::new(Mutex::new(Ring::new(self.trace.events)));
        let name = std::thread::current().name().unwrap_or("worker").to_owned();
        lock(&self.trace.threads).push(Thread {
            name,
            ring: Arc::clone(&ring),
        });
        OWN.set(Some(ring));
    }

    /// A call of a node; times in nanoseconds.
    pub(crate) fn call(&self, node: usize, at: Timestamp, start: i64, end: i64) {
        let took = u64::try_from(end - start).unwrap_or(0);
        self.tell(node, start, at, took, What::Call);
    }

    pub(crate) fn drops(&self, node: usize, reason: DropReason, packets: u64, now: i64) {
        self.tell(node, now, Timestamp::UNSET, packets, What::Drops(reason));
    }

    /// So many packets wait at the node.
    pub(crate) fn waiting(&self, node: usize, packets: u64, now: i64) {
        self.tell(node, now, Timestamp::UNSET, packets, What::Waiting);
    }

    fn tell(&self, node: usize, start: i64, at: Timestamp, amount: u64, what: What) {
        let event = Event {
            start,
            at,
            amount,
            node: self.first + node as u32,
            what,
        };
        OWN.with_borrow(|own| lock(own.as_ref().unwrap_or(&self.trace.outside)).push(event));
    }
}
