//! Where a graph's results go on a device: into the outbox.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pipeline::sink::{Delivery, SinkPort};
use pipeline::timestamp::Timestamp;
use protocol::id::StreamId;
use serde_json::Value;

use crate::outbox::{Outbox, OutboxError};

pub(super) struct OutboxSink {
    outbox: Arc<Mutex<Outbox>>,
    refused: AtomicU64,
}

impl OutboxSink {
    pub(super) fn new(outbox: Arc<Mutex<Outbox>>) -> Self {
        Self {
            outbox,
            refused: AtomicU64::new(0),
        }
    }

    /// Few lines however much is refused: the count doubles from one to the next.
    fn refuse(&self, stream: &str, problem: &dyn std::fmt::Display) -> Delivery {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if refused.is_power_of_two() {
            tracing::error!(stream, refused, %problem, "a result is refused");
        }
        Delivery::Refused
    }
}

impl SinkPort for OutboxSink {
    fn publish(&self, stream: &str, timestamp: Timestamp, value: Value) -> Delivery {
        let id: StreamId = match stream.parse() {
            Ok(id) => id,
            Err(error) => return self.refuse(stream, &error),
        };
        let appended: Result<u64, OutboxError> = self
            .outbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&id, timestamp.micros(), value);
        match appended {
            Ok(_) => Delivery::Taken,
            Err(error) => self.refuse(stream, &error),
        }
    }
}
