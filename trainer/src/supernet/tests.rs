use ::search::random::{Purpose, generator};
use ::search::space::SearchSpaceConfig;
use tch::Kind;

use super::*;
use crate::model::tests::one_thread;

/// Every kind of block and of choice, small.
pub(super) const EVERYTHING: &str = r#"{"mobileBlocks":{"channels":1,"classes":2,"resolutions":[16,20],"widths":[0.5,1.0],"depths":[1,2],
    "kernels":[3,5,7],"expands":[1,2],"blocks":["separable","invertedResidual"],"squeezeExcite":[false,true],
    "activation":"hardSwish","stem":{"channels":8,"kernel":3,"stride":2},"head":{"style":"light","channels":8},
    "stages":[{"channels":8,"stride":1},{"channels":16,"stride":2,"activation":"relu6"}]}}"#;

pub(super) fn space(text: &str) -> Space {
    let config: SearchSpaceConfig = serde_json::from_str(text).unwrap();
    Space::from_config(&config).unwrap()
}

/// Pixels that depend on the seed alone; libtorch's generator is every test's.
pub(super) fn pixels(seed: u64, shape: &[i64]) -> tch::Tensor {
    use rand::Rng as _;
    let mut rng = generator(seed, 0, Purpose::Ask);
    let numbers: Vec<f32> = (0..shape.iter().product::<i64>()).map(|_| rng.random()).collect();
    tch::Tensor::from_slice(&numbers).view(shape)
}

pub(super) fn numbers(tensor: &tch::Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).reshape([-1])).unwrap()
}

pub(super) fn near(a: &[f64], b: &[f64], least: f64) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= least * (1.0 + y.abs()), "{x} {y}\n{a:?}\n{b:?}");
    }
}

/// Weights that differ from their start, the kernels' matrices too.
pub(super) fn shaken(space: &Space) -> Supernet {
    let mut supernet = Supernet::new(space, 3).unwrap();
    for (index, named) in supernet.tensors_mut().iter_mut().enumerate() {
        let noise = pixels(index as u64, &named.tensor.size()) * 0.2;
        let _ = tch::no_grad(|| named.tensor.f_add_(&noise)).unwrap();
    }
    supernet
}

fn some(space: &Space) -> Vec<Choices> {
    let draw = |index| space.sample(&mut generator(1, index, Purpose::Ask));
    let mut some: Vec<Choices> = (0..12).map(draw).collect();
    some.extend([space.largest(), space.smallest()]);
    some
}

#[test]
fn a_network_in_the_supernet_scores_as_the_one_taken_out() {
    one_thread();
    for text in [EVERYTHING, &EVERYTHING.replace("\"light\"", "\"convolution\"")] {
        let space = space(text);
        let supernet = shaken(&space);
        for choices in some(&space) {
            let mut alone = supernet.extract(&choices).unwrap();
            let side = i64::from(alone.architecture().resolution);
            let batch = pixels(9, &[6, 1, side, side]);
            let scores = |net: &Net| numbers(&net.forward(&batch, true).unwrap());
            near(&scores(&supernet.part(&choices).unwrap()), &scores(&alone), 1e-5);
            // Also after its way through names and numbers, as checkpoints and exported files take it.
            let mut again = Net::new(alone.architecture(), 8).unwrap();
            alone
                .find_statistics([Ok(batch.shallow_clone())].into_iter())
                .unwrap();
            for (from, to) in alone.tensors().iter().zip(again.tensors_mut()) {
                assert_eq!(from.name, to.name);
                crate::model::set_numbers(&mut to.tensor, &crate::model::to_numbers(&from.tensor).unwrap())
                    .unwrap();
            }
            let judged = |net: &Net| numbers(&net.forward(&batch, false).unwrap());
            near(&judged(&again), &judged(&alone), 1e-5);
        }
    }
}

/// Statistics over one batch make judging it the same as training on it, but for the variance's divisor.
#[test]
fn statistics_are_found_anew() {
    one_thread();
    let space = space(EVERYTHING);
    let mut net = shaken(&space).extract(&space.largest()).unwrap();
    let side = i64::from(net.architecture().resolution);
    let batches: Vec<_> = (0..3).map(|seed| pixels(seed, &[40, 1, side, side])).collect();
    let before = numbers(&net.forward(&batches[0], false).unwrap());
    net.find_statistics(batches.iter().map(|batch| Ok(batch.shallow_clone())))
        .unwrap();
    let after = numbers(&net.forward(&batches[0], false).unwrap());
    let own = numbers(&net.forward(&batches[0], true).unwrap());
    let distance = |a: &[f64]| a.iter().zip(&own).map(|(a, b)| (a - b).abs()).sum::<f64>();
    assert!(
        distance(&after) < 0.2 * distance(&before),
        "{} {}",
        distance(&after),
        distance(&before)
    );
}

#[test]
fn what_a_part_learns_the_supernet_learns_and_a_copy_does_not() {
    one_thread();
    let space = space(EVERYTHING);
    let supernet = shaken(&space);
    let choices = space.largest();
    let learned: Vec<&tch::Tensor> = supernet.tensors().iter().map(|named| &named.tensor).collect();
    let gradients = |net: &Net| {
        let batch = pixels(1, &[3, 1, 20, 20]);
        let loss = net.forward(&batch, true).unwrap().square().sum(Kind::Float);
        tch::Tensor::run_backward(&[loss], &learned, false, false)
    };
    let found = gradients(&supernet.part(&choices).unwrap());
    let reached = supernet
        .tensors()
        .iter()
        .zip(&found)
        .filter(|(_, gradient)| gradient.defined());
    let names: Vec<&str> = reached.map(|(named, _)| named.name.as_str()).collect();
    assert!(names.contains(&"stem.conv.weight") && names.contains(&"head.linear.weight"));
    assert!(!names.iter().any(|name| name.contains("separable")), "{names:?}");
    assert!(
        gradients(&supernet.extract(&choices).unwrap())
            .iter()
            .all(|gradient| !gradient.defined())
    );
}

/// At its start the way to a smaller kernel is the crop; then what the smaller kernel learns moves the way too.
#[test]
fn a_smaller_kernel_is_the_centre_of_the_larger_one() {
    one_thread();
    let space = space(EVERYTHING);
    let supernet = Supernet::new(&space, 3).unwrap();
    let mut found = 0;
    for choices in some(&space) {
        let net = supernet.extract(&choices).unwrap();
        let places = places::filled(&space, &choices);
        for named in net
            .tensors()
            .iter()
            .filter(|named| named.name.ends_with("depthwise.weight"))
        {
            let index: usize = named.name.split('.').next().unwrap().parse().unwrap();
            let key = net.architecture().blocks()[index];
            let shared = format!("{}.depthwise.weight", Family::of(&key).prefix(places[index]));
            let shared = &supernet.tensors[supernet.index[&shared]].tensor;
            let (channels, kernel) = (named.tensor.size()[0], named.tensor.size()[2]);
            let margin = (shared.size()[2] - kernel) / 2;
            let centre = shared
                .narrow(0, 0, channels)
                .narrow(2, margin, kernel)
                .narrow(3, margin, kernel);
            near(&numbers(&named.tensor), &numbers(&centre), 1e-6);
            found += i32::from(kernel < 7);
        }
    }
    assert!(found > 5);
}
