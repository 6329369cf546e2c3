//! Networks as devices will run them: trained, written as 8-bit numbers, and judged by ONNX Runtime.

use search::latency::calibration_nets;
use search::space::Space;

use super::*;
use crate::args::TrainArgs;
use crate::data::tests::folder;

/// Every kind of block, with each activation.
const NETS: [&str; 3] = [
    "m1/4x1/stem-h1-o8-k3-s1-relu6/ir-h16-o8-k3-s1-relu6/head-h16-o2-k1-s1-relu6",
    "m1/4x1/stem-h1-o8-k3-s1-hswish/ds-h8-o16-k5-s1-se-relu/ir-h32-o16-k3-s1-se-relu6/ir-h32-o16-k3-s1-hswish/\
     head-h16-o2-k1-s1-hswish",
    "m1/4x1/stem-h1-o8-k3-s1-relu/ds-h8-o8-k3-s1-relu/lighthead-h16-o2-k1-s1-hswish",
];

fn trained(architecture: &str, data: &str) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let args = TrainArgs {
        arch: architecture.into(),
        data: data.into(),
        out: out.path().into(),
        epochs: 6,
        seed: 5,
        validation_split: 0.2,
        limit: None,
        recipe: r#"{"batch":16}"#.into(),
    };
    crate::local::train(&args, &crate::termination::Termination::default()).unwrap();
    out
}

#[test]
fn eight_bits_label_as_floats_do() {
    crate::model::tests::one_thread();
    let data = folder(250);
    let data = data.path().display().to_string();
    for net in NETS {
        let out = trained(net, &data);
        let checkpoint = out.path().join("checkpoint");
        let (file, report) = quantize(&checkpoint, &data, 100, Percentile(99.999)).unwrap();
        assert!(
            report.accuracy_float > 0.95 && report.accuracy >= report.accuracy_float - 0.01,
            "{net}: {report:?}"
        );
        assert!(report.agreement >= 0.97, "{net}: {report:?}");
        assert_eq!((report.images, report.bytes), (250, file.bytes.len()));
        let (again, _) = quantize(&checkpoint, &data, 100, Percentile(99.999)).unwrap();
        assert_eq!(again.sha256, file.sha256);
        crate::parity::check(std::slice::from_ref(&file));
        let scores = crate::parity::in_tract(&file, &[1, 1, 4, 4], 0.5);
        assert!(scores.iter().all(|score| score.is_finite()), "{scores:?}");
    }
}

#[test]
fn a_file_that_lost_too_much_is_not_written() {
    crate::model::tests::one_thread();
    let data = folder(250);
    let data = data.path().display().to_string();
    let out = trained(NETS[0], &data);
    let args = |percentile: f64, least_agreement: f64| QuantizeArgs {
        checkpoint: out.path().join("checkpoint"),
        data: data.clone(),
        out: out.path().join("small.onnx"),
        images: 100,
        percentile,
        most_lost: 1.0,
        least_agreement,
    };
    // Half of all numbers cut off.
    let error = run(&args(20.0, 100.0)).unwrap_err().to_string();
    assert!(error.contains("nothing is written"), "{error}");
    assert!(!out.path().join("small.onnx").exists());
    run(&args(99.999, 97.0)).unwrap();
    assert!(out.path().join("small.onnx").exists());
}

#[test]
fn a_large_network_is_a_quarter_of_the_size() {
    let config = serde_json::json!({"mobileBlocks": {"preset": "mobile"}});
    let space = Space::from_config(&serde_json::from_value(config).unwrap()).unwrap();
    let nets = calibration_nets(&space, 20, 1);
    let architecture = nets.into_iter().max_by_key(|net| net.cost().parameters).unwrap();
    let net = crate::model::Net::new(&architecture, 1).unwrap();
    let mut names = std::collections::BTreeMap::new();
    let (side, channels) = (
        i64::from(architecture.resolution),
        i64::from(architecture.channels),
    );
    let pixels = tch::Tensor::ones([1, channels, side, side], tch::kind::FLOAT_CPU);
    let mut see = |name: &str, _: &tch::Tensor| {
        names.insert(name.to_owned(), export::Range { min: -1.0, max: 1.0 });
        Ok(())
    };
    drop(tch::no_grad(|| net.observe(&pixels, &mut see)).unwrap());
    let weights = net.weights().unwrap();
    let float = export::trained_net(&architecture, &weights).unwrap();
    let whole = export::quantized_net(&architecture, &weights, &export::Ranges(names)).unwrap();
    let times = float.bytes.len() as f64 / whole.bytes.len() as f64;
    assert!(times >= 3.5, "{times} {architecture}");
}
