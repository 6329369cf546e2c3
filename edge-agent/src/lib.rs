//! The agent of one device: takes desired documents, keeps models, runs the graph, measures and reports.
//!
//! `agent` decides and does no I/O; everything else performs what it decides.

pub mod agent;
pub mod args;
pub mod cli;
pub mod device;
#[cfg(test)]
mod fixtures;
pub mod io;
pub mod outbox;
pub mod profiler;
