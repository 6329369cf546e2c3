//! Handle to publish with.

use std::time::Duration;

use protocol::topic::Topic;
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;

/// Largest payload that is published.
pub const MAX_PUBLISH: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("{topic}: {size} bytes are over the limit of {MAX_PUBLISH} for a message")]
    TooLarge { topic: String, size: usize },
    #[error("{topic}: the queue of messages to the broker is full; the broker is away or slow")]
    QueueFull { topic: String },
}

/// Queues messages, all QoS 1, to the task that polls the connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    client: AsyncClient,
}

impl Publisher {
    pub(super) fn new(client: AsyncClient) -> Self {
        Self { client }
    }

    /// Queued, not yet at the broker: survives a lost connection, not a lost process. An empty retained message
    /// clears the topic. `expiry` is rounded up to whole seconds.
    #[expect(
        clippy::unused_async,
        reason = "callers are written for a queue that may one day make them wait"
    )]
    pub async fn publish(
        &self,
        topic: &Topic,
        bytes: Vec<u8>,
        retain: bool,
        expiry: Option<Duration>,
    ) -> Result<(), PublishError> {
        let topic = topic.to_string();
        if bytes.len() > MAX_PUBLISH {
            return Err(PublishError::TooLarge {
                topic,
                size: bytes.len(),
            });
        }
        let properties = PublishProperties {
            message_expiry_interval: expiry.map(|e| e.as_secs_f64().ceil() as u32),
            content_type: Some("application/json".into()),
            ..PublishProperties::default()
        };
        self.client
            .try_publish_with_properties(topic.clone(), QoS::AtLeastOnce, retain, bytes, properties)
            .map_err(|_| PublishError::QueueFull { topic })
    }
}
