//! The graph runtime of an edge device: description, validation, streams, scheduling, nodes.

pub mod spec;
