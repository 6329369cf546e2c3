//! Inference as the graph sees it: load a model, ask for its ports, run it. Which runtime does it is passed in.
//!
//! `backend/ort.rs` is the only file that names ONNX Runtime.

pub mod any_size;
#[cfg(feature = "ort")]
pub mod ort;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::tensor::{ElementType, Tensor, shape_text};

/// A model file as a side packet.
#[derive(Clone, PartialEq, Eq)]
pub struct Model {
    /// How errors call it: its name in the pipeline, or its file.
    pub name: String,
    pub bytes: Arc<[u8]>,
    /// Threads the runtime may use for one run.
    pub threads: usize,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Model({}, {} bytes, {} threads)",
            self.name,
            self.bytes.len(),
            self.threads
        )
    }
}

/// An inference runtime.
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// What is there, without loading a model. Fails when the runtime can't be used, and says why.
    fn probe(&self) -> Result<RuntimeInfo, BackendError>;

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, BackendError>;
}

/// A loaded model. Owns what it needs; used by one thread at a time.
pub trait Session: Send {
    fn io(&self) -> &ModelIo;

    /// Threads that it really got.
    fn threads(&self) -> usize;

    /// Runs on `inputs` (in the order of `io().inputs`) and writes to `outputs`, keeping their memory where the
    /// shapes allow. `outputs` may start empty. Wrong number, type or shape is refused before the runtime sees it.
    fn run(&mut self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), BackendError>;
}

/// The runtime on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeInfo {
    /// `onnxruntime`.
    pub name: String,
    pub version: String,
    /// What it was built from, as it says itself: with the version, a stable input for a runtime hash.
    pub build: String,
    /// Execution provider.
    pub provider: String,
}

/// A model's inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelIo {
    pub inputs: Vec<TensorPort>,
    pub outputs: Vec<TensorPort>,
}

/// One input or output of a model. A dimension of `None` may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TensorPort {
    pub name: String,
    pub element: ElementType,
    pub shape: Vec<Option<usize>>,
}

impl TensorPort {
    pub fn takes(&self, tensor: &Tensor) -> bool {
        let sides = self.shape.iter().zip(tensor.shape());
        self.element == tensor.element()
            && self.shape.len() == tensor.shape().len()
            && sides
                .into_iter()
                .all(|(wanted, found)| wanted.is_none_or(|wanted| wanted == *found))
    }

    /// Zeros of this port's shape, a free dimension being 1: what a measurement feeds.
    pub fn example(&self) -> Tensor {
        Tensor::zeros(
            self.shape.iter().map(|side| side.unwrap_or(1)).collect(),
            self.element,
        )
    }

    fn text(&self) -> String {
        let sides: Vec<String> = self
            .shape
            .iter()
            .map(|side| side.map_or("?".to_owned(), |side| side.to_string()))
            .collect();
        format!(
            "{} {}",
            self.element,
            if sides.is_empty() {
                "scalar".to_owned()
            } else {
                sides.join("×")
            }
        )
    }
}

/// Why inference isn't possible.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("this program was built without an inference runtime; build it with feature `ort`")]
    Absent,
    #[error("no ONNX Runtime at {path}; set ORT_DYLIB_PATH to libonnxruntime.so of version 1.{minor} or later", path = path.display())]
    NoLibrary { path: PathBuf, minor: u32 },
    #[error("{path} can't be used as ONNX Runtime: {problem}", path = path.display())]
    BadLibrary { path: PathBuf, problem: String },
    #[error("model {model} can't be loaded: {problem}; check that the file is a whole ONNX model")]
    Load { model: String, problem: String },
    #[error("model {model}: its {port} has elements of type {element}, which isn't supported")]
    Element {
        model: String,
        port: String,
        element: String,
    },
    #[error("model {model} takes {wanted} inputs but the node has {found}")]
    InputCount {
        model: String,
        wanted: usize,
        found: usize,
    },
    #[error(
        "model {model} takes {wanted} as input {port}, but got {found}; make the node before it give that shape"
    )]
    Input {
        model: String,
        port: String,
        wanted: String,
        found: String,
    },
    #[error("model {model} failed: {problem}")]
    Run { model: String, problem: String },
}

/// Checks inputs against a model before its runtime sees them.
pub fn check_inputs(model: &str, io: &ModelIo, inputs: &[&Tensor]) -> Result<(), BackendError> {
    if io.inputs.len() != inputs.len() {
        return Err(BackendError::InputCount {
            model: model.to_owned(),
            wanted: io.inputs.len(),
            found: inputs.len(),
        });
    }
    let wrong = io
        .inputs
        .iter()
        .zip(inputs)
        .find(|(port, tensor)| !port.takes(tensor));
    wrong.map_or(Ok(()), |(port, tensor)| {
        Err(BackendError::Input {
            model: model.to_owned(),
            port: port.name.clone(),
            wanted: port.text(),
            found: format!("{} {}", tensor.element(), shape_text(tensor.shape())),
        })
    })
}

/// No runtime: for graphs without models, and for whoever only validates.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBackend;

impl Backend for NoBackend {
    fn probe(&self) -> Result<RuntimeInfo, BackendError> {
        Err(BackendError::Absent)
    }

    fn load(&self, _model: &Model) -> Result<Box<dyn Session>, BackendError> {
        Err(BackendError::Absent)
    }
}
