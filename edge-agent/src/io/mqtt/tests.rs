//! Against a real Mosquitto.

use rumqttc::v5::mqttbytes::v5::Publish as Published;
use tokio::time::timeout;

use super::*;
use crate::fixtures::broker::{Broker, operator};

fn connect(port: u16) -> (Mqtt, mpsc::Receiver<Incoming>, tokio::task::JoinHandle<()>) {
    let (sender, incoming) = mpsc::channel(16);
    let connection = Connection {
        host: "127.0.0.1".into(),
        port,
        credentials: None,
        site: "s1".parse().unwrap(),
        device: "cam-1".parse().unwrap(),
        boot_id: BootId(uuid::Uuid::nil()),
        will_delay: 0,
    };
    let (mqtt, task) = Mqtt::new(&connection, sender);
    (mqtt, incoming, tokio::spawn(task))
}

async fn next(incoming: &mut mpsc::Receiver<Incoming>) -> Incoming {
    timeout(Duration::from_secs(20), incoming.recv())
        .await
        .expect("within 20 s")
        .unwrap()
}

async fn message(incoming: &mut mpsc::Receiver<Incoming>) -> Message {
    match next(incoming).await {
        Incoming::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

async fn presence(received: &mut mpsc::UnboundedReceiver<Published>) -> (bool, u64) {
    loop {
        let publish = timeout(Duration::from_secs(20), received.recv())
            .await
            .expect("within 20 s")
            .unwrap();
        if publish.topic.ends_with(b"/presence") {
            let presence: Presence = protocol::from_bytes(&publish.payload, 1024).unwrap();
            return (presence.online, presence.connection);
        }
    }
}

#[tokio::test]
async fn lives_with_a_broker() {
    let mut broker = Broker::start();
    let (mqtt, mut incoming, task) = connect(broker.port);
    assert_eq!(
        mqtt.publish(Channel::Ack, vec![1], false),
        Err(SendError::Offline)
    );
    assert!(matches!(next(&mut incoming).await, Incoming::Connected));
    let (client, mut received) = operator(broker.port).await;
    assert_eq!(presence(&mut received).await, (true, 1));

    // Larger than the client library's default, and delivered again until it is confirmed.
    let large = vec![b'x'; 300_000];
    let topic = "hz/1/s1/cam-1/profile/req";
    client
        .publish(topic, QoS::AtLeastOnce, false, large.clone())
        .await
        .unwrap();
    let got = message(&mut incoming).await;
    assert_eq!(
        (&got.channel, got.payload()),
        (&Channel::ProfileRequest, large.as_slice())
    );

    // The process dies: the will tells; the next one gets what the first had not confirmed.
    task.abort();
    drop((mqtt, incoming));
    assert_eq!(presence(&mut received).await, (false, 1));
    let (mqtt, mut incoming, task) = connect(broker.port);
    assert!(matches!(next(&mut incoming).await, Incoming::Connected));
    let again = message(&mut incoming).await;
    assert_eq!(again.payload(), large.as_slice());
    mqtt.confirm(&again);
    assert_eq!(presence(&mut received).await, (true, 1));

    // The broker dies and comes back without memory.
    broker.restart();
    assert!(matches!(next(&mut incoming).await, Incoming::Disconnected(_)));
    assert!(matches!(next(&mut incoming).await, Incoming::Connected));
    let (client, mut received) = operator(broker.port).await;
    assert_eq!(presence(&mut received).await, (true, 2));
    client
        .publish("hz/1/s1/cam-1/desired", QoS::AtLeastOnce, true, "doc")
        .await
        .unwrap();
    let desired = message(&mut incoming).await;
    assert_eq!(
        (&desired.channel, desired.payload()),
        (&Channel::Desired, b"doc".as_slice())
    );

    // An orderly end.
    mqtt.leave().await;
    assert_eq!(presence(&mut received).await, (false, 2));
    timeout(Duration::from_secs(5), task)
        .await
        .expect("the task ends")
        .unwrap();
}
