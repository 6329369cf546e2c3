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
    let blocks: Vec<_> = space.block_keys().iter().map(export::profile_block).collect();
    check(&blocks);
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

/// The scores of a file in tract, for an image of one number everywhere.
pub(crate) fn in_tract(file: &export::OnnxFile, shape: &[usize], pixel: f32) -> Vec<f32> {
    use tract_onnx::prelude::*;
    let mut bytes = file.bytes.as_slice();
    let model = tract_onnx::onnx().model_for_read(&mut bytes).unwrap();
    let model = model.into_optimized().unwrap().into_runnable().unwrap();
    let pixels = vec![pixel; shape.iter().product()];
    let input = tract_onnx::prelude::Tensor::from_shape(shape, &pixels).unwrap();
    let outputs = model.run(tvec!(input.into())).unwrap();
    let scores = outputs[0].to_plain_array_view::<f32>().unwrap();
    scores.iter().copied().collect()
}

#[test]
fn a_second_reader_finds_the_same_numbers() {
    crate::model::tests::one_thread();
    let space = Space::from_config(&SearchSpaceConfig::default()).unwrap();
    let mut nets = calibration_nets(&space, 3, 1);
    nets.push(crate::model::tests::EVERYTHING.parse().unwrap());
    for net in nets {
        let weights = Net::new(&net, 1).unwrap().weights().unwrap();
        let side = net.resolution as usize;
        let shape = [1, net.channels as usize, side, side];
        let files = [
            export::profile_net(&net),
            export::trained_net(&net, &weights).unwrap(),
        ];
        check(&files);
        for file in files {
            let wanted = run(
                &file,
                shape.map(|side| side as i64),
                &vec![0.5; shape.iter().product()],
            );
            let found = in_tract(&file, &shape, 0.5);
            assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(&wanted) {
                assert!(
                    (found - wanted).abs() <= 1e-3 * wanted.abs().max(1.0),
                    "{net}: {found} {wanted}"
                );
            }
        }
    }
}

/// Has the files checked by ONNX's own checker, shapes too.
pub(crate) fn check(files: &[export::OnnxFile]) {
    let models = std::path::PathBuf::from(std::env::var("HAIZEN_MODELS").unwrap());
    let checker = models.join("onnx-1.23.2");
    assert!(checker.exists(), "{}: run `make native`", checker.display());
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &export::OnnxFile| folder.path().join(format!("{}.onnx", file.sha256));
    for file in files {
        std::fs::write(path(file), &file.bytes).unwrap();
    }
    let code =
        "import sys, onnx\nfor f in sys.argv[1:]: onnx.checker.check_model(onnx.load(f), full_check=True)";
    let run = std::process::Command::new("python3")
        .args(["-c", code])
        .args(files.iter().map(path))
        .env("PYTHONPATH", checker)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
