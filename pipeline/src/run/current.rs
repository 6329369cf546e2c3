//! What a run goes by at the moment, and what a reload needs to change that.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::thread::JoinHandle;

use crate::run::engine::{Engine, Progress};

pub(crate) struct Current {
    /// A reload puts another one in its place.
    pub(super) engine: RwLock<Arc<Engine>>,
    pub(super) progress: Arc<Progress>,
    /// Hears of a clock that moves by hand.
    pub(super) timed: Arc<Mutex<Weak<Engine>>>,
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
    /// Worker threads, in place of what the graph says.
    pub(super) threads_asked: Option<usize>,
    /// One change at a time.
    pub(super) changing: Mutex<()>,
    /// Somebody looks for nodes that are stuck.
    pub(super) watched: AtomicBool,
}

impl Current {
    pub(super) fn new(
        engine: &Arc<Engine>,
        progress: Arc<Progress>,
        timed: Arc<Mutex<Weak<Engine>>>,
        threads_asked: Option<usize>,
    ) -> Self {
        Self {
            engine: RwLock::new(Arc::clone(engine)),
            progress,
            timed,
            threads: Mutex::default(),
            threads_asked,
            changing: Mutex::default(),
            watched: AtomicBool::new(false),
        }
    }

    /// What runs the graph now. Hold it no longer than for one call: a reload waits for it.
    pub(super) fn engine(&self) -> RwLockReadGuard<'_, Arc<Engine>> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }
}
