//! A real cluster with Haizen in it: what the stories in `tests/` and the demo share.
//!
//! Owns how to reach a cluster, install the chart, run edge agents in pods and wait for conditions. Touches only
//! the namespaces it is told, and never sleeps: everything waits on a condition with a time limit.

pub mod api;
pub mod apply;
pub mod demo;
pub mod device;
pub mod install;
pub mod lab;
pub mod wait;
