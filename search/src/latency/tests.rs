use super::*;
use crate::space::SearchSpaceConfig;

fn space() -> Space {
    Space::from_config(&SearchSpaceConfig::default()).unwrap()
}

/// Blocks alone: 8 µs for the run, 3 ps a multiply-accumulate.
fn profile(space: &Space) -> LatencyModel {
    let row = |key: BlockKey| {
        let p50_us = 8.0 + key.cost().macs as f64 * 3e-4;
        (
            key,
            Latency {
                p50_us,
                p95_us: p50_us * 1.1,
            },
        )
    };
    LatencyModel::new(space.block_keys().into_iter().map(row))
}

/// Whole nets: the run once.
fn truth(net: &Architecture) -> Latency {
    let p50_us = 8.0 + net.cost().macs as f64 * 2.8e-4;
    Latency {
        p50_us,
        p95_us: p50_us * 1.2,
    }
}

#[test]
fn sums_the_blocks() {
    let space = space();
    let net = &calibration_nets(&space, 1, 3)[0];
    let latency = profile(&space).predict(net).unwrap();
    let expected = net.blocks().len() as f64 * 8.0 + net.cost().macs as f64 * 3e-4;
    assert!((latency.p50_us - expected).abs() < 1e-6);
    assert!((latency.p95_us - expected * 1.1).abs() < 1e-6);
}

#[test]
fn a_missing_block_is_named() {
    let space = space();
    let net = &calibration_nets(&space, 1, 3)[0];
    let (stem, model) = (net.blocks()[0], profile(&space));
    let rows = model.rows.into_iter().filter(|(key, _)| *key != stem);
    let error = LatencyModel::new(rows).predict(net).unwrap_err();
    assert_eq!(error.to_string(), format!("1 blocks are not measured: {stem}"));
}

#[test]
fn ten_whole_nets_take_the_overhead_of_single_blocks_out() {
    let space = space();
    let nets = calibration_nets(&space, 10, 3)
        .into_iter()
        .map(|net| (net.clone(), truth(&net)));
    let nets: Vec<_> = nets.collect();
    let mut model = profile(&space);
    let fit = model.calibrate(&nets).unwrap();
    assert!(fit.mape_before > 0.1 && fit.mape_after < 0.01, "{fit:?}");
    for net in calibration_nets(&space, 50, 4) {
        let (predicted, measured) = (model.predict(&net).unwrap(), truth(&net));
        assert!(
            (predicted.p95_us / measured.p95_us - 1.0).abs() < 0.02,
            "{predicted:?} {measured:?}"
        );
    }
}

#[test]
fn one_net_already_helps() {
    let space = space();
    let net = calibration_nets(&space, 1, 3)[0].clone();
    let fit = profile(&space).calibrate(&[(net.clone(), truth(&net))]).unwrap();
    assert!(fit.mape_after < fit.mape_before / 4.0, "{fit:?}");
    assert!(profile(&space).calibrate(&[]).is_err());
    assert!(
        profile(&space)
            .calibrate(&[(
                net,
                Latency {
                    p50_us: 0.0,
                    p95_us: 1.0
                }
            )])
            .is_err()
    );
}

#[test]
fn the_error_bar_holds_for_networks_it_has_not_seen() {
    let space = space();
    // Each network off by up to 6 % in a way that no calibration can know.
    let noisy = |net: &Architecture| {
        let off = f64::from(net.id().bytes().map(u32::from).sum::<u32>() % 13) / 100.0 - 0.06;
        let Latency { p50_us, p95_us } = truth(net);
        Latency {
            p50_us: p50_us * (1.0 + off),
            p95_us: p95_us * (1.0 + off),
        }
    };
    let nets: Vec<_> = calibration_nets(&space, 20, 3)
        .into_iter()
        .map(|net| (net.clone(), noisy(&net)))
        .collect();
    let mut model = profile(&space);
    let fit = model.calibrate(&nets).unwrap();
    assert!((0.02..0.12).contains(&fit.error_bar), "{fit:?}");
    let fresh = calibration_nets(&space, 100, 4);
    let kept = |net: &&Architecture| noisy(net).p95_us <= model.predict_at_most(net).unwrap().p95_us;
    assert!(fresh.iter().filter(kept).count() >= 90);
}
