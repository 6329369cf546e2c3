//! The connection to the broker: one task polls it, everybody else hands messages over without waiting.
//!
//! Nothing is kept here for a later connection. What must arrive has its own store (state on disk, outbox) and is
//! sent again when the connection is new, so no stale message ever follows a lost connection.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::id::{BootId, DeviceId, SiteId};
use protocol::presence::Presence;
use protocol::profile::MAX_PROFILE;
use protocol::topic::{Channel, Topic, device_filters};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill, LastWillProperties, Packet, PubAckReason, Publish, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing};
use tokio::sync::mpsc;

use crate::io::jitter;

/// Whom to connect to, and as whom.
#[derive(Debug, Clone)]
pub struct Connection {
    pub host: String,
    pub port: u16,
    pub credentials: Option<(String, String)>,
    pub site: SiteId,
    pub device: DeviceId,
    pub boot_id: BootId,
    /// Seconds the broker waits before it publishes the will.
    pub will_delay: u32,
}

/// What comes from the broker.
#[derive(Debug)]
pub enum Incoming {
    Connected,
    Disconnected(String),
    Message(Message),
}

/// A message that is delivered again until it is confirmed.
#[derive(Debug)]
pub struct Message {
    pub channel: Channel,
    publish: Box<Publish>,
    connection: u64,
}

impl Message {
    pub fn payload(&self) -> &[u8] {
        &self.publish.payload
    }
}

/// Why a message was not handed over. The caller keeps what it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("not connected to the broker")]
    Offline,
    #[error("the broker takes messages too slowly")]
    Full,
}

/// A handle to the connection.
#[derive(Debug, Clone)]
pub struct Mqtt {
    client: AsyncClient,
    site: SiteId,
    device: DeviceId,
    boot_id: BootId,
    /// Number of the connection that stands; 0 while none does.
    online: Arc<AtomicU64>,
}

/// Messages handed over and not yet sent.
const QUEUE: usize = 128;
/// Sent and unacknowledged. Small on purpose: the client sets room aside for all of them.
const IN_FLIGHT: u16 = 32;
const SESSION_EXPIRY: u32 = 24 * 3600;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Mqtt {
    /// The handle, and the task to spawn.
    pub fn new(
        connection: &Connection,
        incoming: mpsc::Sender<Incoming>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let mut options = MqttOptions::new(
            connection.device.as_str(),
            connection.host.clone(),
            connection.port,
        );
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options
            .set_network_options(network)
            .set_keep_alive(Duration::from_secs(15))
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION_EXPIRY))
            .set_max_packet_size(Some(MAX_PROFILE as u32 + 4096))
            .set_receive_maximum(Some(16))
            .set_outgoing_inflight_upper_limit(IN_FLIGHT)
            .set_manual_acks(true);
        if let Some((user, password)) = &connection.credentials {
            options.set_credentials(user, password);
        }
        let (client, events) = AsyncClient::new(options, QUEUE);
        let mqtt = Self {
            client,
            site: connection.site.clone(),
            device: connection.device.clone(),
            boot_id: connection.boot_id,
            online: Arc::default(),
        };
        let task = poll(mqtt.clone(), events, connection.will_delay, incoming);
        (mqtt, task)
    }

    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Relaxed) > 0
    }

    /// Hands a message over; at least once from here to the broker, as long as the connection stands.
    pub fn publish(&self, channel: Channel, payload: Vec<u8>, retain: bool) -> Result<(), SendError> {
        if !self.is_online() {
            return Err(SendError::Offline);
        }
        let topic = Topic::new(&self.site, &self.device, channel).to_string();
        self.client
            .try_publish(topic, QoS::AtLeastOnce, retain, payload)
            .map_err(|_| SendError::Full)
    }

    /// Lets the broker forget a message. One of an earlier connection comes again anyway and is left alone: its
    /// number may mean another message by now.
    pub fn confirm(&self, message: &Message) {
        if message.connection != self.online.load(Ordering::Relaxed) {
            return;
        }
        if self.client.try_ack(&message.publish).is_err() {
            let (client, publish) = (self.client.clone(), message.publish.clone());
            tokio::spawn(async move { client.ack(&publish).await });
        }
    }

    /// Says that the device goes offline on purpose, and closes.
    pub async fn leave(&self) {
        let offline = self.presence(false, self.online.load(Ordering::Relaxed));
        if self.publish(Channel::Presence, offline, true).is_ok() {
            // In order after the message; the task ends when it is sent.
            drop(self.client.disconnect().await);
        }
    }

    fn presence(&self, online: bool, connection: u64) -> Vec<u8> {
        let presence = Presence {
            version: protocol::VERSION,
            device: self.device.clone(),
            online,
            boot_id: self.boot_id,
            connection,
        };
        protocol::to_bytes(&presence).unwrap_or_default()
    }

    fn will(&self, connection: u64, delay: u32) -> LastWill {
        let topic = Topic::new(&self.site, &self.device, Channel::Presence).to_string();
        let properties = LastWillProperties {
            delay_interval: Some(delay),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        LastWill::new(
            topic,
            self.presence(false, connection),
            QoS::AtLeastOnce,
            true,
            Some(properties),
        )
    }
}

async fn poll(mqtt: Mqtt, mut events: EventLoop, will_delay: u32, incoming: mpsc::Sender<Incoming>) {
    let (mut connection, mut wait) = (0_u64, FIRST_WAIT);
    events.options.set_last_will(mqtt.will(1, will_delay));
    loop {
        let told = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                connection += 1;
                wait = FIRST_WAIT;
                mqtt.online.store(connection, Ordering::Relaxed);
                let filters = device_filters(&mqtt.site, &mqtt.device);
                let filters = filters
                    .into_iter()
                    .map(|filter| Filter::new(filter, QoS::AtLeastOnce));
                let greeted = mqtt.client.try_subscribe_many(filters).is_ok()
                    && mqtt
                        .publish(Channel::Presence, mqtt.presence(true, connection), true)
                        .is_ok();
                if !greeted {
                    tracing::warn!("the queue to the broker is full right after connecting");
                }
                Some(Incoming::Connected)
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => receive(&mqtt, publish, connection),
            Ok(Event::Incoming(packet)) => {
                complain(&packet);
                None
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(Event::Outgoing(_)) => None,
            Err(error) => {
                let was_online = mqtt.online.swap(0, Ordering::Relaxed) > 0;
                // All of it is made anew for the next connection.
                events.clean();
                events.pending.clear();
                events
                    .options
                    .set_last_will(mqtt.will(connection + 1, will_delay));
                let pause = jitter(wait);
                if was_online {
                    tracing::warn!(%error, "connection to the broker lost");
                } else {
                    tracing::warn!(%error, ?pause, "broker not reachable, trying again after a pause");
                }
                let told = was_online.then(|| Incoming::Disconnected(error.to_string()));
                if let Some(told) = told
                    && incoming.send(told).await.is_err()
                {
                    return;
                }
                tokio::time::sleep(pause).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                None
            }
        };
        if let Some(told) = told
            && incoming.send(told).await.is_err()
        {
            return;
        }
    }
}

fn receive(mqtt: &Mqtt, publish: Publish, connection: u64) -> Option<Incoming> {
    let topic = std::str::from_utf8(&publish.topic)
        .ok()
        .and_then(|topic| topic.parse::<Topic>().ok());
    match topic {
        Some(Topic {
            site,
            device,
            channel,
        }) if site == mqtt.site && device == mqtt.device => Some(Incoming::Message(Message {
            channel,
            publish: Box::new(publish),
            connection,
        })),
        _ => {
            tracing::warn!(topic = %String::from_utf8_lossy(&publish.topic), "a message for somebody else is dropped");
            mqtt.confirm(&Message {
                channel: Channel::Event,
                publish: Box::new(publish),
                connection,
            });
            None
        }
    }
}

/// What the broker refuses is worth a line, whatever it is.
fn complain(packet: &Packet) {
    match packet {
        Packet::SubAck(ack) => {
            for code in ack
                .return_codes
                .iter()
                .filter(|code| !matches!(code, SubscribeReasonCode::Success(_)))
            {
                tracing::error!(
                    ?code,
                    "the broker refuses a subscription: check the device's rights there"
                );
            }
        }
        Packet::PubAck(ack)
            if !matches!(
                ack.reason,
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers
            ) =>
        {
            tracing::error!(reason = ?ack.reason, "the broker refuses a message: check the device's rights there");
        }
        _ => {}
    }
}
