//! On the real library, with a real (if small) model written by hand.

use std::sync::Arc;

use super::*;

/// ONNX is protobuf: a field is (number, wire type), then a number or a length and bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// ValueInfoProto of an f32 tensor; a side of 0 stands for one that is open.
fn value_info(name: &str, sides: &[u8]) -> Vec<u8> {
    let side = |side: &u8| {
        field(
            1,
            &if *side == 0 {
                field(2, b"n")
            } else {
                number(1, *side)
            },
        )
    };
    let shape: Vec<u8> = sides.iter().flat_map(side).collect();
    let tensor = [number(1, 1), field(2, &shape)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

/// A model of one operator.
fn model(operator: &str, inputs: &[(&str, &[u8])], output: (&str, &[u8])) -> Model {
    let mut node: Vec<u8> = inputs
        .iter()
        .flat_map(|(name, _)| field(1, name.as_bytes()))
        .collect();
    node.extend(field(2, output.0.as_bytes()));
    node.extend(field(4, operator.as_bytes()));
    let mut graph = [field(1, &node), field(2, b"g")].concat();
    graph.extend(
        inputs
            .iter()
            .flat_map(|(name, sides)| field(11, &value_info(name, sides))),
    );
    graph.extend(field(12, &value_info(output.0, output.1)));
    let opset = [field(1, b""), number(2, 13)].concat();
    let bytes = [number(1, 8), field(7, &graph), field(8, &opset)].concat();
    Model {
        name: "small".to_owned(),
        bytes: Arc::from(bytes),
        threads: 1,
    }
}

fn sum() -> Model {
    model("Add", &[("x", &[1, 3]), ("y", &[1, 3])], ("z", &[1, 3]))
}

fn backend() -> OrtBackend {
    OrtBackend::new(None).unwrap()
}

fn row(values: [f32; 3]) -> Tensor {
    Tensor::f32(vec![1, 3], values.to_vec()).unwrap()
}

#[test]
fn loads_tells_its_ports_and_runs_into_the_same_memory() {
    let mut session = backend().load(&sum()).unwrap();
    let port = |name: &str| TensorPort {
        name: name.to_owned(),
        element: ElementType::F32,
        shape: vec![Some(1), Some(3)],
    };
    assert_eq!(
        session.io(),
        &ModelIo {
            inputs: vec![port("x"), port("y")],
            outputs: vec![port("z")]
        }
    );
    let (x, y) = (row([1.0, 2.0, 3.0]), row([10.0, 20.0, 30.0]));
    let mut outputs = Vec::new();
    session.run(&[&x, &y], &mut outputs).unwrap();
    let memory = outputs[0].as_f32().unwrap().as_ptr();
    session.run(&[&y, &y], &mut outputs).unwrap();
    assert_eq!(outputs, [row([20.0, 40.0, 60.0])]);
    assert_eq!(outputs[0].as_f32().unwrap().as_ptr(), memory);
}

#[test]
fn an_open_side_takes_any_size() {
    let mut session = backend()
        .load(&model("Relu", &[("x", &[0, 3])], ("y", &[0, 3])))
        .unwrap();
    assert_eq!(session.io().inputs[0].shape, [None, Some(3)]);
    let x = Tensor::f32(vec![2, 3], vec![-1.0, 2.0, -3.0, 4.0, -5.0, 6.0]).unwrap();
    let mut outputs = Vec::new();
    session.run(&[&x], &mut outputs).unwrap();
    assert_eq!(outputs[0].shape(), [2, 3]);
    assert_eq!(outputs[0].as_f32().unwrap(), [0.0, 2.0, 0.0, 4.0, 0.0, 6.0]);
}

#[test]
fn wrong_inputs_are_refused_with_both_shapes() {
    let mut session = backend().load(&sum()).unwrap();
    let x = row([0.0; 3]);
    let wide = Tensor::zeros(vec![1, 4], ElementType::F32);
    let bytes = Tensor::zeros(vec![1, 3], ElementType::U8);
    let mut error = |inputs: &[&Tensor]| session.run(inputs, &mut Vec::new()).unwrap_err().to_string();
    assert!(error(&[&x]).contains("takes 2 inputs but the node has 1"));
    assert!(error(&[&x, &wide]).contains("takes f32 1×3 as input y, but got f32 1×4"));
    assert!(error(&[&bytes, &x]).contains("but got u8 1×3"));
}

#[test]
fn broken_models_are_errors() {
    let whole = sum();
    let cut = |length: usize| Arc::from(&whole.bytes[..length]);
    for length in 0..whole.bytes.len() {
        let loaded = backend().load(&Model {
            bytes: cut(length),
            ..whole.clone()
        });
        // Some prefixes are whole protobufs; they must load or fail, never crash.
        assert!(loaded.is_err() || length > 2, "{length}");
    }
    let error = backend()
        .load(&Model {
            bytes: Arc::from(&b"no model"[..]),
            ..whole
        })
        .map(|_| ())
        .unwrap_err();
    assert!(
        error.to_string().starts_with("model small can't be loaded"),
        "{error}"
    );
}

#[test]
fn a_missing_or_wrong_library_is_named() {
    let missing = OrtBackend::new(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("no ONNX Runtime at /nowhere/libonnxruntime.so"),
        "{missing}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let wrong = OrtBackend::new(Some(file.path())).unwrap_err().to_string();
    assert!(wrong.contains("can't be used as ONNX Runtime"), "{wrong}");
    // A failed try must not spoil the next one.
    backend().load(&sum()).unwrap();
}

#[test]
fn the_runtime_tells_what_it_is() {
    let info = backend().probe().unwrap();
    assert!(info.version.starts_with("1."), "{info:?}");
    assert!(!info.build.is_empty());
}

/// The whole way of a frame: made, turned to a tensor, run, labelled, handed to the sink.
#[test]
fn a_graph_runs_a_model() {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use crate::packet::SidePacket;
    use crate::run::Inputs;
    use crate::sink::{Delivery, SinkPort};
    use crate::timestamp::Timestamp;

    #[derive(Default)]
    struct Kept(Mutex<Vec<(String, serde_json::Value)>>);

    impl SinkPort for Kept {
        fn publish(&self, stream: &str, _timestamp: Timestamp, value: serde_json::Value) -> Delivery {
            lock(&self.0).push((stream.to_owned(), value));
            Delivery::Taken
        }
    }

    let text = "nodes:
- {calculator: Generator, options: {fps: 0, count: 3, width: 4, height: 1, format: gray}, outputs: [frames]}
- {calculator: ImageToTensor, inputs: [frames], outputs: [tensors], options: {width: 4, channels: gray}}
- {name: dish, calculator: Inference, inputs: [tensors], outputs: [scores], sidePackets: {MODEL: dish}}
- {calculator: Classify, inputs: [scores], outputs: [labels], options: {labels: [a, b, c, d]}}
- {calculator: MqttSink, inputs: [labels], options: {stream: dishes}}";
    let graph = crate::testing::graph(text);
    let run = |model: Model| {
        let kept = Arc::new(Kept::default());
        let inputs = Inputs {
            side_packets: BTreeMap::from([("dish".to_owned(), SidePacket::new(model))]),
            sink: Arc::clone(&kept) as Arc<dyn SinkPort>,
            backend: Arc::new(backend()),
            ..Inputs::default()
        };
        let ended = graph.start(inputs).unwrap().wait();
        let kept = lock(&kept.0).clone();
        ended.map(|()| kept)
    };
    let kept = run(model("Relu", &[("x", &[1, 1, 1, 4])], ("y", &[1, 1, 1, 4]))).unwrap();
    assert_eq!(kept.len(), 3);
    assert_eq!(
        (kept[0].0.as_str(), &kept[0].1["top"][0]["label"]),
        ("dishes", &"d".into())
    );
    let error = run(model("Relu", &[("x", &[1, 3, 8, 8])], ("y", &[1, 3, 8, 8])))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("node dish: Process failed: model dish") || error.contains("but got f32 1×1×1×4"),
        "{error}"
    );
}
