//! A real Mosquitto for tests: each has its own, with persistence, on a free port.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tokio::sync::mpsc;

use crate::args::Broker;

#[derive(Debug)]
pub struct TestBroker {
    pub port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

pub async fn broker() -> TestBroker {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
         autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\nmax_inflight_messages 1000\n\
         set_tcp_nodelay true\nuser root\n",
        folder.path().display()
    );
    std::fs::write(folder.path().join("conf"), config).unwrap();
    let mut broker = TestBroker {
        port,
        folder,
        child: None,
    };
    broker.start().await;
    broker
}

impl TestBroker {
    /// Arguments to connect with, under a client id of the test's choice.
    pub fn args(&self, client_id: &str) -> Broker {
        Broker {
            mqtt_host: "127.0.0.1".into(),
            mqtt_port: self.port,
            mqtt_username: None,
            mqtt_password: None,
            mqtt_password_file: None,
            mqtt_client_id: client_id.into(),
        }
    }

    pub async fn start(&mut self) {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "/usr/sbin/mosquitto", "-c"])
            .arg(self.folder.path().join("conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's mosquitto starts: `make setup` installs it");
        self.child = Some(child);
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .is_err()
            {
                tick.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), listening)
            .await
            .expect("mosquitto listens");
    }

    /// As SIGKILL does: it forgets what it hadn't saved.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// A device's side, polled in the background; messages it gets come out of the receiver.
    pub async fn device(
        &self,
        client_id: &str,
        filters: &[&str],
    ) -> (AsyncClient, mpsc::UnboundedReceiver<Publish>) {
        let mut options = MqttOptions::new(client_id, "127.0.0.1", self.port);
        options
            .set_clean_start(true)
            .set_keep_alive(Duration::from_secs(5));
        options.set_outgoing_inflight_upper_limit(100);
        let (client, mut events) = AsyncClient::new(options, 1000);
        let (sender, receiver) = mpsc::unbounded_channel();
        for filter in filters {
            client.subscribe(*filter, QoS::AtLeastOnce).await.unwrap();
        }
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::Publish(publish))) => drop(sender.send(publish)),
                    Ok(_) => {}
                    Err(_) => drop(tick.tick().await),
                }
            }
        });
        (client, receiver)
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        self.kill();
    }
}
