//! Where results leave the graph. The program that runs it owns what happens next.

use serde_json::Value;

use crate::timestamp::Timestamp;

/// Takes what sinks such as MqttSink send out.
pub trait SinkPort: Send + Sync {
    /// Called on a worker thread: must not block.
    fn publish(&self, stream: &str, timestamp: Timestamp, value: Value) -> Delivery;
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Taken,
    /// No room: counted as a drop of the sink.
    Refused,
}

/// Takes everything and keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl SinkPort for NoSink {
    fn publish(&self, _stream: &str, _timestamp: Timestamp, _value: Value) -> Delivery {
        Delivery::Taken
    }
}
