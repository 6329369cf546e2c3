//! PyTorch as the oracle: its losses over 20 steps and its gradients of each kind of block, from the same weights and
//! batches. Its numbers are kept in `trainer/oracle/reference.json`; `make oracle` has PyTorch compute them again.

use export::Tensor as Numbers;
use serde::Deserialize;
use tch::{Reduction, Tensor};

use crate::model::source::in_order;
use crate::model::tests::one_thread;
use crate::model::{Net, Role, set_numbers};
use crate::training::{Learner, Recipe};

const REFERENCE: &str = include_str!("../oracle/reference.json");
/// As the script has it.
const STEPS: usize = 20;
const BATCH: i64 = 16;

#[derive(Deserialize)]
struct Reference {
    torch: String,
    curve: Curve,
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct Curve {
    architecture: String,
    losses: Vec<f64>,
    scores: Vec<f64>,
}

#[derive(Deserialize)]
struct Block {
    architecture: String,
    loss: f64,
    gradients: Vec<(String, Vec<f64>)>,
}

fn reference() -> Reference {
    serde_json::from_str(REFERENCE).unwrap()
}

/// The script's formula: an integer hash of (stream, position) as a number from -1 to 1.
fn numbers(stream: u32, shape: &[usize]) -> Numbers {
    let number = |index: u32| {
        let mut x = stream
            .wrapping_mul(0x9E37_79B1)
            .wrapping_add(index.wrapping_mul(0x85EB_CA77))
            .wrapping_add(0x1656_67B1);
        for (shift, factor) in [(15, 0x2C1B_3C6D_u32), (12, 0x297A_2D39)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        x ^= x >> 15;
        (x >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let count: usize = shape.iter().product();
    Numbers {
        shape: shape.to_vec(),
        data: (0..count as u32).map(number).collect(),
    }
}

fn net(architecture: &str) -> Net {
    let mut net = Net::new(&architecture.parse().unwrap(), 1).unwrap();
    let learned = net
        .tensors_mut()
        .iter_mut()
        .filter(|named| named.role != Role::Running);
    for (stream, named) in (0..).zip(learned) {
        let shape: Vec<usize> = named.tensor.size().iter().map(|side| *side as usize).collect();
        let mut values = numbers(stream, &shape);
        let around = if named.name.ends_with("norm.weight") {
            1.0
        } else {
            0.0
        };
        for value in &mut values.data {
            *value = *value * 0.5 + around;
        }
        set_numbers(&mut named.tensor, &values).unwrap();
    }
    net
}

fn batch(net: &Net, step: u32) -> (Tensor, Tensor) {
    let architecture = net.architecture();
    let (channels, side) = (architecture.channels as usize, architecture.resolution as usize);
    let pixels = numbers(1000 + step, &[BATCH as usize, channels, side, side]);
    let shape: Vec<i64> = pixels.shape.iter().map(|side| *side as i64).collect();
    let pixels = Tensor::from_slice(&pixels.data).view(shape.as_slice()) * 0.5 + 0.5;
    let classes = i64::from(architecture.classes());
    let labels: Vec<i64> = (0..BATCH).map(|index| index * 7 % 11 % classes).collect();
    (in_order(&pixels).unwrap(), Tensor::from_slice(&labels))
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let numbers: Vec<f32> = Vec::try_from(tensor.detach().reshape([-1])).unwrap();
    numbers.into_iter().map(f64::from).collect()
}

#[test]
fn twenty_steps_cost_what_they_cost_in_pytorch() {
    one_thread();
    let Reference { torch, curve, .. } = reference();
    assert!(
        torch.starts_with("2.13"),
        "{torch}: the libtorch this is built with"
    );
    let recipe = Recipe {
        peak_rate: 0.05,
        weight_decay: 5e-4,
        ..Recipe::default()
    };
    let mut learner = Learner::new(net(&curve.architecture)).unwrap();
    assert_eq!(curve.losses.len(), STEPS);
    for (step, wanted) in curve.losses.iter().enumerate() {
        let batch = batch(learner.net(), step as u32);
        let loss = learner.step(&batch, recipe.rate(step, STEPS), &recipe).unwrap();
        let found = loss.double_value(&[]);
        assert!((found - wanted).abs() <= 1e-4, "step {step}: {found} {wanted}");
    }
    // The running statistics too are PyTorch's.
    let (pixels, _) = batch(learner.net(), 0);
    let scores = flat(&learner.net().forward(&pixels, false).unwrap());
    for (found, wanted) in scores.iter().zip(&curve.scores) {
        assert!((found - wanted).abs() <= 1e-3, "{found} {wanted}");
    }
}

#[test]
fn every_kind_of_block_has_the_gradients_of_pytorch() {
    one_thread();
    let mut compared = 0;
    for block in reference().blocks {
        let net = net(&block.architecture);
        let (pixels, labels) = batch(&net, 0);
        let scores = net.forward(&pixels, true).unwrap();
        let loss = scores
            .f_cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)
            .unwrap();
        assert!((loss.double_value(&[]) - block.loss).abs() <= 1e-5);
        let learned: Vec<_> = net
            .tensors()
            .iter()
            .filter(|named| named.role != Role::Running)
            .collect();
        let inputs: Vec<&Tensor> = learned.iter().map(|named| &named.tensor).collect();
        let found = Tensor::run_backward(&[&loss], &inputs, false, false);
        assert_eq!(learned.len(), block.gradients.len());
        for ((named, found), (name, wanted)) in learned.iter().zip(&found).zip(&block.gradients) {
            assert_eq!(named.name, *name);
            let found = flat(found);
            assert_eq!(found.len(), wanted.len());
            let most = wanted.iter().map(|value| value.abs()).fold(0.0, f64::max);
            for (found, wanted) in found.iter().zip(wanted) {
                let far = (found - wanted).abs();
                assert!(
                    far <= 1e-5 + 1e-4 * most,
                    "{} {name}: {found} {wanted}",
                    block.architecture
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}
