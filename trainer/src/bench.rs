//! Times the training step alone, on random data: how fast a machine trains, and what `make bench-step` prints.

use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;
use tch::{Device, Kind, TchError, Tensor};

use crate::args::BenchStepArgs;
use crate::exit::Exit;
use crate::local::architecture;
use crate::model::Net;
use crate::training::{Learner, Recipe};

/// MobileNetV2 of half width for 32×32 images: the network whose step is compared with other engines.
pub const MOBILENET: &str = "m1/32x3/stem-h3-o16-k3-s1-relu6/ir-h16-o8-k3-s1-relu6\
    /ir-h48-o16-k3-s1-relu6/ir-h96-o16-k3-s1-relu6\
    /ir-h96-o16-k3-s2-relu6/ir-h96-o16-k3-s1-relu6/ir-h96-o16-k3-s1-relu6\
    /ir-h96-o32-k3-s2-relu6/ir-h192-o32-k3-s1-relu6/ir-h192-o32-k3-s1-relu6/ir-h192-o32-k3-s1-relu6\
    /ir-h192-o48-k3-s1-relu6/ir-h288-o48-k3-s1-relu6/ir-h288-o48-k3-s1-relu6\
    /ir-h288-o80-k3-s2-relu6/ir-h480-o80-k3-s1-relu6/ir-h480-o80-k3-s1-relu6\
    /ir-h480-o160-k3-s1-relu6/head-h1280-o10-k1-s1-relu6";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    threads: i32,
}

/// Prints one line of JSON.
pub fn step(args: &BenchStepArgs) -> Result<(), Exit> {
    let BenchStepArgs {
        arch,
        batch,
        warm_up,
        steps,
    } = args;
    let architecture = architecture(arch)?;
    let net = Net::new(&architecture, 1)
        .context("libtorch")
        .map_err(Exit::Temporary)?;
    let times = measure(net, i64::from(*batch), *warm_up, *steps)
        .context("libtorch")
        .map_err(Exit::Temporary)?;
    let line = serde_json::to_string(&times)
        .context("times")
        .map_err(Exit::Temporary)?;
    crate::local::print(&line)
}

fn measure(net: Net, batch: i64, warm_up: u32, steps: u32) -> Result<Times, TchError> {
    // What others time too: plain momentum, nothing else.
    let recipe = Recipe {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
        label_smoothing: 0.0,
        ..Recipe::default()
    };
    let architecture = net.architecture();
    let (side, channels) = (
        i64::from(architecture.resolution),
        i64::from(architecture.channels),
    );
    let classes = i64::from(architecture.classes());
    let pixels = Tensor::f_randn([batch, side, side, channels], (Kind::Float, Device::Cpu))?
        .f_permute([0, 3, 1, 2])?;
    let labels = Tensor::f_randint(classes, [batch], (Kind::Int64, Device::Cpu))?;
    let data = (pixels, labels);
    let mut learner = Learner::new(net)?;
    let mut milliseconds = Vec::with_capacity(steps as usize);
    for step in 0..warm_up + steps {
        let start = Instant::now();
        drop(learner.step(&data, 0.05, &recipe)?);
        if step >= warm_up {
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    milliseconds.sort_by(f64::total_cmp);
    let at = |index: usize| {
        milliseconds
            .get(index)
            .map_or(0.0, |ms| (ms * 100.0).round() / 100.0)
    };
    let last = milliseconds.len().saturating_sub(1);
    Ok(Times {
        median_ms: at(milliseconds.len() / 2),
        min_ms: at(0),
        max_ms: at(last),
        threads: tch::get_num_threads(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    #[test]
    fn the_timed_network_is_the_published_one() {
        let architecture: search::space::Architecture = MOBILENET.parse().unwrap();
        let net = Net::new(&architecture, 1).unwrap();
        let learned = net.tensors().iter().filter(|named| named.role != Role::Running);
        assert_eq!(learned.map(|named| named.tensor.numel()).sum::<usize>(), 700_490);
        assert_eq!((architecture.cost().macs + 50_000) / 100_000, 280);
    }

    #[test]
    fn steps_that_count_are_timed_on_the_threads_told() {
        crate::model::tests::one_thread();
        let net = Net::new(&crate::model::tests::EVERYTHING.parse().unwrap(), 1).unwrap();
        let times = measure(net, 2, 1, 5).unwrap();
        assert!(times.min_ms > 0.0 && times.threads == 1, "{times:?}");
    }
}
