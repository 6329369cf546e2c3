//! Inference with ONNX Runtime. The only file that names `ort`.
//!
//! The shared library is loaded once per process, from a path that is checked before: `ort` itself panics or waits
//! for ever where it finds none.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::environment::Environment;
use ort::session::{Session as OrtSession, SessionInputValue};
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef};

use crate::backend::{Backend, BackendError, Model, ModelIo, RuntimeInfo, Session, TensorPort, check_inputs};
use crate::sync::lock;
use crate::tensor::{ElementType, Tensor, TensorData};

/// ONNX Runtime from a shared library.
#[derive(Debug, Clone)]
pub struct OrtBackend {
    environment: Environment,
    path: PathBuf,
}

const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";
const DEFAULT_LIBRARY: &str = "libonnxruntime.so";

/// A process has one runtime: whoever comes later gets the same.
static LOADED: Mutex<Option<OrtBackend>> = Mutex::new(None);

impl OrtBackend {
    /// Loads the library at `path`, else at `ORT_DYLIB_PATH`, else `libonnxruntime.so` where the system finds it.
    pub fn new(path: Option<&Path>) -> Result<Self, BackendError> {
        let path = find(path)?;
        let mut loaded = lock(&LOADED);
        if let Some(backend) = &*loaded {
            return backend.clone().if_from(&path);
        }
        let bad = |problem: String| BackendError::BadLibrary {
            path: path.clone(),
            problem,
        };
        let builder = ort::init_from(&path).map_err(|error| bad(error.to_string()))?;
        let environment = builder.with_name("haizen").with_telemetry(false).build();
        let environment = environment.map_err(|error| bad(error.to_string()))?;
        Ok(loaded.insert(Self { environment, path }).clone())
    }

    fn if_from(self, path: &Path) -> Result<Self, BackendError> {
        if self.path == path {
            return Ok(self);
        }
        let problem = format!(
            "this process already uses {}; restart it to change",
            self.path.display()
        );
        Err(BackendError::BadLibrary {
            path: path.to_owned(),
            problem,
        })
    }
}

impl Backend for OrtBackend {
    fn probe(&self) -> Result<RuntimeInfo, BackendError> {
        let build = ort::info().to_owned();
        Ok(RuntimeInfo {
            name: "onnxruntime".to_owned(),
            version: version(&self.path, &build),
            build,
            provider: "CPUExecutionProvider".to_owned(),
        })
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, BackendError> {
        let failed = |problem: String| BackendError::Load {
            model: model.name.clone(),
            problem,
        };
        let builder = OrtSession::builder(&self.environment).map_err(|error| failed(error.to_string()))?;
        let builder = builder
            .with_intra_threads(model.threads)
            .map_err(|error| failed(error.to_string()))?;
        let mut builder = builder
            .with_inter_threads(1)
            .map_err(|error| failed(error.to_string()))?;
        let session = builder
            .commit_from_memory(&model.bytes)
            .map_err(|error| failed(error.to_string()))?;
        let io = ModelIo {
            inputs: ports(model, session.inputs())?,
            outputs: ports(model, session.outputs())?,
        };
        Ok(Box::new(Loaded {
            session,
            io,
            model: model.name.clone(),
            threads: model.threads,
        }))
    }
}

struct Loaded {
    session: OrtSession,
    io: ModelIo,
    model: String,
    threads: usize,
}

impl Session for Loaded {
    fn io(&self) -> &ModelIo {
        &self.io
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&mut self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), BackendError> {
        check_inputs(&self.model, &self.io, inputs)?;
        let failed = |error: ort::Error| BackendError::Run {
            model: self.model.clone(),
            problem: error.to_string(),
        };
        let values = inputs
            .iter()
            .map(|tensor| view(tensor))
            .collect::<Result<Vec<_>, ort::Error>>();
        let values = values.map_err(failed)?;
        let results = self.session.run(values.as_slice()).map_err(failed)?;
        for (index, (port, value)) in self.io.outputs.iter().zip(results.values()).enumerate() {
            if outputs.len() == index {
                outputs.push(Tensor::zeros(Vec::new(), port.element));
            }
            if let Some(tensor) = outputs.get_mut(index) {
                copy(port.element, &value, tensor).map_err(failed)?;
            }
        }
        outputs.truncate(self.io.outputs.len());
        Ok(())
    }
}

/// An existing file where a path is given; a bare name is left to the system's search.
fn find(path: Option<&Path>) -> Result<PathBuf, BackendError> {
    let wanted = path.map_or_else(
        || {
            env::var_os(LIBRARY_VARIABLE)
                .filter(|path| !path.is_empty())
                .map_or(DEFAULT_LIBRARY.into(), PathBuf::from)
        },
        Path::to_owned,
    );
    if wanted.components().count() < 2 && !wanted.exists() {
        return Ok(wanted);
    }
    let missing = |_| BackendError::NoLibrary {
        path: wanted.clone(),
        minor: ort::MINOR_VERSION,
    };
    wanted.canonicalize().map_err(missing)
}

/// The library tells how it was built, and its file is named by its version.
fn version(path: &Path, build: &str) -> String {
    let number = |text: &str| {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let number: String = text
            .get(start..)?
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        Some(number.trim_end_matches('.').to_owned()).filter(|number| number.contains('.'))
    };
    let branch = build
        .split("git-branch=")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let of_file = name
        .as_deref()
        .and_then(|name| name.split(".so.").nth(1))
        .and_then(number);
    of_file
        .or_else(|| branch.and_then(number))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn ports(model: &Model, outlets: &[Outlet]) -> Result<Vec<TensorPort>, BackendError> {
    outlets
        .iter()
        .map(|outlet| {
            let element = outlet
                .dtype()
                .tensor_type()
                .and_then(element_type)
                .ok_or_else(|| BackendError::Element {
                    model: model.name.clone(),
                    port: outlet.name().to_owned(),
                    element: outlet.dtype().to_string(),
                })?;
            let shape = outlet.dtype().tensor_shape().map(|shape| {
                // A negative side is one that the model leaves open.
                shape.iter().map(|side| usize::try_from(*side).ok()).collect()
            });
            Ok(TensorPort {
                name: outlet.name().to_owned(),
                element,
                shape: shape.unwrap_or_default(),
            })
        })
        .collect()
}

fn element_type(element: TensorElementType) -> Option<ElementType> {
    match element {
        TensorElementType::Float32 => Some(ElementType::F32),
        TensorElementType::Uint8 => Some(ElementType::U8),
        TensorElementType::Int8 => Some(ElementType::I8),
        TensorElementType::Int32 => Some(ElementType::I32),
        TensorElementType::Int64 => Some(ElementType::I64),
        _ => None,
    }
}

/// The tensor's own memory, as the runtime reads it.
fn view(tensor: &Tensor) -> Result<SessionInputValue<'_>, ort::Error> {
    let shape = tensor.shape();
    Ok(match tensor.data() {
        TensorData::F32(data) => TensorRef::from_array_view((shape, data.as_slice()))?.into(),
        TensorData::U8(data) => TensorRef::from_array_view((shape, data.as_slice()))?.into(),
        TensorData::I8(data) => TensorRef::from_array_view((shape, data.as_slice()))?.into(),
        TensorData::I32(data) => TensorRef::from_array_view((shape, data.as_slice()))?.into(),
        TensorData::I64(data) => TensorRef::from_array_view((shape, data.as_slice()))?.into(),
    })
}

fn copy(element: ElementType, value: &DynValue, into: &mut Tensor) -> Result<(), ort::Error> {
    match element {
        ElementType::F32 => value
            .try_extract_tensor::<f32>()
            .map(|(shape, data)| into.fill(sides(shape), data)),
        ElementType::U8 => value
            .try_extract_tensor::<u8>()
            .map(|(shape, data)| into.fill(sides(shape), data)),
        ElementType::I8 => value
            .try_extract_tensor::<i8>()
            .map(|(shape, data)| into.fill(sides(shape), data)),
        ElementType::I32 => value
            .try_extract_tensor::<i32>()
            .map(|(shape, data)| into.fill(sides(shape), data)),
        ElementType::I64 => value
            .try_extract_tensor::<i64>()
            .map(|(shape, data)| into.fill(sides(shape), data)),
    }
}

fn sides(shape: &[i64]) -> impl Iterator<Item = usize> {
    shape.iter().map(|side| usize::try_from(*side).unwrap_or(0))
}

#[cfg(test)]
mod centerface;
#[cfg(test)]
mod tests;
