//! SIGTERM and SIGINT as a question that work asks between two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::training::{Checkpoint, Moment, Observer};

/// Whether the program was asked to end.
#[derive(Debug, Clone, Default)]
pub struct Termination(Arc<AtomicBool>);

impl Termination {
    /// Listens from here on, in a thread of its own.
    pub fn listen() -> Result<Self, Exit> {
        let asked = Self::default();
        let seen = asked.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime
            .context("can't listen for signals")
            .map_err(Exit::Temporary)?;
        let signals = runtime.block_on(async {
            Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
        });
        let (mut terminate, mut interrupt) = signals
            .context("can't listen for signals")
            .map_err(Exit::Temporary)?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            seen.ask();
        });
        Ok(asked)
    }

    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Watches as the other observer does, and stops when the program was asked to end.
#[derive(Debug)]
pub struct Until<O> {
    pub observer: O,
    pub termination: Termination,
}

impl<O: Observer> Observer for Until<O> {
    fn go_on(&mut self, at: &Moment) -> bool {
        self.observer.go_on(at) && !self.termination.is_asked()
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.observer.checkpoint(checkpoint);
    }
}
