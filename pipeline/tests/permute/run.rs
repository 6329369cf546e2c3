//! The scheduler itself, from the crate's own files.

#[path = "../../src/run/pool.rs"]
pub(crate) mod pool;
#[path = "../../src/run/ready.rs"]
pub(crate) mod ready;
