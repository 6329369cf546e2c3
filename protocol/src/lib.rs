//! What crosses the wire: between operator and edge agent over MQTT, between operator and trainer over HTTP.
//!
//! Owns ids, topics and versioned messages; does no I/O. Readers ignore fields they don't know, so that an
//! older agent understands a newer operator and the other way round; a breaking change raises `VERSION`.

pub mod ack;
pub mod desired;
pub mod id;
pub mod presence;
pub mod profile;
pub mod reported;
pub mod telemetry;
pub mod topic;
pub mod trainer;
mod wire;

pub use wire::{MAX_DEPTH, WireError, from_bytes, to_bytes};

/// Version in the topics and messages.
pub const VERSION: u32 = 1;
