//! Against a real Mosquitto.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use rumqttc::v5::mqttbytes::v5::Publish as Published;
use tokio::time::timeout;

use super::*;

struct Broker {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let dir = tempfile::tempdir().unwrap();
        Self {
            process: spawn(&dir, port),
            port,
            dir,
        }
    }

    fn restart(&mut self) {
        self.kill();
        self.process = spawn(&self.dir, self.port);
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(dir: &tempfile::TempDir, port: u16) -> Child {
    let config = dir.path().join("mosquitto.conf");
    std::fs::write(
        &config,
        format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"),
    )
    .unwrap();
    let program = ["/usr/sbin/mosquitto", "mosquitto"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    Command::new(program.unwrap_or("mosquitto"))
        .arg("-c")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start mosquitto: install it with `make setup`")
}

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

/// Somebody else on the broker, who sees all.
async fn operator(port: u16) -> (AsyncClient, mpsc::UnboundedReceiver<Published>) {
    let mut options = MqttOptions::new("op", "127.0.0.1", port);
    options
        .set_outgoing_inflight_upper_limit(10)
        .set_max_packet_size(Some(1 << 20));
    let (client, mut events) = AsyncClient::new(options, 10);
    let (sender, received) = mpsc::unbounded_channel();
    client.subscribe("hz/1/#", QoS::AtLeastOnce).await.unwrap();
    tokio::spawn(async move {
        // Ends with its broker: two with one client id would take the connection from each other.
        while let Ok(event) = events.poll().await {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                drop(sender.send(publish));
            }
        }
    });
    (client, received)
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
