//! Real graphs on a real thread.

use std::time::SystemTime;

use pipeline::load_graph;
use protocol::desired::ModelRef;
use protocol::id::{BootId, Digest};

use super::*;
use crate::outbox::Bounds;

struct Bench {
    runner: Runner,
    events: mpsc::UnboundedReceiver<Event>,
    outbox: Arc<Mutex<Outbox>>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let boot = BootId(uuid::Uuid::nil());
        let outbox = Outbox::open(
            &dir.path().join("outbox"),
            boot,
            Bounds::default(),
            SystemTime::now(),
        )
        .unwrap();
        let outbox = Arc::new(Mutex::new(outbox));
        let (sender, events) = mpsc::unbounded_channel();
        let runner = Runner::spawn(sender, Arc::clone(&outbox), 1).unwrap();
        Self {
            runner,
            events,
            outbox,
            dir,
        }
    }

    fn start(&self, run: u64, graph: &str) {
        self.runner.start(run, installed(graph), BTreeMap::new());
    }

    fn switch(&self, run: u64, graph: &str) {
        self.runner.switch(run, installed(graph), BTreeMap::new());
    }

    /// The next event but figures, as text.
    async fn next(&mut self) -> String {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(30), self.events.recv())
                .await
                .expect("within 30 s");
            return match event.unwrap() {
                Event::Figures { .. } => continue,
                Event::Started { run } => format!("{run} started"),
                Event::Ended { run, failure: None } => format!("{run} ended"),
                Event::SwitchFailed { run, failure } => {
                    format!("{run} refused, {}: {}", failure.code, failure.message)
                }
                Event::StartFailed { run, failure }
                | Event::Ended {
                    run,
                    failure: Some(failure),
                } => {
                    format!("{run} {}: {}", failure.code, failure.message)
                }
                other => panic!("{other:?}"),
            };
        }
    }
}

fn installed(graph: &str) -> Installed {
    Installed {
        pipeline: "shop/counter".into(),
        revision: "r".into(),
        graph: load_graph(graph).unwrap(),
        models: BTreeMap::new(),
    }
}

const ENDLESS: &str = "
nodes:
  - {calculator: Generator, outputs: [frames], options: {fps: 100, width: 2, height: 1, format: gray}}
  - {calculator: ImageToTensor, inputs: [frames], outputs: [tensors], options: {channels: gray}}
  - {calculator: Classify, inputs: [tensors], outputs: [labels]}
  - {calculator: MqttSink, inputs: [labels], options: {stream: dishes}}";

#[tokio::test]
async fn runs_one_graph_after_another() {
    let mut bench = Bench::new();
    bench.start(1, ENDLESS);
    assert_eq!(bench.next().await, "1 started");
    bench.start(2, &ENDLESS.replace("fps: 100", "fps: 100, count: 7"));
    assert_eq!(bench.next().await, "2 started");
    bench.runner.stop().await;
    let before = bench.outbox.lock().unwrap().state().last_seq;
    bench.start(3, &ENDLESS.replace("fps: 100", "fps: 100, count: 7"));
    assert_eq!(bench.next().await, "3 started");
    assert_eq!(bench.next().await, "3 ended");
    assert_eq!(bench.outbox.lock().unwrap().state().last_seq, before + 7);
}

#[tokio::test]
async fn what_cannot_be_replaced_is_ended_first() {
    let mut bench = Bench::new();
    bench.switch(1, ENDLESS);
    assert_eq!(bench.next().await, "1 started", "nothing ran");
    bench.switch(
        2,
        &ENDLESS
            .replace("Generator", "ImageFiles")
            .replace("fps: 100, width: 2, height: 1, format: gray", "path: /none"),
    );
    let told = bench.next().await;
    assert!(
        told.starts_with("2 refused, GraphOpenFailed: node ImageFiles"),
        "{told}"
    );
    bench.switch(3, &ENDLESS.replace("dishes", "plates"));
    assert_eq!(bench.next().await, "3 started");
    bench.runner.stop().await;
    bench.switch(4, ENDLESS);
    assert_eq!(bench.next().await, "4 started", "nothing ran any more");
}

#[tokio::test]
async fn says_which_node_or_model_failed() {
    let mut bench = Bench::new();
    bench.start(
        1,
        &ENDLESS
            .replace("Generator", "ImageFiles")
            .replace("fps: 100, width: 2, height: 1, format: gray", "path: /none"),
    );
    let told = bench.next().await;
    assert!(told.starts_with("1 GraphOpenFailed: node ImageFiles"), "{told}");

    let path = bench.dir.path().join("model");
    std::fs::write(&path, b"other bytes").unwrap();
    let mut wanted = installed(ENDLESS);
    let model = ModelRef {
        sha256: Digest::of(b"bytes"),
        size: 5,
        url: "/x".into(),
    };
    wanted.models.insert("dish".into(), model);
    bench.runner.start(2, wanted, [("dish".to_owned(), path)].into());
    let told = bench.next().await;
    assert!(told.starts_with("2 DigestMismatch: model dish"), "{told}");
}

#[test]
fn a_document_is_checked_whole() {
    let desired = |graph: &str| Desired {
        graph: load_graph(graph).unwrap(),
        ..crate::agent::stories::desired(1, "a")
    };
    assert_eq!(check(&desired(ENDLESS)), Ok(()));
    let failure = check(&desired(&ENDLESS.replace("Classify", "Clasify"))).unwrap_err();
    assert!(failure.message.contains("Classify"), "{failure:?}");
    let inference = "
nodes:
  - {calculator: Generator, outputs: [frames]}
  - {calculator: ImageToTensor, inputs: [frames], outputs: [tensors]}
  - {calculator: Inference, inputs: [tensors], outputs: [scores], sidePackets: {MODEL: dishes}}
  - {calculator: Discard, inputs: [scores]}";
    let failure = check(&desired(inference)).unwrap_err();
    assert!(
        failure.message.contains("dishes") && failure.message.contains("did you mean dish"),
        "{failure:?}"
    );
}
