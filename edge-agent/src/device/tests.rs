//! The whole agent on a real broker with real models: what a device does when its revision changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pipeline::load_graph;
use protocol::ack::{Ack, Phase};
use protocol::desired::{Desired, ModelRef, Objectives, Order};
use protocol::id::Digest;
use protocol::reported::Reported;
use protocol::telemetry::{Batch, Sample};
use protocol::topic::{Channel, Topic};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::args::AgentArgs;
use crate::fixtures::broker::{Broker, operator};
use crate::fixtures::onnx::elementwise;

const FPS: u32 = 50;
const FRAMES: usize = 500;

/// A camera that ends after so many frames, however often the graph around it changes; urgent frames, of which none
/// may be lost; and a model.
const GRAPH: &str = "
nodes:
  - {name: camera, calculator: Generator, outputs: [frames], options: {fps: 50, count: 500, width: 8, height: 4, format: gray}}
  - {name: look, calculator: ImageToTensor, inputs: [frames], outputs: [seen], options: {channels: gray}, priority: high}
  - {name: judge, calculator: Classify, inputs: [seen], outputs: [alarms], priority: high}
  - {name: warn, calculator: MqttSink, inputs: [alarms], options: {stream: alarms}, priority: high}
  - {name: prepare, calculator: ImageToTensor, inputs: [frames], outputs: [tensors], options: {channels: gray}}
  - {name: dish, calculator: Inference, inputs: [tensors], outputs: [scores], sidePackets: {MODEL: dish}, freshness: newest}
  - {name: label, calculator: Classify, inputs: [scores], outputs: [labels]}
  - {name: publish, calculator: MqttSink, inputs: [labels], options: {stream: dishes}}";

/// A device under test, and all that it said.
struct Site {
    client: AsyncClient,
    received: mpsc::UnboundedReceiver<Publish>,
    state: tempfile::TempDir,
    generation: u64,
    samples: BTreeMap<u64, (String, Sample)>,
    reported: Option<Reported>,
    /// Codes of its notices.
    notices: BTreeSet<String>,
}

impl Site {
    /// Plays a story with a device that runs beside it.
    async fn play(story: impl AsyncFnOnce(&mut Self)) {
        let broker = Broker::start();
        let (client, received) = operator(broker.port).await;
        let state = tempfile::tempdir().unwrap();
        let device = super::run(AgentArgs {
            device: "cam-1".parse().unwrap(),
            site: "s1".parse().unwrap(),
            class: "test".parse().unwrap(),
            labels: BTreeMap::new(),
            broker: format!("127.0.0.1:{}", broker.port),
            mqtt_user: None,
            mqtt_password: None,
            mqtt_password_file: None,
            will_delay: 0,
            http: None,
            state: state.path().to_owned(),
            threads: Some(1),
            max_model_mib: 1,
            download_rate: None,
            outbox_mib: 64,
        });
        let mut site = Self {
            client,
            received,
            state,
            generation: 0,
            samples: BTreeMap::new(),
            reported: None,
            notices: BTreeSet::new(),
        };
        tokio::select! {
            ended = device => panic!("the agent ended: {ended:?}"),
            () = async {
                site.hear_until("the first report", |site| site.reported.is_some()).await;
                story(&mut site).await;
            } => {}
        }
    }

    /// Sends the next document and waits for its last step.
    async fn desire(&mut self, model: &[u8], objectives: Objectives) -> (Phase, Option<String>) {
        self.generation += 1;
        let sha256 = Digest::of(model);
        // As if it had been downloaded.
        std::fs::write(self.state.path().join("models").join(sha256.as_str()), model).unwrap();
        let order = Order {
            epoch: 1,
            generation: self.generation,
        };
        let desired = Desired {
            version: protocol::VERSION,
            order,
            rollout: "r".into(),
            attempt: 1,
            pipeline: "shop/counter".into(),
            revision: self.generation.to_string(),
            graph: load_graph(GRAPH).unwrap(),
            models: [(
                "dish".to_owned(),
                ModelRef {
                    sha256,
                    size: model.len() as u64,
                    url: "http://127.0.0.1:1/nothing".into(),
                },
            )]
            .into(),
            bake: units::Duration::from_millis(500),
            objectives,
        };
        self.send(protocol::to_bytes(&desired).unwrap()).await;
        loop {
            let publish = self.hear().await;
            if let Some(ack) = read::<Ack>(&publish, "/ack")
                && ack.order == order
                && ack.phase.is_final()
            {
                return (ack.phase, ack.code);
            }
        }
    }

    async fn send(&self, document: Vec<u8>) {
        let topic = "hz/1/s1/cam-1/desired";
        let sent = self.client.publish(topic, QoS::AtLeastOnce, true, document).await;
        sent.unwrap();
    }

    async fn hear(&mut self) -> Publish {
        let heard = timeout(Duration::from_secs(30), self.received.recv()).await;
        let publish = heard.expect("within 30 s").unwrap();
        let topic: Topic = std::str::from_utf8(&publish.topic).unwrap().parse().unwrap();
        match topic.channel {
            Channel::Telemetry(stream) => {
                let batch: Batch = serde_json::from_slice(&publish.payload).unwrap();
                for sample in batch.samples {
                    self.samples.insert(sample.seq, (stream.to_string(), sample));
                }
            }
            Channel::Reported => self.reported = serde_json::from_slice(&publish.payload).unwrap(),
            Channel::Event => {
                let notice: Value = serde_json::from_slice(&publish.payload).unwrap();
                self.notices.insert(notice["code"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
        publish
    }

    async fn hear_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            assert_eq!(self.notices.iter().next(), None, "{what}");
            self.hear().await;
        }
    }

    fn produced(&self) -> u64 {
        let reported = self.reported.as_ref();
        reported
            .and_then(|reported| reported.running.as_ref())
            .map_or(0, |running| running.produced)
    }

    /// Waits for the camera's end, and for every sample.
    async fn finish(&mut self) {
        while !self.notices.contains("GraphEnded") {
            self.hear().await;
        }
        // Else the agent starts the graph again.
        self.send(Vec::new()).await;
        let all_here = |site: &Self| {
            let reported = site.reported.as_ref();
            reported.is_some_and(|reported| {
                reported.active.is_none() && site.samples.len() as u64 == reported.outbox.last_seq
            })
        };
        while !all_here(self) {
            self.hear().await;
        }
    }

    fn stream<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        let samples = self.samples.values().filter(move |(stream, _)| stream == name);
        samples.map(|(_, sample)| sample)
    }

    /// Every frame once, in order, at the camera's rate.
    fn check_alarms(&self) {
        let times: Vec<i64> = self.stream("alarms").map(|sample| sample.t).collect();
        assert_eq!(
            times.len(),
            FRAMES,
            "no frame is lost, and the camera has counted on"
        );
        assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
        let seconds = (times[FRAMES - 1] - times[0]) as f64 / 1e6;
        let fps = (FRAMES - 1) as f64 / seconds;
        assert!(fps > 0.9 * f64::from(FPS), "{fps} frames a second");
    }
}

fn read<T: serde::de::DeserializeOwned>(publish: &Publish, channel: &str) -> Option<T> {
    let topic = std::str::from_utf8(&publish.topic).unwrap();
    topic
        .ends_with(channel)
        .then(|| serde_json::from_slice(&publish.payload).unwrap())
}

fn negative() -> Vec<u8> {
    elementwise("Neg", &[1, 1, 4, 8])
}

fn positive() -> Vec<u8> {
    elementwise("Relu", &[1, 1, 4, 8])
}

fn healthy() -> (Phase, Option<String>) {
    (Phase::Healthy, None)
}

fn failed(code: &str) -> (Phase, Option<String>) {
    (Phase::Failed, Some(code.to_owned()))
}

#[tokio::test]
async fn a_model_changes_and_changes_back_while_the_camera_goes_on() {
    Site::play(async |site: &mut Site| {
        let (any, began) = (Objectives::default(), Instant::now());
        assert_eq!(site.desire(&positive(), any.clone()).await, healthy());
        let beyond_reach = Objectives {
            fps: Some(1000.0),
            ..Objectives::default()
        };
        assert_eq!(
            site.desire(&negative(), beyond_reach).await,
            failed("ObjectiveMissed")
        );
        assert_eq!(site.desire(&negative(), any).await, healthy());
        let third = |site: &Site| {
            let reported = site.reported.as_ref()?;
            let healthy = reported.progress.as_ref()?.phase == Phase::Healthy;
            reported
                .running
                .as_ref()
                .filter(|_| healthy && site.generation == 3)
                .cloned()
        };
        site.hear_until("figures of the third", |site| third(site).is_some())
            .await;
        let seconds = third(site).unwrap().seconds;
        let all = began.elapsed().as_secs_f64();
        assert!(
            seconds < all - 1.0,
            "{seconds} of {all} s: figures are of one revision"
        );
        site.finish().await;
        site.check_alarms();
        // Which pixel the model finds brightest tells which model it was.
        let mut brightest: Vec<u64> = site
            .stream("dishes")
            .map(|sample| sample.value["top"][0]["index"].as_u64().unwrap())
            .collect();
        brightest.dedup();
        assert_eq!(brightest, [7, 0, 7, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_model_that_does_not_open_leaves_the_old_one_at_its_work() {
    Site::play(async |site: &mut Site| {
        let any = Objectives::default();
        assert_eq!(site.desire(&positive(), any.clone()).await, healthy());
        let before = site.produced();
        assert_eq!(site.desire(b"no model", any).await, failed("GraphOpenFailed"));
        site.hear_until("figures that go on", |site| site.produced() > before + 100)
            .await;
        site.finish().await;
        site.check_alarms();
    })
    .await;
}
