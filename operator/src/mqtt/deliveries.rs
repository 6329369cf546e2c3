//! Messages of devices on their way from the poll task to ingest, and their acknowledgements back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::v5::Publish;
use tokio::sync::mpsc;

/// One message. Not acknowledged before [`Deliveries::ack`] is called with it.
#[derive(Debug)]
pub struct Delivery {
    pub topic: String,
    pub payload: Bytes,
    pub received: Instant,
    /// Kept by the broker from earlier: says nothing of whether its sender is there now.
    pub retained: bool,
    publish: Publish,
    /// The connection it came on: packet ids mean nothing on another one.
    connection: u64,
}

impl Delivery {
    pub(super) fn new(publish: Publish, connection: u64) -> Self {
        Self {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.clone(),
            received: Instant::now(),
            retained: publish.retain,
            publish: Publish {
                payload: Bytes::new(),
                ..publish
            },
            connection,
        }
    }
}

/// The receiving end; there is one.
#[derive(Debug)]
pub struct Deliveries {
    pub(super) receiver: mpsc::Receiver<Delivery>,
    pub(super) client: AsyncClient,
    pub(super) connection: Arc<AtomicU64>,
}

impl Deliveries {
    /// Waits for at least one message and takes up to `most`; empty when the connection's task has ended.
    pub async fn next(&mut self, most: usize) -> Vec<Delivery> {
        let mut batch = Vec::new();
        self.receiver.recv_many(&mut batch, most).await;
        batch
    }

    /// Tells the broker that these are done with. Those of a lost connection are left out: the broker sends them again.
    pub async fn ack(&self, done: &[Delivery]) {
        for delivery in done {
            if delivery.connection == self.connection.load(Ordering::Acquire) {
                // Fails only when the poll task has ended, and the process with it.
                drop(self.client.ack(&delivery.publish).await);
            }
        }
    }
}
