//! One folder a kind; each exposes `run`, which ends when the shutdown token is cancelled.

pub mod edgepipeline;
pub mod nasjob;
