//! Performs what the agent decides: disk, network, the running graph.

pub mod disk;
pub mod inference;
pub mod models;
pub mod mqtt;
pub mod runner;

/// Half to all of a wait, at random, so that devices don't come back all at once.
fn jitter(wait: std::time::Duration) -> std::time::Duration {
    let random = uuid::Uuid::new_v4().as_u64_pair().1 % 1024;
    wait.mul_f64(0.5 + random as f64 / 2048.0)
}
