//! ONNX Runtime, loaded when the first model is: an agent that runs none doesn't pay for it.

use pipeline::backend::ort::OrtBackend;
use pipeline::backend::{Backend, BackendError, Model, RuntimeInfo, Session};

/// The process's ONNX Runtime, whether it is loaded yet or not.
#[derive(Debug, Clone, Copy)]
pub struct LazyRuntime;

impl Backend for LazyRuntime {
    fn probe(&self) -> Result<RuntimeInfo, BackendError> {
        OrtBackend::new(None)?.probe()
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, BackendError> {
        OrtBackend::new(None)?.load(model)
    }
}
