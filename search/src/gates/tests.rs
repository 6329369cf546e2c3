use super::*;
use crate::random::{Purpose, generator};

const ADAM: Adam = Adam {
    rate: 0.1,
    betas: (0.0, 0.999),
};

/// Derivative by differences, at zero logits plus `at`.
fn differences(at: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let small = 1e-6;
    let moved = |index: usize, by: f64| {
        let mut logits = at.to_vec();
        logits[index] += by;
        f(&logits)
    };
    (0..at.len())
        .map(|index| (moved(index, small) - moved(index, -small)) / (2.0 * small))
        .collect()
}

fn near(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() < 1e-7, "{a:?} {b:?}");
    }
}

#[test]
fn gradients_go_back_through_softmax_and_mask() {
    let (logits, outer) = ([0.3, -0.2, 0.9], [0.5, -1.0, 2.0]);
    let loss = |p: &[f64]| -> f64 { p.iter().zip(outer).map(|(p, o)| p * o).sum() };
    near(
        &softmax_gradient(&softmax(&logits, 1.0), &outer),
        &differences(&logits, |l| loss(&softmax(l, 1.0))),
    );
    let noise = gumbel::noise(3, &mut generator(1, 0, Purpose::Ask));
    near(
        &gumbel::gradient(&gumbel::mask(&logits, &noise, 2.5), &outer, 2.5),
        &differences(&logits, |l| loss(&gumbel::mask(l, &noise, 2.5))),
    );
}

#[test]
fn a_sampled_pair_leaves_the_others_as_likely_as_before() {
    let mut gates = Gates::new(&[4]);
    gates.descend_sampled(0, &[(1, 2.0), (3, 1.0)], &ADAM);
    let p = gates.probabilities(0);
    assert!((p[0] - 0.25).abs() < 1e-12 && (p[2] - 0.25).abs() < 1e-12);
    assert!(p[3] > 0.25 && (p[1] + p[3] - 0.5).abs() < 1e-12);
}

/// The first step of Adam is as long as its rate, whatever the gradient.
#[test]
fn descends_by_adam() {
    let mut gates = Gates::new(&[2]);
    gates.descend(0, &[3.0, -50.0], &ADAM);
    near(gates.logits(0), &[-0.1, 0.1]);
    // What it has seen counts for long: it starts anew.
    let mut gates = Gates::new(&[2]);
    for _ in 0..100 {
        let gradient = softmax_gradient(&gates.probabilities(0), &[1.0, 0.0]);
        gates.descend(0, &gradient, &ADAM);
    }
    assert!(gates.probabilities(0)[1] > 0.95);
}

#[test]
fn masks_cool_to_single_paths_that_come_as_often_as_they_are_likely() {
    let logits = [1.0, 0.0, -1.0];
    let mut counts = [0.0; 3];
    let mut rng = generator(7, 0, Purpose::Ask);
    for _ in 0..4000 {
        let mask = gumbel::mask(&logits, &gumbel::noise(3, &mut rng), 0.01);
        let most = (0..3).max_by(|a, b| mask[*a].total_cmp(&mask[*b])).unwrap();
        counts[most] += 1.0 / 4000.0;
    }
    for (count, p) in counts.iter().zip(softmax(&logits, 1.0)) {
        assert!((count - p).abs() < 0.03, "{counts:?}");
    }
}

#[test]
fn keeps_every_bit_on_the_way_through_json() {
    let mut gates = Gates::new(&[3, 2]);
    gates.descend(0, &[0.1, 0.2, -0.7], &ADAM);
    gates.descend_sampled(1, &[(0, 0.3), (1, 0.1)], &ADAM);
    let text = serde_json::to_string(&gates).unwrap();
    assert_eq!(serde_json::from_str::<Gates>(&text).unwrap(), gates);
}

#[test]
fn slots_without_effect_do_not_count() {
    let mut gates = Gates::new(&[2, 2]);
    gates.descend(0, &[1.0, -1.0], &ADAM);
    let point = Choices(vec![0, 0]);
    let odds = gates.log_odds(&point, &[true, true]);
    assert!((odds + 0.2).abs() < 1e-6, "{odds}");
    assert!(gates.log_odds(&point, &[false, true]).abs() < 1e-12);
    assert!(gates.log_odds(&Choices(vec![1, 1]), &[true, true]).abs() < 1e-12);
}
