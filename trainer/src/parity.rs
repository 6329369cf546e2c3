//! Exported files give in ONNX Runtime what the network gives in libtorch; blocks without weights run there too.

use search::latency::calibration_nets;
use search::space::{Architecture, SearchSpaceConfig, Space};
use tch::{Kind, Tensor, no_grad};

use crate::model::Net;
use crate::quantize::{Runner, label};

const IMAGES: i64 = 100;

fn run(file: &export::OnnxFile, shape: [i64; 4], input: &[f32]) -> Vec<f32> {
    let mut runner = Runner::new(file).unwrap();
    let shape = shape.map(|side| side as usize);
    let images = input.chunks_exact(shape.iter().product());
    let scores = images.flat_map(|image| runner.scores(&shape, image.to_vec()).unwrap().to_vec());
    scores.collect()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    Vec::<f32>::try_from(tensor.reshape([-1])).unwrap()
}

/// The largest difference of a score, and how many labels differ, over 100 images.
fn compare(architecture: &Architecture) -> (f32, usize) {
    let net = Net::new(architecture, 1).unwrap();
    let (side, channels) = (
        i64::from(architecture.resolution),
        i64::from(architecture.channels),
    );
    let images = Tensor::rand([IMAGES, channels, side, side], (Kind::Float, tch::Device::Cpu));
    // So that the running statistics are not those of a fresh network.
    for _ in 0..20 {
        drop(no_grad(|| net.forward(&images, true)).unwrap());
    }
    let wanted = flat(&no_grad(|| net.forward(&images, false)).unwrap());
    let file = export::trained_net(architecture, &net.weights().unwrap()).unwrap();
    let found = run(&file, [1, channels, side, side], &flat(&images));
    assert_eq!(found.len(), wanted.len());
    let difference = wanted
        .iter()
        .zip(&found)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let classes = architecture.classes() as usize;
    let labels = wanted.chunks(classes).zip(found.chunks(classes));
    (difference, labels.filter(|(a, b)| label(a) != label(b)).count())
}

#[test]
fn an_exported_network_scores_as_the_trained_one() {
    crate::model::tests::one_thread();
    let space = Space::from_config(&SearchSpaceConfig::default()).unwrap();
    let mut nets = calibration_nets(&space, 5, 1);
    nets.push(crate::model::tests::EVERYTHING.parse().unwrap());
    for net in nets {
        let (difference, labels) = compare(&net);
        assert!(
            difference <= 1e-4 && labels == 0,
            "{net}: scores differ by {difference}, {labels} labels"
        );
    }
}

#[test]
fn what_is_only_measured_runs_too() {
    let space = Space::from_config(&SearchSpaceConfig::default()).unwrap();
    for key in space.block_keys() {
        let (inputs, side) = (i64::from(key.inputs), i64::from(key.resolution));
        let pixels = vec![0.5; (inputs * side * side) as usize];
        let scores = run(&export::profile_block(&key), [1, inputs, side, side], &pixels);
        assert!(!scores.is_empty(), "{key}");
    }
    for net in calibration_nets(&space, 5, 1) {
        let scores = run(&export::profile_net(&net), [1, 1, 28, 28], &[0.5; 28 * 28]);
        assert_eq!(scores.len(), 10);
        assert!(
            scores.iter().all(|score| score.is_normal()),
            "{scores:?}: denormals would run at another speed"
        );
    }
}
