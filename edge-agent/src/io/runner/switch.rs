//! Puts a graph in the place of the running one, on a thread of its own: opening a model takes seconds, in which the
//! old graph's figures are still told and a shutdown is still heard.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

use pipeline::RunningGraph;
use pipeline::run::{ReloadError, ReloadReport};

use super::figures::Figures;
use super::prepare::{Order, open_failed};
use crate::agent::Failure;

#[derive(Debug)]
pub(super) struct Switching {
    pub(super) order: Order,
    began: Instant,
    outcome: Receiver<Outcome>,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Switched(Figures, ReloadReport),
    /// The graph runs on as it was.
    Kept(Failure),
    /// Only a graph that is started anew can take this one's place.
    Impossible(String),
    /// A node's Open doesn't return, and can't be called off.
    Overdue,
}

impl Switching {
    pub(super) fn begin(graph: &Arc<RunningGraph>, order: Order, threads: usize) -> io::Result<Self> {
        let (sender, outcome) = channel();
        let (graph, taken) = (Arc::clone(graph), order.clone());
        std::thread::Builder::new().name("switch".into()).spawn(move || {
            // Whoever waited may have given up: the graph has ended then.
            drop(sender.send(switch(&graph, &taken, threads)));
        })?;
        Ok(Self {
            order,
            began: Instant::now(),
            outcome,
        })
    }

    /// What came of it, if that is known; at the latest after `limit`.
    pub(super) fn outcome(&self, limit: Duration) -> Option<Outcome> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) if self.began.elapsed() < limit => None,
            Err(TryRecvError::Empty) => Some(Outcome::Overdue),
            Err(TryRecvError::Disconnected) => Some(Outcome::Impossible("its thread broke off".into())),
        }
    }

    /// Whether it is over within this, once the graph has ended.
    pub(super) fn ends_within(&self, limit: Duration) -> bool {
        self.outcome.recv_timeout(limit).err() != Some(RecvTimeoutError::Timeout)
    }
}

fn switch(graph: &RunningGraph, order: &Order, threads: usize) -> Outcome {
    let prepared = match order.prepare(threads) {
        Ok(prepared) => prepared,
        Err(failure) => return Outcome::Kept(failure),
    };
    match graph.reload(&prepared.graph, prepared.side_packets) {
        Ok(report) => {
            // From here on the figures are those of the new graph.
            graph.take_window();
            Outcome::Switched(prepared.figures, report)
        }
        Err(error @ (ReloadError::Start(_) | ReloadError::Open { .. })) => {
            Outcome::Kept(open_failed(error.to_string()))
        }
        // What replaces a graph that is stuck, or has just ended, must not need its help.
        Err(error @ (ReloadError::Busy { .. } | ReloadError::CameBack | ReloadError::Over)) => {
            Outcome::Impossible(error.to_string())
        }
    }
}
