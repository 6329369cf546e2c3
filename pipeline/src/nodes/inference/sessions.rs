//! Loaded models that several nodes use: a model's weights are in memory once.

use std::sync::{Arc, Mutex, Weak};

use crate::backend::{Backend, BackendError, Model, ModelIo, Session, TensorPort};
use crate::sync::lock;
use crate::tensor::Tensor;

/// A session, and what it was loaded from.
pub(super) struct Shared {
    pub(super) io: ModelIo,
    pub(super) session: Mutex<Box<dyn Session>>,
    // Held, so that their addresses name them as long as this is there.
    backend: Arc<dyn Backend>,
    bytes: Arc<[u8]>,
    threads: usize,
    any_size: bool,
    /// A session runs one call at a time: where calls of a node overlap, each of its copies has one.
    copy: usize,
    warm: Mutex<bool>,
}

static LOADED: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// The session of this model that is there already, or a new one.
pub(super) fn shared(
    backend: &Arc<dyn Backend>,
    model: &Model,
    any_size: bool,
    (copy, after_stuck): (usize, bool),
    load: impl FnOnce() -> Result<Box<dyn Session>, BackendError>,
) -> Result<Arc<Shared>, BackendError> {
    let same = |shared: &Arc<Shared>| {
        Arc::ptr_eq(&shared.backend, backend)
            && Arc::ptr_eq(&shared.bytes, &model.bytes)
            && (shared.threads, shared.any_size, shared.copy) == (model.threads, any_size, copy)
    };
    if after_stuck {
        // Nobody shall wait for a session whose call doesn't return.
        lock(&LOADED).retain(|shared| shared.upgrade().is_some_and(|shared| !same(&shared)));
    } else if let Some(found) = lock(&LOADED).iter().filter_map(Weak::upgrade).find(same) {
        return Ok(found);
    }
    // Without the lock: loading takes seconds, and another graph's models may wait.
    let made = Arc::new(Shared::new(backend, model, any_size, copy, load()?));
    let mut loaded = lock(&LOADED);
    loaded.retain(|shared| shared.strong_count() > 0);
    loaded.push(Arc::downgrade(&made));
    Ok(made)
}

impl Shared {
    pub(super) fn new(
        backend: &Arc<dyn Backend>,
        model: &Model,
        any_size: bool,
        copy: usize,
        session: Box<dyn Session>,
    ) -> Self {
        Self {
            io: session.io().clone(),
            session: Mutex::new(session),
            backend: Arc::clone(backend),
            bytes: Arc::clone(&model.bytes),
            threads: model.threads,
            any_size,
            copy,
            warm: Mutex::new(false),
        }
    }

    /// The first run prepares memory and threads: better now than on the first frame. A model with free sides may
    /// not like the example; then the first frame tells.
    pub(super) fn warm_up(&self, outputs: &mut Vec<Tensor>) {
        let mut warm = lock(&self.warm);
        if !std::mem::replace(&mut *warm, true) {
            let examples: Vec<Tensor> = self.io.inputs.iter().map(TensorPort::example).collect();
            let _ = lock(&self.session).run(&examples.iter().collect::<Vec<_>>(), outputs);
        }
    }

    pub(super) fn takes_batches(&self) -> bool {
        self.io
            .inputs
            .iter()
            .all(|port| port.shape.first() == Some(&None))
    }
}
