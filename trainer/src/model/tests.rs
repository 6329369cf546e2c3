use super::*;

/// Every kind of layer and activation.
pub(crate) const EVERYTHING: &str = "m1/12x1/stem-h1-o8-k3-s2-hswish/ds-h8-o16-k5-s1-se-relu/ir-h32-o16-k3-s1-se-relu6/ir-h48-o24-k7-s2-hswish/ir-h24-o24-k3-s1-relu6/lighthead-h32-o2-k1-s1-relu6";

/// Several tests run at once, and OpenMP's threads would wait for each other while they spin.
pub(crate) fn one_thread() {
    tch::set_num_threads(1);
}

#[test]
fn has_the_parameters_that_were_counted() {
    let architecture: Architecture = EVERYTHING.parse().unwrap();
    let net = Net::new(&architecture, 1).unwrap();
    // Folding turns scale and shift of a batch normalisation into one bias.
    let folded = |named: &&Named| named.role != Role::Running && !named.name.ends_with("norm.weight");
    let numbers: usize = net
        .tensors()
        .iter()
        .filter(folded)
        .map(|named| named.tensor.numel())
        .sum();
    assert_eq!(numbers as u64, architecture.cost().parameters);
    assert!(export::trained_net(&architecture, &net.weights().unwrap()).is_ok());
}

#[test]
fn the_same_seed_gives_the_same_network() {
    let architecture: Architecture = EVERYTHING.parse().unwrap();
    let weights = &|seed| Net::new(&architecture, seed).unwrap().weights().unwrap();
    assert_eq!(weights(3), weights(3));
    assert_ne!(weights(3), weights(4));
    // Also while others are made.
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || weights(3 + i % 2))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(made.iter().step_by(2).all(|weights| *weights == made[0]));
}

#[test]
fn setting_numbers_reaches_the_layers() {
    one_thread();
    let architecture: Architecture = EVERYTHING.parse().unwrap();
    let (from, mut to) = (
        Net::new(&architecture, 1).unwrap(),
        Net::new(&architecture, 2).unwrap(),
    );
    for (from, to) in from.tensors().iter().zip(to.tensors_mut()) {
        set_numbers(&mut to.tensor, &to_numbers(&from.tensor).unwrap()).unwrap();
    }
    let batch = Tensor::randn([3, 1, 12, 12], tch::kind::FLOAT_CPU);
    let scores = |net: &Net| Vec::<f32>::try_from(net.forward(&batch, false).unwrap().reshape([-1])).unwrap();
    assert_eq!(scores(&from), scores(&to));
    assert_eq!(scores(&from).len(), 6);
}
