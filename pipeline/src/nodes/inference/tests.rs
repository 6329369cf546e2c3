//! With a runtime that adds one to every number, and counts what is asked of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::backend::{Backend, ModelIo, RuntimeInfo, Session, TensorPort};
use crate::clock::VirtualClock;
use crate::packet::SidePacket;
use crate::run::{Inputs, Observed, Observer};
use crate::tensor::TensorData;
use crate::testing::{at, graph};

#[derive(Debug, Default)]
struct PlusOne {
    loads: AtomicUsize,
    runs: Arc<AtomicUsize>,
    integers: bool,
}

struct Adding {
    io: ModelIo,
    runs: Arc<AtomicUsize>,
}

impl Backend for PlusOne {
    fn probe(&self) -> Result<RuntimeInfo, BackendError> {
        Err(BackendError::Absent)
    }

    fn load(&self, _model: &Model) -> Result<Box<dyn Session>, BackendError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let port = |name: &str| TensorPort {
            name: name.to_owned(),
            element: if self.integers {
                ElementType::I8
            } else {
                ElementType::F32
            },
            shape: vec![None, Some(2)],
        };
        let io = ModelIo {
            inputs: vec![port("x")],
            outputs: vec![port("y")],
        };
        Ok(Box::new(Adding {
            io,
            runs: Arc::clone(&self.runs),
        }))
    }
}

impl Session for Adding {
    fn io(&self) -> &ModelIo {
        &self.io
    }

    fn threads(&self) -> usize {
        1
    }

    fn run(&mut self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), BackendError> {
        crate::backend::check_inputs("m", &self.io, inputs)?;
        self.runs.fetch_add(1, Ordering::SeqCst);
        let mut tensor = inputs[0].clone();
        match tensor.data_mut() {
            TensorData::F32(data) => data.iter_mut().for_each(|value| *value += 1.0),
            TensorData::I8(data) => data.iter_mut().for_each(|value| *value += 1),
            _ => {}
        }
        *outputs = vec![tensor];
        Ok(())
    }
}

#[derive(Default)]
struct Numbers(std::sync::Mutex<Vec<String>>);

impl Observer for Numbers {
    fn seen(&self, stream: &str, what: Observed<'_>) {
        if let Observed::Packet(packet) = what {
            let tensor: &Tensor = packet.get().unwrap();
            let line = format!("{stream}@{} {:?}", packet.timestamp(), tensor.as_f32().unwrap());
            lock(&self.0).push(line);
        }
    }
}

/// Feeds one tensor to each input at once; gives what came out, how often the model was loaded and run.
fn play(text: &str, backend: PlusOne, feed: &[(&str, Vec<f32>)]) -> (Vec<String>, usize, usize) {
    let (backend, seen) = (Arc::new(backend), Arc::new(Numbers::default()));
    let model = Model {
        name: "m".to_owned(),
        bytes: Arc::from(Vec::new()),
        threads: 1,
    };
    let inputs = Inputs {
        clock: Arc::new(VirtualClock::jumping(0)),
        observer: Some(Arc::clone(&seen) as Arc<dyn Observer>),
        backend: Arc::clone(&backend) as Arc<dyn Backend>,
        side_packets: [("m".to_owned(), SidePacket::new(model))].into(),
        threads: Some(1),
        ..Inputs::default()
    };
    let run = graph(text).start(inputs).unwrap();
    for (stream, data) in feed {
        let tensor = Tensor::f32(vec![data.len() / 2, 2], data.clone()).unwrap();
        run.feed(stream, Packet::new(tensor, at(5))).unwrap();
    }
    run.close_all_inputs();
    run.wait().unwrap();
    let mut seen = lock(&seen.0).clone();
    seen.sort();
    (
        seen,
        backend.loads.load(Ordering::SeqCst),
        backend.runs.load(Ordering::SeqCst),
    )
}

#[test]
fn two_nodes_share_a_model() {
    let text = |share: bool| {
        let node = |name: &str, input: &str, output: &str| {
            format!(
                "- {{name: {name}, calculator: Inference, inputs: [{input}], outputs: [{output}], sidePackets: {{MODEL: m}}, \
                 options: {{shareSession: {share}}}}}\n"
            )
        };
        let nodes = [node("one", "a", "x"), node("two", "b", "y")].concat();
        format!("inputStreams: [a, b]\noutputStreams: [x, y]\nnodes:\n{nodes}")
    };
    let feed = [("a", vec![1.0, 2.0]), ("b", vec![3.0, 4.0])];
    let wanted = ["x@5 [2.0, 3.0]", "y@5 [4.0, 5.0]"];
    // One run each, and one to warm up the only copy.
    assert_eq!(
        play(&text(true), PlusOne::default(), &feed),
        (wanted.map(str::to_owned).to_vec(), 1, 3)
    );
    assert_eq!(play(&text(false), PlusOne::default(), &feed).1, 2);
}

#[test]
fn frames_of_one_time_go_as_a_batch() {
    let text = "inputStreams: [a, b, c]\noutputStreams: [x, y, z]\nnodes:\n- {calculator: Inference, inputs: [a, b, c], \
                outputs: [x, y, z], sidePackets: {MODEL: m}}\n";
    let feed = [("a", vec![1.0, 2.0]), ("c", vec![3.0, 4.0, 5.0, 6.0])];
    let (seen, _, runs) = play(text, PlusOne::default(), &feed);
    assert_eq!(seen, ["x@5 [2.0, 3.0]", "z@5 [4.0, 5.0, 6.0, 7.0]"]);
    assert_eq!(runs, 2);
}

#[test]
fn integers_inside_numbers_outside() {
    let text = "inputStreams: [a]\noutputStreams: [x]\nnodes:\n- {calculator: Inference, inputs: [a], outputs: [x], \
                sidePackets: {MODEL: m}, options: {quantize: {scale: 0.5}, dequantize: {scale: 0.25, zeroPoint: 1}}}\n";
    let backend = PlusOne {
        integers: true,
        ..PlusOne::default()
    };
    let (seen, _, _) = play(text, backend, &[("a", vec![1.0, 2.0])]);
    assert_eq!(seen, ["x@5 [0.5, 1.0]"]);
}

/// Else the node made anew would wait for the session that the hung call holds, and hang too.
#[test]
fn after_a_call_that_hangs_a_model_is_loaded_anew() {
    let backend: Arc<dyn Backend> = Arc::new(PlusOne::default());
    let model = Model {
        name: "m".to_owned(),
        bytes: Arc::from(Vec::new()),
        threads: 1,
    };
    let open =
        |after_stuck| shared(&backend, &model, false, (0, after_stuck), || backend.load(&model)).unwrap();
    let hung = open(false);
    let anew = open(true);
    assert!(!Arc::ptr_eq(&hung, &anew));
    assert!(Arc::ptr_eq(&anew, &open(false)));
}
