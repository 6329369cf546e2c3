//! What several tests need: a broker, and models.

pub(crate) mod broker;
pub(crate) mod onnx;
