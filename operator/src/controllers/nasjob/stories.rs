//! Whole searches told as text: the plan is real, what it asks of the world is made up at its seam.

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::facts::{DeviceFact, JobState};
use super::plan::{Plan, Report, StudyChange, plan};
use super::status::status;
use crate::store::profiles::{FailureKind, FailureRow, RequestRow};
use crate::store::trials::TrialState;

mod learning;
mod world;

use world::{World, device, spec, training};

/// The whole transcript is as expected.
fn told(world: &World, expected: &str) {
    let expected = expected.trim_matches('\n');
    assert_eq!(world.log.trim_end(), expected, "\n{}", world.log);
}

#[test]
fn one_search_for_two_classes() {
    let mut world = World::new(
        &spec(&[("fast", "60us"), ("slow", "90us")]),
        &[("pi-1", "fast"), ("pi-2", "slow")],
    );
    world.run();
    told(
        &world,
        r"
Profiling 0/0: looks at what is measured already
Profiling 0/76: pi-1, pi-2 measure
  ! Profiling: asks pi-1 (class fast) to measure 38 files; 0 of 76 are done
  ! Profiling: asks pi-2 (class slow) to measure 38 files; 0 of 76 are done
Searching 20/20: chose among 20 candidates for each target
  ! Searching: looked at 20 candidates for each target: fast: 20 candidates kept (latency model off by 0.1 % on whole networks, 94.0 % before calibration; error bar 2.0 %); slow: 18 candidates kept (latency model off by 0.1 % on whole networks, 94.0 % before calibration; error bar 2.0 %)
Measuring 5/8: pi-1, pi-2 measure
  ! Measuring: asks pi-1 (class fast) to measure 2 files; 5 of 8 are done
  ! Measuring: asks pi-2 (class slow) to measure 1 files; 5 of 8 are done
Training 0/4: waits for a trainer pod
  ! TrainingStarted: Job dish-3512cc62 trains 4 architectures, 0 of them are trained already
Verifying 0/4: pi-1, pi-2 measure
  ! Verifying: asks pi-1 (class fast) to measure 2 files; 0 of 4 are done
  ! Verifying: asks pi-2 (class slow) to measure 2 files; 0 of 4 are done
ModelSelected: fast: 81.0 % at 58us; slow: 80.6 % at 84us
  ! ModelSelected: fast: 81.0 % at 58us
  ! ModelSelected: slow: 80.6 % at 84us",
    );
    let outcome = world.outcome();
    for (target, bound) in outcome.targets.iter().zip([60.0, 90.0]) {
        assert!(target.best.as_ref().unwrap().measured_p95_us <= bound && !target.front.is_empty());
    }
    // Looking again does nothing, whatever the devices do; the status is the same.
    world.facts.devices.clear();
    let plan = world.look();
    let again = Plan {
        report: plan.report.clone(),
        ..Plan::default()
    };
    assert_eq!(plan, again);
    let first = status(None, &plan.report, 1, world.facts.now);
    world.pass(60);
    assert_eq!(
        status(Some(&first), &world.look().report, 1, world.facts.now),
        first
    );
}

#[test]
fn a_bound_nothing_can_hold_is_said_before_any_training() {
    let mut world = World::new(&spec(&[("fast", "5us")]), &[("pi-1", "fast")]);
    let plan = world.run();
    assert!(world.facts.trials.is_empty() && world.facts.jobs.is_empty());
    let Report::Ended(outcome) = &plan.report else {
        unreachable!()
    };
    assert_eq!(outcome.reason, "Infeasible");
    let nearest = "target fast: even the nearest architecture of the space misses: latency p95 ";
    let by = " is above the bound 5us by ";
    assert!(
        outcome.message.starts_with(nearest) && outcome.message.contains(by),
        "{}",
        outcome.message
    );
    let status = status(None, &plan.report, 3, world.facts.now);
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|c| format!("{}={} {}", c.type_, c.status, c.reason))
        .collect();
    assert_eq!(
        conditions,
        [
            "Succeeded=False Infeasible",
            "Reconciling=False Infeasible",
            "Stalled=True Infeasible"
        ]
    );
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn files_that_got_slower_by_training_are_replaced_and_then_named() {
    let mut world = World::new(&spec(&[("fast", "60us")]), &[("pi-1", "fast")]);
    world.weights_cost = 1.5;
    let plan = world.run();
    let Report::Ended(outcome) = &plan.report else {
        unreachable!()
    };
    assert_eq!(outcome.reason, "Infeasible");
    assert_eq!(
        world.facts.trials.len(),
        4,
        "as many again as finalists, then no more"
    );
    let parts = [
        "none of 20 candidates holds every bound as measured; the nearest: architecture ",
        "measured after training",
        "above the bound of 60us",
    ];
    assert!(
        parts.iter().all(|part| outcome.message.contains(part)),
        "{}",
        outcome.message
    );
}

#[test]
fn a_device_that_keeps_silent_is_passed_over() {
    let mut world = World::new(&spec(&[("fast", "60us")]), &[("pi-1", "fast"), ("pi-2", "fast")]);
    world.facts.concurrency = 1;
    world.look();
    let first = world.look();
    assert_eq!(first.asks[0].device.id.as_str(), "pi-1");
    world.facts.now = first.asks[0].deadline;
    let second = world.look();
    assert_eq!(second.asks[0].device.id.as_str(), "pi-2");
    let told = "pi-1 did not answer in time: its files are asked for again";
    assert_eq!(
        (second.events[0].reason.as_str(), second.events[0].note.as_str()),
        ("ProfileTimeout", told)
    );
    // A device that was started anew has forgotten what it was asked, and one that is gone leaves it to another.
    world.facts.devices[1].boot_id = Uuid::max();
    assert_eq!(world.look().asks.len(), 1);
    let asked = world.facts.requests[0].device.clone();
    let gone = world
        .facts
        .devices
        .iter_mut()
        .find(|d| d.id.as_str() == asked)
        .unwrap();
    gone.online = false;
    assert_ne!(world.look().asks[0].device.id.as_str(), asked);
    world.run();
    assert!(world.outcome().succeeded);
}

#[test]
fn waits_for_devices_and_says_so() {
    let mut world = World::new(&spec(&[("fast", "60us")]), &[]);
    world.look();
    world.look();
    world.facts.devices.push(DeviceFact {
        online: false,
        ..device("pi-1", "fast")
    });
    let plan = world.look();
    told(
        &world,
        r"
Profiling 0/0: looks at what is measured already
NoMatchingDevice 0/0: target fast: no device matches haizen.dev/class=fast; waits until one connects, or correct the selector
DeviceUnreachable 0/38: 38 files are to be measured on class fast, but all of its devices are offline: pi-1",
    );
    let status = status(None, &plan.report, 1, world.facts.now);
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|c| format!("{}={}", c.type_, c.status))
        .collect();
    assert_eq!(
        conditions,
        ["Succeeded=Unknown", "Reconciling=True", "Stalled=False"]
    );
    world.facts.devices[0].online = true;
    world.run();
    assert!(world.outcome().succeeded);
}

#[test]
fn a_selector_of_two_classes_is_refused() {
    let both = r#"{"targets":[{"name":"pi","deviceSelector":{},"constraints":{"latency":{"p95":"2ms"}}}]}"#;
    let mut world = World::new(both, &[("pi-1", "fast"), ("pi-2", "slow")]);
    world.look();
    let refusal = plan(&world.v, &world.facts).unwrap_err();
    assert_eq!(
        format!("{}: {refusal}", refusal.reason()),
        "InvalidSpec: spec.targets[0].deviceSelector: matches devices of 2 classes (fast, slow): a target is one \
         class, so make one target for each"
    );
}

#[test]
fn nobody_measures_while_another_search_trains_and_the_other_way_round() {
    let mut world = World::new(&spec(&[("fast", "60us")]), &[("pi-1", "fast")]);
    world.look();
    world.facts.training = Some("shop/other".into());
    let plan = world.look();
    assert!(plan.asks.is_empty());
    assert!(
        world
            .log
            .contains("WaitingForTraining 0/38: waits for shop/other to end its training"),
        "{}",
        world.log
    );
    world.facts.training = None;
    while world.facts.trials.is_empty() {
        world.answer();
        if matches!(world.look().study, Some(StudyChange::Shortlist(_))) {
            // Another search has a device measure while ours comes to its training.
            world.look();
            world.answer();
            world.facts.requests.push(RequestRow {
                id: "other".into(),
                job: Uuid::max(),
                class: "else".into(),
                runtime_hash: "rt".into(),
                device: "else-1".into(),
                boot_id: None,
                sha256s: vec![],
                sent_at: world.facts.now,
                deadline: Timestamp::MAX,
            });
            let plan = world.look();
            assert!(
                plan.pods.is_none() && world.log.ends_with("nobody trains meanwhile\n"),
                "{}",
                world.log
            );
        }
    }
    world.facts.requests.clear();
    assert!(world.look().pods.is_some());
}

#[test]
fn pods_that_fail_end_the_search_with_the_last_word_of_a_trial() {
    let mut world = training();
    world.facts.trials[0].failure = Some(("OutOfMemory".into(), "needs 3 GiB".into()));
    world.facts.jobs[0].state = JobState::Failed("BackoffLimitExceeded: too many".into());
    let plan = world.look();
    let Report::Ended(outcome) = &plan.report else {
        panic!("{}", world.log)
    };
    let name = &world.facts.jobs[0].name;
    assert_eq!(
        (outcome.reason.as_str(), outcome.message.as_str()),
        (
            "TrainingFailed",
            format!(
                "Job {name} failed: BackoffLimitExceeded: too many; the last trial that failed says OutOfMemory: \
                 needs 3 GiB"
            )
            .as_str()
        )
    );
}

#[test]
fn pods_that_end_too_early_are_started_anew_but_not_for_ever() {
    let mut world = training();
    for attempt in 1..=5 {
        world.facts.jobs.last_mut().unwrap().state = JobState::Complete;
        assert_eq!(world.look().study, Some(StudyChange::Attempt(attempt)));
        assert!(world.look().pods.is_some());
    }
    world.facts.jobs.last_mut().unwrap().state = JobState::Complete;
    let Report::Ended(outcome) = world.look().report else {
        panic!("{}", world.log)
    };
    assert_eq!(outcome.reason, "TrainingFailed");
}

#[test]
fn trials_that_fail_leave_the_choice_to_the_others() {
    let mut world = training();
    world.facts.trials[0].state = TrialState::Failed;
    world.facts.trials[0].failure = Some(("LossNotFinite".into(), "at step 3".into()));
    world.run();
    assert!(world.outcome().succeeded, "{}", world.log);
    let mut world = training();
    for trial in &mut world.facts.trials {
        trial.state = TrialState::Failed;
        trial.failure = Some(("LossNotFinite".into(), "at step 3".into()));
    }
    world.run();
    let outcome = world.outcome();
    let expected = "target fast: no candidate could be trained; the last failure is LossNotFinite: at step 3";
    assert_eq!(
        (outcome.reason.as_str(), outcome.message.as_str()),
        ("TrainingFailed", expected)
    );
}

#[test]
fn a_changed_spec_redoes_only_what_changed() {
    let mut world = training();
    world.train();
    world.run();
    let trained = world.facts.trials.len();
    // Nothing the result depends on: it stays finished.
    world.respec(r#","trainer":{"nodeSelector":{"disk":"ssd"}}"#, 2);
    assert_eq!(world.look().study, Some(StudyChange::Generation(2)));
    assert!(matches!(world.look().report, Report::Ended(_)));
    // Longer training: the profile and the measured networks serve again, all is trained anew.
    let asked = world.requests;
    world.respec(
        r#","budget":{"candidates":20,"finalists":2,"trainEpochs":9,"seed":7}"#,
        3,
    );
    assert!(matches!(world.look().study, Some(StudyChange::Begin { .. })));
    world.look();
    while world.facts.jobs.iter().all(|job| job.state != JobState::Running) {
        world.look();
    }
    assert_eq!((world.requests, world.facts.trials.len()), (asked, 2 * trained));
    // A failure ends with the next change, whatever it is.
    world.facts.jobs.last_mut().unwrap().state = JobState::Failed("no memory".into());
    world.look();
    assert!(!world.outcome().succeeded);
    world.v.generation = 4;
    assert!(matches!(world.look().study, Some(StudyChange::Begin { .. })));
}

#[test]
fn the_deadline_holds_in_every_stage() {
    for steps in 1..7 {
        let mut world = World::new(&spec(&[("fast", "60us")]), &[("pi-1", "fast")]);
        for _ in 0..steps {
            world.look();
            world.answer();
        }
        world.pass(7 * 3600);
        let mut plan = world.look();
        if plan
            .study
            .as_ref()
            .is_some_and(|change| !matches!(change, StudyChange::Finish { .. }))
        {
            plan = world.look();
        }
        let Report::Ended(outcome) = plan.report else {
            panic!("{steps}: {}", world.log)
        };
        assert_eq!(outcome.reason, "DeadlineExceeded", "{steps}: {}", outcome.message);
        assert!(world.facts.jobs.is_empty(), "pods go on after the deadline");
    }
}

#[test]
fn a_block_no_device_can_run_is_named() {
    let mut world = World::new(&spec(&[("fast", "60us")]), &[("pi-1", "fast")]);
    world.look();
    let ask = world.look().asks.remove(0);
    world.facts.requests.clear();
    let failure = |count| FailureRow {
        sha256: ask.files[0].sha256.clone(),
        key: ask.files[0].key.clone(),
        device: "pi-1".into(),
        kind: FailureKind::Failed,
        reason: "no kernel for Conv".into(),
        count,
    };
    let place = ask.device.place.clone();
    world.facts.tables.entry(place.clone()).or_default().failures = vec![failure(1)];
    assert_eq!(
        world.look().asks[0].files.len(),
        38,
        "a first failure is tried again"
    );
    world.facts.tables.entry(place).or_default().failures = vec![failure(2)];
    let Report::Ended(outcome) = world.look().report else {
        panic!("{}", world.log)
    };
    let expected = format!(
        "1 blocks can't be measured on class fast, the first is {}: no kernel for Conv",
        ask.files[0].key
    );
    assert_eq!(
        (outcome.reason.as_str(), outcome.message),
        ("ProfileFailed", expected)
    );
}

#[test]
fn another_runtime_voids_what_was_searched_with_the_old_one() {
    let mut world = World::new(&spec(&[("fast", "60us")]), &[("pi-1", "fast")]);
    world.look();
    world.look();
    world.answer();
    assert!(matches!(world.look().study, Some(StudyChange::Shortlist(_))));
    world.facts.devices[0].place.runtime_hash = "new".into();
    assert_eq!(world.look().study, Some(StudyChange::Forget));
    world.run();
    assert!(world.outcome().succeeded && world.shortlist().targets[0].runtime_hash == "new");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Answers get lost, pods die, plans are made again and again: the end is the same.
    #[test]
    fn whatever_is_lost_the_same_model_is_found(losses in proptest::collection::vec(0..6_u8, 12)) {
        let targets = [("fast", "60us"), ("slow", "90us")];
        let devices = [("pi-1", "fast"), ("pi-2", "slow"), ("pi-3", "slow")];
        let mut calm = World::new(&spec(&targets), &devices);
        calm.run();
        let mut world = World::new(&spec(&targets), &devices);
        for loss in losses {
            world.look();
            match loss {
                // The message never came: its deadline passes.
                0 => {
                    let deadlines = world.facts.requests.iter().map(|r| r.deadline);
                    world.facts.now = deadlines.max().unwrap_or(world.facts.now);
                }
                1 => world.facts.devices.iter_mut().for_each(|d| d.boot_id = Uuid::from_u128(d.boot_id.as_u128() + 1)),
                2 => world.facts.jobs.clear(),
                3 => world.facts.token = None,
                4 => world.answer(),
                _ => world.train(),
            }
        }
        world.run();
        prop_assert_eq!(world.outcome(), calm.outcome());
    }
}
