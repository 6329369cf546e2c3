//! A graph from outside: fed, asked, ended; and its time.

use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::RwLock;
use shuttle::thread::{self, JoinHandle};

use crate::clock::{Clock, VirtualClock, Wait};
use crate::model::{Nodes, Run};
use crate::sync;

/// What runs the nodes now, as a running graph holds it: changed while nobody feeds.
pub(crate) struct Current {
    pub(crate) run: RwLock<Arc<Run>>,
    nodes: Arc<Nodes>,
}

impl Current {
    pub(crate) fn new(run: &Arc<Run>) -> Arc<Self> {
        Arc::new(Self {
            run: RwLock::new(Arc::clone(run)),
            nodes: Arc::clone(&run.nodes),
        })
    }

    /// A thread that feeds packets to a node, one after the other.
    pub(crate) fn feeder(self: &Arc<Self>, node: usize, packets: usize) -> JoinHandle<()> {
        let current = Arc::clone(self);
        thread::spawn(move || {
            for _ in 0..packets {
                current.run.read().unwrap().feed(node);
            }
        })
    }

    /// Waits until nothing can run.
    pub(crate) fn wait_idle(&self) {
        let asked = self.run.read().unwrap().pool.ask_idle();
        self.nodes.wait_told(asked);
    }

    /// Waits until nothing can run, and sees that nothing was left or done twice.
    pub(crate) fn end(&self, workers: Vec<JoinHandle<()>>, runs: &[u32]) {
        self.wait_idle();
        assert_eq!(self.nodes.runs(), runs);
        self.run.read().unwrap().pool.halt();
        join(workers);
    }
}

pub(crate) fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Time that passes by itself, as far as the test lets it.
#[derive(Debug)]
pub(crate) struct PassingClock;

impl Clock for PassingClock {
    fn nanos(&self) -> i64 {
        sync::nanos()
    }

    fn wait_for(&self, at: i64) -> Wait {
        Wait::Sleep(Duration::from_nanos(
            u64::try_from(at.saturating_sub(self.nanos())).unwrap_or(0),
        ))
    }
}

/// Time that stands: no wait ends by itself, so a wake-up that is lost is never made up for.
pub(crate) fn standing() -> Arc<dyn Clock> {
    Arc::new(VirtualClock::by_hand(0))
}
