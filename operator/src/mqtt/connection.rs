//! The connection to the broker: options, the one task that polls it, subscriptions, and what outlives a lost one.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, Packet, Publish, RetainForwardRule, SubAck, Subscribe, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Request, StateError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Deliveries, Delivery, Publisher};
use crate::args::Broker;
use crate::change::{Change, Changes};
use crate::health::{Dependency, Health};
use crate::metrics::{Drop, Metrics};

/// How long the broker keeps our session, and so what devices send, while no operator is there.
const SESSION: u32 = 7 * 24 * 3600;

/// Messages that may be unacknowledged at once: the bound of what waits in memory while Postgres is away.
const WINDOW: u16 = 200;

/// Messages that wait for the broker.
const QUEUE: usize = 1024;

/// Largest packet taken: a profile response and its header.
const MAX_PACKET: u32 = 4 * 1024 * 1024 + 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("MQTT password file {path}: {source}")]
    PasswordFile { path: PathBuf, source: std::io::Error },
}

/// What a running connection is seen by.
#[derive(Debug, Clone)]
pub struct Session {
    pub changes: Changes,
    pub health: Health,
    pub metrics: Arc<Metrics>,
}

/// A connection that isn't polled yet.
pub struct Connection {
    events: EventLoop,
    deliveries: mpsc::Sender<Delivery>,
    /// Counts connections and losses: what came before has no meaning after.
    number: Arc<AtomicU64>,
    address: String,
    /// Not connected yet since this process started.
    first: bool,
}

impl Connection {
    pub fn new(broker: &Broker) -> Result<(Self, Publisher, Deliveries), ConnectError> {
        let (client, events) = AsyncClient::new(options(broker)?, QUEUE);
        // As wide as the window, so that handing over a QoS 1 message never waits.
        let (deliveries, receiver) = mpsc::channel(usize::from(WINDOW) * 2);
        let number = Arc::new(AtomicU64::new(0));
        let publisher = Publisher::new(client.clone());
        let received = Deliveries {
            receiver,
            client,
            connection: number.clone(),
        };
        let address = format!("{}:{}", broker.mqtt_host, broker.mqtt_port);
        Ok((
            Self {
                events,
                deliveries,
                number,
                address,
                first: true,
            },
            publisher,
            received,
        ))
    }

    /// Polls until `shutdown`; reconnects for ever.
    pub async fn run(mut self, session: Session, shutdown: CancellationToken) {
        let mut unsent: VecDeque<Request> = VecDeque::new();
        let mut failures = 0;
        while let Some(polled) = shutdown.run_until_cancelled(self.events.poll()).await {
            match polled {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                    failures = 0;
                    self.connected(&ack, &session, &mut unsent);
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => self.subscribed(&ack, &session),
                Ok(Event::Incoming(Packet::Publish(publish))) => self.deliver(publish, &session),
                Ok(_) => {}
                Err(error) => {
                    self.lost(&error, &session, &mut unsent);
                    let pause = backoff(failures, chance());
                    failures += 1;
                    if shutdown
                        .run_until_cancelled(tokio::time::sleep(pause))
                        .await
                        .is_none()
                    {
                        return;
                    }
                }
            }
        }
    }

    fn connected(&mut self, ack: &ConnAck, session: &Session, unsent: &mut VecDeque<Request>) {
        self.number.fetch_add(1, Ordering::AcqRel);
        tracing::info!(
            broker = self.address,
            resumed = ack.session_present,
            "connected to the broker"
        );
        // Even into a resumed session: another version of this program may have asked for other filters.
        self.events
            .pending
            .push_back(Request::Subscribe(subscribe(self.first)));
        self.first = false;
        self.events.pending.append(unsent);
        session.metrics.mqtt_connected.set(1);
    }

    /// From here on nothing that a device sends is missed.
    fn subscribed(&self, ack: &SubAck, session: &Session) {
        let refused = ack
            .return_codes
            .iter()
            .find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
        if let Some(code) = refused {
            let reason = format!(
                "MQTT broker {} refuses a subscription ({code:?}): check its ACL",
                self.address
            );
            session.health.down(Dependency::Broker, reason);
            return;
        }
        session.health.up(Dependency::Broker);
        session.changes.notify(Change::Broker);
    }

    fn deliver(&self, publish: Publish, session: &Session) {
        let delivery = Delivery::new(publish, self.number.load(Ordering::Acquire));
        if self.deliveries.try_send(delivery).is_err() {
            session.metrics.dropped(Drop::overflow);
        }
    }

    /// Saves what was to be published: the client itself forgets it when the broker has forgotten our session.
    fn lost(&mut self, error: &ConnectionError, session: &Session, unsent: &mut VecDeque<Request>) {
        self.number.fetch_add(1, Ordering::AcqRel);
        session.metrics.mqtt_connected.set(0);
        session.health.down(
            Dependency::Broker,
            format!("MQTT broker {}: {error}", self.address),
        );
        let collided = self.events.state.collision.take().map(Request::Publish);
        let too_large = matches!(
            error,
            ConnectionError::MqttState(StateError::OutgoingPacketTooLarge { .. })
        );
        for request in self.events.pending.drain(..).chain(collided) {
            if let Request::Publish(publish) = request {
                unsent.push_back(Request::Publish(Publish {
                    pkid: 0,
                    dup: false,
                    ..publish
                }));
            }
        }
        if too_large {
            // It would end every further connection as well.
            if let Some(largest) = (0..unsent.len()).max_by_key(|at| payload(&unsent[*at])) {
                unsent.remove(largest);
                tracing::error!(%error, "dropped a message that the broker doesn't take: raise its packet limit");
            }
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn payload(request: &Request) -> usize {
    match request {
        Request::Publish(publish) => publish.payload.len(),
        _ => 0,
    }
}

/// Between 0 and 1; the first field of such an id is 32 random bits.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

/// Full jitter under a doubling bound, so that a fleet of operators and devices doesn't come back in one instant.
fn backoff(failures: u32, chance: f64) -> Duration {
    let bound = 0.25 * f64::from(2_u32.pow(failures.min(6)));
    Duration::from_secs_f64(0.05 + bound.min(10.0) * chance)
}

fn options(broker: &Broker) -> Result<MqttOptions, ConnectError> {
    let mut options = MqttOptions::new(&broker.mqtt_client_id, &broker.mqtt_host, broker.mqtt_port);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_keep_alive(Duration::from_secs(15))
        .set_clean_start(false)
        .set_session_expiry_interval(Some(SESSION))
        .set_receive_maximum(Some(WINDOW))
        .set_max_packet_size(Some(MAX_PACKET))
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_manual_acks(true);
    if let Some(name) = &broker.mqtt_username {
        options.set_credentials(name, password(broker)?.unwrap_or_default());
    }
    Ok(options)
}

fn password(broker: &Broker) -> Result<Option<String>, ConnectError> {
    match &broker.mqtt_password_file {
        Some(path) => std::fs::read_to_string(path)
            .map(|text| Some(text.trim_end().to_owned()))
            .map_err(|source| ConnectError::PasswordFile {
                path: path.clone(),
                source,
            }),
        None => Ok(broker.mqtt_password.clone()),
    }
}

/// Not shared with other replicas: only the leader connects, and a broker keeps its session while there is none.
/// A new process wants every retained message, since its database may be older than they are.
fn subscribe(first: bool) -> Subscribe {
    let filters = protocol::topic::operator_filters()
        .into_iter()
        .map(|(path, _)| Filter {
            retain_forward_rule: if first {
                RetainForwardRule::OnEverySubscribe
            } else {
                RetainForwardRule::OnNewSubscribe
            },
            ..Filter::new(path, QoS::AtLeastOnce)
        });
    Subscribe {
        pkid: 0,
        ..Subscribe::new_many(filters, None)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use protocol::topic::Topic;

    use super::*;

    #[tokio::test]
    async fn what_was_queued_while_the_broker_was_down_arrives_in_order() {
        let mut broker = crate::mqtt::testing::broker().await;
        let (connection, publisher, _deliveries) = Connection::new(&broker.args("operator")).unwrap();
        let session = Session {
            changes: Changes::new(),
            health: Health::waiting_for(&[Dependency::Broker]),
            metrics: Arc::new(Metrics::new()),
        };
        let broker_changes = session.changes.subscribe(&[Change::Broker]);
        let mut connected = std::pin::pin!(broker_changes);
        let shutdown = CancellationToken::new();
        tokio::spawn(connection.run(session.clone(), shutdown.clone()));
        connected.next().await.unwrap();
        broker.kill();
        let topic: Topic = "hz/1/s1/d1/desired".parse().unwrap();
        for n in 0..200_u8 {
            publisher.publish(&topic, vec![n], true, None).await.unwrap();
        }
        broker.start().await;
        connected.next().await.unwrap();
        let (_device, mut received) = broker.device("d1", &["hz/1/s1/d1/desired"]).await;
        let newest = async {
            let mut last = 0;
            while last < 199 {
                let payload = received.recv().await.unwrap().payload;
                assert!(payload[0] >= last, "an older document after a newer one");
                last = payload[0];
            }
        };
        tokio::time::timeout(Duration::from_secs(20), newest)
            .await
            .unwrap();
        assert!(session.health.is_up(Dependency::Broker));
        shutdown.cancel();
    }

    #[test]
    fn backoff_is_bounded_and_never_zero() {
        assert_eq!(backoff(0, 0.0), Duration::from_millis(50));
        assert_eq!(backoff(2, 1.0), Duration::from_millis(1050));
        assert_eq!(backoff(40, 1.0), Duration::from_millis(10_050));
    }
}
