//! Gradients of gates against automatic differentiation of the same network with every gate a factor.

use std::collections::BTreeMap;

use super::*;
use crate::model::tests::one_thread;
use crate::supernet::tests::{EVERYTHING, near, numbers, pixels, shaken, space};

fn batch() -> Batch {
    let at = |side: i64| (side as u32, pixels(5, &[4, 1, side, side]));
    Batch {
        pixels: BTreeMap::from([at(16), at(20)]),
        labels: Tensor::from_slice(&[0_i64, 1, 1, 0]),
    }
}

fn even(options: &[usize]) -> Vec<Vec<f64>> {
    options.iter().map(|n| vec![1.0 / *n as f64; *n]).collect()
}

/// One-hot masks, differentiated by libtorch through the sum over all options.
#[test]
fn binary_gates_have_the_gradients_of_one_hot_factors() {
    one_thread();
    let space = space(EVERYTHING);
    let supernet = shaken(&space);
    let options: Vec<usize> = space.slots().iter().map(|slot| slot.options).collect();
    let batch = batch();
    for seed in 0..3 {
        let mut rng = generator(seed, 0, Purpose::Gates);
        let gradient = if seed == 0 {
            GateGradient::TwoPath
        } else {
            GateGradient::Full
        };
        let draw = draw(&even(&options), gradient, &mut rng);
        let one_hot = |(slot, n): (usize, &usize)| {
            let factor = |option| f64::from(u8::from(option == usize::from(draw.open.0[slot])));
            (0..*n).map(factor).collect()
        };
        let masks: Vec<Vec<f64>> = options.iter().enumerate().map(one_hot).collect();
        let (loss, wanted) = mask_gradients(&supernet, &masks, &batch).unwrap();
        let found = binary::gradients(&supernet, &draw, &batch).unwrap();
        assert!((found.loss - loss).abs() < 1e-5);
        let mut slots = 0;
        for (slot, sampled) in found
            .gates
            .iter()
            .enumerate()
            .filter(|(_, sampled)| !sampled.is_empty())
        {
            assert_eq!(sampled.len(), if seed == 0 { 2 } else { options[slot] });
            let of_slot: Vec<f64> = sampled.iter().map(|(option, _)| wanted[slot][*option]).collect();
            let values: Vec<f64> = sampled.iter().map(|(_, value)| *value).collect();
            near(&values, &of_slot, 2e-4);
            slots += 1;
        }
        assert!(slots >= 6, "{slots}");
    }
}

/// From logits to loss in libtorch alone, against the formula for the softmax and libtorch for the masks.
#[test]
fn gumbel_gates_have_the_gradients_of_their_logits() {
    one_thread();
    let space = space(EVERYTHING);
    let supernet = shaken(&space);
    let batch = batch();
    let temperature = 1.7;
    let mut rng = generator(4, 0, Purpose::Gates);
    let noise: Vec<Vec<f64>> = space
        .slots()
        .iter()
        .map(|slot| gumbel::noise(slot.options, &mut rng))
        .collect();
    let logits: Vec<Vec<f64>> = noise
        .iter()
        .map(|slot| slot.iter().map(|g| 0.3 * g.sin()).collect())
        .collect();

    let leaves: Vec<Tensor> = logits
        .iter()
        .map(|slot| Tensor::from_slice(slot).set_requires_grad(true))
        .collect();
    let mask = |(leaf, noise): (&Tensor, &Vec<f64>)| {
        let noisy: Tensor = (leaf + Tensor::from_slice(noise)) / temperature;
        noisy.softmax(0, tch::Kind::Double).to_kind(tch::Kind::Float)
    };
    let masks: Vec<Tensor> = leaves.iter().zip(&noise).map(mask).collect();
    let scores = mixture::scores(&supernet, &masks, Cut::Linked, &batch).unwrap();
    let loss = scores.cross_entropy_for_logits(&batch.labels);
    let wanted = Tensor::run_backward(&[loss], &leaves, false, false);

    let masks: Vec<Vec<f64>> = logits
        .iter()
        .zip(&noise)
        .map(|(logits, noise)| gumbel::mask(logits, noise, temperature))
        .collect();
    let (_, of_masks) = mask_gradients(&supernet, &masks, &batch).unwrap();
    for (slot, wanted) in wanted.iter().enumerate() {
        let found = gumbel::gradient(&masks[slot], &of_masks[slot], temperature);
        near(&found, &numbers(wanted), 1e-4);
    }
}

/// With one mask of each slot open the mixture is that network.
#[test]
fn a_mixture_of_one_is_the_network() {
    one_thread();
    let space = space(EVERYTHING);
    let supernet = shaken(&space);
    let batch = batch();
    for index in 0..4 {
        let choices = space.sample(&mut generator(index, 0, Purpose::Ask));
        let one_hot = |(slot, chosen): (&::search::space::Slot, &u8)| {
            let factor = |option| f32::from(u8::from(option == usize::from(*chosen)));
            Tensor::from_slice(&(0..slot.options).map(factor).collect::<Vec<_>>())
        };
        let masks: Vec<Tensor> = space.slots().iter().zip(&choices.0).map(one_hot).collect();
        let net = supernet.part(&choices).unwrap();
        let pixels = batch.at(net.architecture().resolution).unwrap();
        let alone = net.forward(pixels, true).unwrap();
        let mixed = mixture::scores(&supernet, &masks, Cut::Frozen, &batch).unwrap();
        near(&numbers(&mixed), &numbers(&alone), 1e-5);
    }
}

#[test]
fn two_paths_are_drawn_as_often_as_they_are_likely() {
    let p = vec![vec![0.6, 0.3, 0.1], vec![1.0]];
    let mut rng = generator(1, 0, Purpose::Gates);
    let mut open = [0.0; 3];
    for _ in 0..3000 {
        let draw = draw(&p, GateGradient::TwoPath, &mut rng);
        assert_eq!((draw.sampled[0].len(), draw.sampled[1].len()), (2, 1));
        assert!(draw.sampled[0][0] != draw.sampled[0][1]);
        assert!(draw.sampled[0].contains(&usize::from(draw.open.0[0])));
        open[usize::from(draw.open.0[0])] += 1.0 / 3000.0;
    }
    // Of a pair without replacement, the one by its share of the pair.
    let pair = |a: f64, b: f64| a * b / (1.0 - a) + b * a / (1.0 - b);
    let first = pair(0.6, 0.3) * 0.6 / 0.9 + pair(0.6, 0.1) * 0.6 / 0.7;
    assert!((open[0] - first).abs() < 0.03, "{open:?} {first}");
}
