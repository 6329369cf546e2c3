//! Ingest as a device meets it: a real Mosquitto before it, a real Postgres behind it.

use futures::StreamExt as _;
use protocol::id::BootId;
use protocol::presence::Presence;
use protocol::reported::Reported;
use protocol::telemetry::{Batch, Committed};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::*;
use crate::mqtt::testing::{TestBroker, broker};
use crate::mqtt::{Connection, Session};
use crate::store::testing::{TestDb, database};

/// Silence that never makes a device offline.
const LONG: Duration = Duration::from_hours(1);

struct Fixture {
    db: TestDb,
    broker: TestBroker,
    metrics: Arc<Metrics>,
    changes: Changes,
    shutdown: CancellationToken,
    ingest: JoinHandle<Result<(), IngestError>>,
}

async fn fixture() -> Fixture {
    let (db, broker) = (database().await, broker().await);
    let (metrics, changes, shutdown) = (Arc::new(Metrics::new()), Changes::new(), CancellationToken::new());
    let ingest = start(&db, &broker, &metrics, &changes, &shutdown).await;
    Fixture {
        db,
        broker,
        metrics,
        changes,
        shutdown,
        ingest,
    }
}

async fn start(
    db: &TestDb,
    broker: &TestBroker,
    metrics: &Arc<Metrics>,
    changes: &Changes,
    shutdown: &CancellationToken,
) -> JoinHandle<Result<(), IngestError>> {
    let epoch = store::leadership::begin(&db.pool, "test").await.unwrap();
    let health = Health::default();
    let (connection, publisher, deliveries) = Connection::new(&broker.args("haizen-operator")).unwrap();
    let session = Session {
        changes: changes.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
    };
    tokio::spawn(connection.run(session, shutdown.clone()));
    until("the subscription", async || health.is_up(Dependency::Broker)).await;
    let (db, metrics, changes) = (db.pool.clone(), metrics.clone(), changes.clone());
    let ingest = Ingest {
        db,
        publisher,
        changes,
        metrics,
        health,
        epoch,
    };
    tokio::spawn(ingest.run(deliveries, shutdown.clone()))
}

/// Waits for a condition that real processes bring about.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(25));
    let wait = async {
        while !holds().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| panic!("waited for: {what}"));
}

fn boot(n: u128) -> BootId {
    BootId(uuid::Uuid::from_u128(n))
}

fn samples(seqs: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let samples = seqs
        .into_iter()
        .map(|seq| protocol::telemetry::Sample {
            seq,
            t: 1_760_000_000_000_000 + seq as i64,
            value: serde_json::json!({"label": "ramen", "seq": seq}),
        })
        .collect();
    let batch = Batch {
        version: 1,
        device: "d1".parse().unwrap(),
        boot_id: boot(1),
        samples,
    };
    protocol::to_bytes(&batch).unwrap()
}

fn reported(device: &str) -> Reported {
    serde_json::from_value(serde_json::json!({
        "version": 1, "device": device, "site": "s1", "class": "pi4", "labels": {"role": "counter"},
        "bootId": boot(1), "agentVersion": "0.1.0",
        "runtime": {"hash": "h1", "engine": "onnxruntime 1.32.0", "provider": "CPU", "threads": 1, "cpu": "x"},
    }))
    .unwrap()
}

async fn publish(device: &AsyncClient, channel: &str, payload: Vec<u8>) {
    device
        .publish(format!("hz/1/s1/d1/{channel}"), QoS::AtLeastOnce, false, payload)
        .await
        .unwrap();
}

/// Receipts so far, the last one counts.
fn receipt(received: &mut UnboundedReceiver<Publish>, last: &mut u64) -> u64 {
    while let Ok(publish) = received.try_recv() {
        let receipt: Committed = protocol::from_bytes(&publish.payload, 1000).unwrap();
        assert!(receipt.seq >= *last, "a receipt never goes back");
        *last = receipt.seq;
    }
    *last
}

#[tokio::test]
async fn every_sample_is_stored_once_while_connections_die() {
    let f = fixture().await;
    let (device, mut receipts) = f.broker.device("d1", &["hz/1/s1/d1/committed"]).await;
    for first in (1..=2000_u64).step_by(20) {
        publish(&device, "t/dishes", samples(first..first + 20)).await;
        if first % 100 == 1 {
            // Again, as after a lost acknowledgement.
            publish(&device, "t/dishes", samples(first..first + 20)).await;
        }
        if first % 400 == 1 {
            f.db.kill_connections().await;
        }
    }
    let mut last = 0;
    until("the receipt for all", async || {
        receipt(&mut receipts, &mut last) == 2000
    })
    .await;
    let summary = store::telemetry::summary(&f.db.pool).await.unwrap();
    assert_eq!((summary.stored, summary.gaps), (2000, 0));
    assert!(summary.duplicates >= 400, "{summary:?}");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM telemetry")
        .fetch_one(&f.db.pool)
        .await
        .unwrap();
    assert_eq!(rows, 2000);
    let text = f.metrics.text().unwrap();
    assert!(
        text.contains(r#"haizen_telemetry_messages_total{result="stored"} 2000"#),
        "{text}"
    );
}

#[tokio::test]
async fn gaps_are_counted_and_closed() {
    let f = fixture().await;
    let (device, mut receipts) = f.broker.device("d1", &["hz/1/s1/d1/committed"]).await;
    publish(&device, "t/a", samples(1..=10)).await;
    publish(&device, "t/b", samples(21..=30)).await;
    publish(&device, "t/a", samples(36..=40)).await;
    until("three batches", async || {
        let summary = store::telemetry::summary(&f.db.pool).await.unwrap();
        (summary.stored, summary.gaps) == (25, 15)
    })
    .await;
    let mut last = 0;
    until("a receipt up to the first gap", async || {
        receipt(&mut receipts, &mut last) == 10
    })
    .await;
    publish(&device, "t/a", samples(11..=20)).await;
    until("a receipt up to the second gap", async || {
        receipt(&mut receipts, &mut last) == 30
    })
    .await;
    publish(&device, "t/a", samples(25..=35)).await;
    until("a receipt for all", async || {
        receipt(&mut receipts, &mut last) == 40
    })
    .await;
    let summary = store::telemetry::summary(&f.db.pool).await.unwrap();
    assert_eq!((summary.stored, summary.gaps, summary.duplicates), (40, 0, 6));
}

#[tokio::test]
async fn nothing_is_lost_when_broker_and_operator_are_killed() {
    let mut f = fixture().await;
    let (device, mut receipts) = f.broker.device("d1", &["hz/1/s1/d1/committed"]).await;
    let mut last = 0;
    for round in 0..3_u64 {
        let upto = (round + 1) * 300;
        // As the outbox does: all that has no receipt, until it has one.
        for first in (last + 1..=upto).step_by(50) {
            publish(&device, "t/dishes", samples(first..(first + 50).min(upto + 1))).await;
        }
        f.broker.kill();
        f.shutdown.cancel();
        f.ingest.await.unwrap().unwrap();
        f.broker.start().await;
        f.shutdown = CancellationToken::new();
        f.ingest = start(&f.db, &f.broker, &f.metrics, &f.changes, &f.shutdown).await;
        until("a receipt for all of the round", async || {
            if receipt(&mut receipts, &mut last) < upto {
                drop(device.try_subscribe("hz/1/s1/d1/committed", QoS::AtLeastOnce));
                publish(&device, "t/dishes", samples(last + 1..=upto)).await;
            }
            last == upto
        })
        .await;
    }
    let summary = store::telemetry::summary(&f.db.pool).await.unwrap();
    assert_eq!((summary.stored, summary.gaps), (900, 0));
}

#[tokio::test]
async fn a_late_will_does_not_hide_a_device() {
    let f = fixture().await;
    let changes = f.changes.subscribe(&[Change::Device]);
    let mut changes = std::pin::pin!(changes);
    let (device, _) = f.broker.device("d1", &[]).await;
    publish(&device, "reported", protocol::to_bytes(&reported("d1")).unwrap()).await;
    let say = async |online, boot_id, connection| {
        let presence = Presence {
            version: 1,
            device: "d1".parse().unwrap(),
            online,
            boot_id,
            connection,
        };
        publish(&device, "presence", protocol::to_bytes(&presence).unwrap()).await;
    };
    let online = async || {
        let devices = store::devices::list(&f.db.pool, LONG).await.unwrap();
        devices.first().map(|device| device.online)
    };
    say(true, boot(1), 1).await;
    until("online", async || online().await == Some(true)).await;
    assert_eq!(changes.next().await, Some(()));
    say(true, boot(1), 2).await;
    say(false, boot(1), 1).await;
    say(true, boot(2), 1).await;
    say(false, boot(1), 2).await;
    // What is sent after them has come, so they have as well.
    publish(&device, "t/dishes", samples(1..=1)).await;
    until("telemetry", async || {
        store::telemetry::summary(&f.db.pool).await.unwrap().stored == 1
    })
    .await;
    assert_eq!(online().await, Some(true));
    let silent = store::devices::list(&f.db.pool, Duration::ZERO).await.unwrap();
    assert!(!silent[0].online, "{silent:?}");
    say(false, boot(2), 1).await;
    until("offline", async || online().await == Some(false)).await;
    let count = store::devices::count(&f.db.pool, LONG).await.unwrap();
    assert_eq!((count.online, count.offline), (0, 1));
}

#[tokio::test]
async fn bad_messages_are_counted_and_the_others_go_on() {
    let f = fixture().await;
    let (device, _) = f.broker.device("d1", &[]).await;
    let nul = protocol::to_bytes(&Batch {
        version: 1,
        device: "d1".parse().unwrap(),
        boot_id: boot(9),
        samples: vec![protocol::telemetry::Sample {
            seq: 1,
            t: 1,
            value: serde_json::json!("a\0b"),
        }],
    });
    publish(&device, "t/dishes", nul.unwrap()).await;
    publish(&device, "t/dishes", b"{".to_vec()).await;
    publish(&device, "reported", protocol::to_bytes(&reported("d2")).unwrap()).await;
    publish(&device, "t/dishes", samples(1..=3)).await;
    until("the good one", async || {
        store::telemetry::summary(&f.db.pool).await.unwrap().stored == 3
    })
    .await;
    let text = f.metrics.text().unwrap();
    for reason in ["value", "payload", "identity"] {
        let line = format!(r#"haizen_messages_dropped_total{{reason="{reason}"}} 1"#);
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(!f.ingest.is_finished());
}

#[tokio::test]
async fn ends_when_its_term_is_over() {
    let f = fixture().await;
    store::leadership::begin(&f.db.pool, "another").await.unwrap();
    let (device, _) = f.broker.device("d1", &[]).await;
    publish(&device, "t/dishes", samples(1..=3)).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), f.ingest)
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(ended, Err(IngestError::Store(StoreError::Fenced { .. }))),
        "{ended:?}"
    );
    assert_eq!(store::telemetry::summary(&f.db.pool).await.unwrap().stored, 0);
}

#[tokio::test]
async fn a_restored_database_catches_up_with_the_fleet() {
    let f = fixture().await;
    let (device, _) = f.broker.device("d1", &[]).await;
    let mut ahead = serde_json::to_value(reported("d1")).unwrap();
    ahead["progress"] = serde_json::json!({
        "rollout": "r", "order": {"epoch": 40, "generation": 1}, "attempt": 1, "phase": "Healthy",
    });
    publish(&device, "reported", serde_json::to_vec(&ahead).unwrap()).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), f.ingest)
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(ended, Err(IngestError::Behind { seen: 40, .. })),
        "{ended:?}"
    );
    assert_eq!(store::leadership::begin(&f.db.pool, "next").await.unwrap(), 41);
}
