//! The graph runtime of an edge device: description, validation, streams, scheduling, nodes.
//!
//! A leaf: no async runtime, Kubernetes, MQTT or SQL. What it needs from outside (time, inference, where results
//! go) is passed in when a graph starts.

pub mod backend;
pub mod buffers;
pub mod clock;
pub mod contract;
pub mod detection;
pub mod draw;
pub mod frame;
pub mod given;
pub mod label;
pub mod load;
pub mod mapping;
mod nearest;
pub mod node;
pub mod nodes;
pub mod options;
pub mod packet;
pub mod pbtxt;
pub mod prometheus;
pub mod reference;
pub mod registry;
pub mod replay;
pub mod report;
pub mod run;
pub mod service;
pub mod sink;
pub mod spec;
pub mod stall;
pub mod stats;
pub mod status_handler;
pub mod status_handlers;
mod subgraph;
mod sync;
pub mod tensor;
#[cfg(test)]
mod testing;
pub mod timestamp;
pub mod trace;
pub mod validate;
pub mod video_header;

pub use load::load_graph;
pub use registry::Registry;
pub use run::{Inputs, RunningGraph};
pub use validate::{GraphError, ValidatedGraph, validate};
