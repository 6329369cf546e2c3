//! Trains the candidates of a search and exports them: what a search Job's pod runs.
//!
//! Owns data loading, training with libtorch, checkpoints, and the trainer's side of its contract with the
//! operator (`protocol::trainer`). Knows nothing of Kubernetes.

pub mod args;
pub mod bench;
pub mod data;
pub mod evaluate;
pub mod exit;
pub mod local;
pub mod local_search;
pub mod model;
pub mod process;
mod profile;
pub mod quantize;
pub mod supernet;
pub mod termination;
pub mod training;
pub mod worker;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod parity;
