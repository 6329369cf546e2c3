use proptest::prelude::*;

use super::*;
use crate::latency::Latency;
use crate::space::SearchSpaceConfig;

/// A class on which a block takes 5 µs and `ps` picoseconds for each multiply-accumulate.
fn target(name: &str, ps: f64, bound_us: f64) -> Target {
    let row = |key: crate::space::BlockKey| {
        let p50_us = 5.0 + key.cost().macs as f64 * ps * 1e-6;
        (
            key,
            Latency {
                p50_us,
                p95_us: p50_us * 1.1,
            },
        )
    };
    let constraints = Constraints {
        latency_p95_us: bound_us,
        model_bytes: None,
        peak_memory_bytes: None,
    };
    Target {
        name: name.into(),
        constraints,
        latency: LatencyModel::new(space().block_keys().into_iter().map(row)),
    }
}

fn space() -> Space {
    Space::from_config(&SearchSpaceConfig::default()).unwrap()
}

fn study(targets: Vec<Target>, candidates: u32, seed: u64) -> Study {
    Study::new(space(), targets, &StrategyConfig::default(), candidates, seed).unwrap()
}

#[test]
fn serves_several_targets_with_candidates_inside_their_bounds() {
    let mut study = study(
        vec![target("fast", 100.0, 200.0), target("slow", 400.0, 200.0)],
        200,
        7,
    );
    study.run();
    assert_eq!(study.records().len(), 200);
    let (fast, slow) = (study.finalists(0, 3), study.finalists(1, 3));
    assert_eq!((fast.len(), slow.len()), (3, 3));
    assert!(
        fast.iter()
            .chain(&slow)
            .all(|f| f.estimate.p95_at_most_us <= 200.0)
    );
    assert!(
        fast[0].estimate.macs > 2 * slow[0].estimate.macs,
        "a faster class affords more work"
    );
    assert!(capacity(&fast[0].estimate) >= capacity(&fast[1].estimate));
}

#[test]
fn what_was_measured_above_the_bound_makes_room() {
    let mut study = study(vec![target("a", 100.0, 200.0)], 50, 7);
    study.run();
    let before = study.finalists(0, 3);
    study
        .tell(
            before[0].trial,
            Feedback::Measured {
                target: 0,
                p95_us: 250.0,
            },
        )
        .unwrap();
    study
        .tell(
            before[1].trial,
            Feedback::Measured {
                target: 0,
                p95_us: 190.0,
            },
        )
        .unwrap();
    let after = study.finalists(0, 3);
    assert!(after.iter().all(|f| f.trial != before[0].trial));
    assert_eq!(
        after
            .iter()
            .find(|f| f.trial == before[1].trial)
            .unwrap()
            .measured_p95_us,
        Some(190.0)
    );
    assert_eq!(after.len(), 3);
    study
        .tell(
            before[1].trial,
            Feedback::Failed {
                reason: "loss not finite".into(),
            },
        )
        .unwrap();
    assert!(study.finalists(0, 50).iter().all(|f| f.trial != before[1].trial));
}

#[test]
fn told_accuracies_come_before_the_proxy() {
    let mut study = study(vec![target("a", 100.0, 200.0)], 20, 7);
    study.run();
    let last = study.finalists(0, 20).pop().unwrap().trial;
    study.tell(last, Feedback::Evaluated { accuracy: 0.9 }).unwrap();
    assert_eq!(study.finalists(0, 3)[0].trial, last);
}

#[test]
fn an_infeasible_bound_names_the_nearest_candidate() {
    let mut study = study(vec![target("a", 100.0, 20.0), target("b", 100.0, 200.0)], 5, 7);
    let near = study.nearest(0).unwrap();
    assert!(!near.is_feasible());
    assert_eq!(
        near.violations[0].to_string(),
        "latency p95 43us (predicted 39us, error bar 10 %) is above the bound 20us by 117 %"
    );
    study.run();
    assert_eq!(study.finalists(0, 3), []);
    assert_eq!(study.finalists(1, 3).len(), 3);
}

#[test]
fn a_bound_within_the_error_bar_leaves_the_nearest_to_a_measurement() {
    let shortlist = |bound| {
        let mut study = study(vec![target("a", 100.0, bound)], 5, 7);
        study.run();
        study.shortlist(0, 3, 50)
    };
    let predicted = study(vec![target("a", 100.0, 20.0)], 1, 1)
        .nearest(0)
        .unwrap()
        .estimate
        .p95_us;
    let reason = shortlist(predicted * 0.99).unwrap_err();
    assert!(
        reason.starts_with(
            "even the nearest architecture of the space misses: latency p95 43us (predicted 39us"
        ),
        "{reason}"
    );
    assert_eq!(shortlist(predicted * 1.05).unwrap().len(), 1);
    let some = shortlist(predicted * 2.0).unwrap();
    assert!(some.len() > 3);
    let different: std::collections::BTreeSet<_> = some.iter().map(|(net, _)| net).collect();
    assert_eq!(different.len(), some.len());
}

#[test]
fn a_bound_that_hardly_anything_keeps_is_still_met() {
    // A little above the fastest network there is.
    let bound = study(vec![target("a", 100.0, 20.0)], 1, 1)
        .nearest(0)
        .unwrap()
        .estimate
        .p95_at_most_us
        * 1.02;
    let mut study = study(vec![target("a", 100.0, bound)], 5, 7);
    study.run();
    assert!(!study.records().is_empty());
    assert!(
        study
            .finalists(0, 9)
            .iter()
            .all(|f| f.estimate.p95_at_most_us <= bound)
    );
}

#[test]
fn an_unmeasured_block_is_an_error_with_its_target() {
    let mut bare = target("pi4", 100.0, 200.0);
    bare.latency = LatencyModel::default();
    let error = Study::new(space(), vec![bare], &StrategyConfig::default(), 5, 1).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("target pi4: 101 blocks are not measured: "),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_resumed_study_is_the_undisturbed_one(seed: u64, cut in 0..20_usize) {
        let targets = || vec![target("a", 100.0, 150.0)];
        let mut whole = study(targets(), 20, seed);
        whole.run();
        let records = serde_json::to_string(&whole.records()[..cut]).unwrap();
        let records = serde_json::from_str(&records).unwrap();
        let mut resumed = Study::resume(space(), targets(), &StrategyConfig::default(), 20, seed, records).unwrap();
        resumed.run();
        prop_assert_eq!(resumed.records(), whole.records());
        prop_assert_eq!(resumed.finalists(0, 3), whole.finalists(0, 3));
    }

    #[test]
    fn no_candidate_is_ever_above_the_bound(seed: u64, bound in 45.0..400.0_f64) {
        let mut study = study(vec![target("a", 100.0, bound)], 10, seed);
        while let Some(trial) = study.ask() {
            prop_assert!(trial.estimates[0].p95_at_most_us <= bound);
        }
    }
}
