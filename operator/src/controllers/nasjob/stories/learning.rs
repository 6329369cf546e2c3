//! Searches whose strategy learns from trained trials.

use proptest::prelude::*;
use uuid::Uuid;

use super::super::apply::write_study;
use super::super::facts::JobState;
use super::super::plan::{Report, StudyChange};
use super::super::status::status;
use super::told;
use super::world::{World, is_third, net_of, spec};
use crate::store::trials::{TrialRow, TrialState};
use crate::store::{records, studies, testing};

const STRATEGIES: [&str; 8] = [
    r#"{"random":{}}"#,
    r#"{"evolution":{}}"#,
    r#"{"evolution":{"guide":"ridge"}}"#,
    r#"{"evolution":{"guide":"none"}}"#,
    r#"{"mnasnet":{}}"#,
    r#"{"proxyless":{}}"#,
    r#"{"fbnet":{}}"#,
    r#"{"compoundScaling":{}}"#,
];

fn learning(strategy: &str, targets: &[(&str, &str)], trials: u32) -> String {
    let spec = spec(targets).replace(
        r#""seed":7"#,
        &format!(r#""seed":7,"trials":{trials},"trialEpochs":1"#),
    );
    format!(r#"{},"strategy":{strategy}}}"#, spec.strip_suffix('}').unwrap())
}

fn world(strategy: &str, trials: u32) -> World {
    World::new(
        &learning(strategy, &[("fast", "60us")], trials),
        &[("pi-1", "fast")],
    )
}

/// Looks, with everybody doing what is asked, until trainer pods are at work.
fn until_pods(world: &mut World) {
    while world.facts.jobs.iter().all(|job| job.state != JobState::Running) {
        world.look();
        world.answer();
    }
}

#[test]
fn a_generation_is_measured_trained_and_told_before_the_next() {
    let mut world = world(r#"{"evolution":{"guide":"none"}}"#, 8);
    world.run();
    told(
        &world,
        r"
Profiling 0/0: looks at what is measured already
Profiling 0/38: pi-1 measures
  ! Profiling: asks pi-1 (class fast) to measure 38 files; 0 of 38 are done
Searching 0/8: strategy evolution chooses 8 trials for each target
Searching 0/8: generation 1: strategy evolution proposes 4 candidates
  ! Searching: fast: strategy evolution proposes 4 candidates, generation 1
Searching 0/8: generation 1: pi-1 measures
  ! Searching: asks pi-1 (class fast) to measure 4 files; 0 of 4 are done
Searching 0/8: generation 1: waits for a trainer pod
  ! TrainingStarted: Job dish-d1225a8e trains 4 architectures, 0 of them are trained already
Searching 4/8: generation 1: tells the strategy what it found; best so far 81.0 %
Searching 4/8: generation 1: strategy evolution proposes 4 candidates; best so far 81.0 %
  ! Searching: fast: strategy evolution proposes 4 candidates, generation 2; best so far 81.0 %
Searching 4/8: generation 2: pi-1 measures; best so far 81.0 %
  ! Searching: asks pi-1 (class fast) to measure 4 files; 0 of 4 are done
Searching 4/8: generation 2: waits for a trainer pod; best so far 81.0 %
  ! TrainingStarted: Job dish-016d9a7e trains 4 architectures, 0 of them are trained already
Searching 8/8: generation 2: tells the strategy what it found; best so far 81.0 %
Searching 8/8: generation 2: trained 8 candidates for each target; best so far 81.0 %
  ! Searching: looked at 8 candidates for each target: fast: 9 candidates kept (latency model off by 0.1 % on whole networks, 94.0 % before calibration; error bar 2.0 %)
Training 0/2: waits for a trainer pod
  ! TrainingStarted: Job dish-e93b61e9 trains 2 architectures, 0 of them are trained already
Verifying 0/2: pi-1 measures
  ! Verifying: asks pi-1 (class fast) to measure 2 files; 0 of 2 are done
ModelSelected: fast: 81.0 % at 57us
  ! ModelSelected: fast: 81.0 % at 57us",
    );
    assert!(world.outcome().succeeded);
    let searched = world.outcome().targets[0].search.clone().unwrap();
    assert_eq!((searched.generation, searched.done, searched.of), (2, 8, 8));
    // What was found is the best of what was trained for a short while.
    let best = world.outcome().targets[0].best.as_ref().unwrap().accuracy;
    assert!((best - searched.best_accuracy.unwrap()).abs() < 1e-4);
}

#[test]
fn the_status_says_how_far_the_search_is() {
    let mut world = world(r#"{"evolution":{"guide":"none"}}"#, 8);
    until_pods(&mut world);
    world.train_one(1);
    let status = status(None, &world.look().report, 1, world.facts.now);
    let progress = status.progress.unwrap();
    let target = status.targets[0].search.clone().unwrap();
    assert_eq!((progress.done, progress.of), (1, 8));
    assert_eq!((target.generation, target.done, target.of), (1, 1, 8));
    let detail = progress.detail.unwrap();
    assert!(
        detail.starts_with("generation 1: ") && detail.contains("; best so far 8"),
        "{detail}"
    );
}

#[test]
fn what_breaks_its_bound_as_measured_is_told_and_never_trained() {
    let mut world = world(r#"{"mnasnet":{}}"#, 16);
    world.surprise = 5.0;
    world.run();
    let rejected: Vec<_> = world
        .facts
        .records
        .iter()
        .filter(|row| row.record.accuracy().is_none())
        .collect();
    assert!(!rejected.is_empty(), "{}", world.log);
    for row in &rejected {
        let text = format!("{:?}", row.record.feedback);
        assert!(
            text.contains("measured before training") && text.contains("above the bound of 60us"),
            "{text}"
        );
    }
    let slow = |choices: &search::space::Choices| is_third(&world.v.space.decode(choices).unwrap());
    assert!(rejected.iter().all(|row| slow(&row.record.choices)));
    let of_rejected = |trial: &TrialRow| {
        let net = net_of(trial);
        let is_it = |choices| world.v.space.decode(choices).is_ok_and(|other| other == net);
        rejected.iter().any(|row| is_it(&row.record.choices))
    };
    assert!(!world.facts.trials.iter().any(of_rejected));
    assert!(world.outcome().succeeded);
}

#[test]
fn a_search_whose_first_trials_all_fail_ends_and_tries_them_again_when_mended() {
    let mut world = world(r#"{"fbnet":{}}"#, 8);
    until_pods(&mut world);
    world.look();
    for trial in &mut world.facts.trials {
        trial.state = TrialState::Failed;
        trial.failure = Some(("DatasetInvalid".into(), "no file".into()));
    }
    let Report::Ended(outcome) = world.look().report else {
        panic!("{}", world.log)
    };
    assert_eq!(
        (outcome.reason.as_str(), outcome.message.as_str()),
        (
            "TrainingFailed",
            "none of the first candidates could be trained; one says DatasetInvalid: no file"
        )
    );
    assert!(
        world
            .facts
            .records
            .iter()
            .all(|row| row.record.feedback.is_empty())
    );
    // One failure among others is only told.
    let mut world = self::world(r#"{"fbnet":{}}"#, 8);
    until_pods(&mut world);
    world.look();
    world.facts.trials[0].state = TrialState::Failed;
    world.facts.trials[0].failure = Some(("LossNotFinite".into(), "at step 3".into()));
    world.run();
    assert!(world.outcome().succeeded, "{}", world.log);
}

#[test]
fn a_bound_nothing_keeps_trains_no_trial_and_leaves_other_targets_theirs() {
    let spec = learning(r#"{"mnasnet":{}}"#, &[("fast", "60us"), ("slow", "5us")], 8);
    let mut world = World::new(&spec, &[("pi-1", "fast"), ("pi-2", "slow")]);
    world.run();
    assert!(world.facts.records.iter().all(|row| row.target == "fast"));
    let outcome = world.outcome();
    assert_eq!(outcome.reason, "Infeasible");
    assert!(outcome.targets[0].best.is_some() && outcome.targets[1].best.is_none());
}

#[test]
fn another_runtime_starts_the_search_over() {
    let mut world = world(r#"{"proxyless":{}}"#, 8);
    until_pods(&mut world);
    world.facts.devices[0].place.runtime_hash = "new".into();
    assert_eq!(world.look().study, Some(StudyChange::Forget));
    assert!(world.facts.records.is_empty());
    world.run();
    assert!(world.outcome().succeeded && world.shortlist().targets[0].runtime_hash == "new");
}

/// The operator is started anew after each of its steps: all it knows of the search is what Postgres gives back.
#[tokio::test]
async fn a_search_kept_in_postgres_ends_as_one_in_memory() {
    let db = testing::database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for strategy in [
        r#"{"evolution":{}}"#,
        r#"{"mnasnet":{}}"#,
        r#"{"fbnet":{}}"#,
        r#"{"random":{}}"#,
    ] {
        let mut memory = world(strategy, 10);
        memory.run();
        let mut kept = world(strategy, 10);
        for _ in 0..60 {
            let plan = kept.look();
            if let Some(change) = &plan.study {
                write_study(&mut conn, &kept.v.owner, change).await.unwrap();
            }
            let uid = kept.v.owner.uid;
            kept.facts.study = studies::get(&db.pool, uid).await.unwrap();
            kept.facts.records = records::of_job(&mut conn, uid).await.unwrap();
            if matches!(plan.report, Report::Ended(_)) {
                break;
            }
            kept.answer();
            kept.train();
        }
        assert_eq!(kept.outcome(), memory.outcome(), "{strategy}");
        assert_eq!(kept.facts.records, memory.facts.records, "{strategy}");
        assert_eq!(kept.log, memory.log, "{strategy}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// One pod or four, answers lost, pods killed, plans made again by another process: the end is the same.
    #[test]
    fn workers_and_kills_change_nothing(strategy in 0..STRATEGIES.len(), events in proptest::collection::vec(0..8_usize, 40), workers in 1..5_usize) {
        let targets = [("fast", "60us"), ("slow", "90us")];
        let devices = [("pi-1", "fast"), ("pi-2", "slow"), ("pi-3", "slow")];
        let spec = learning(STRATEGIES[strategy], &targets, 8);
        let mut calm = World::new(&spec, &devices);
        calm.run();
        let mut world = World::new(&spec, &devices);
        for event in events {
            world.look();
            match event {
                // A message that never came: its deadline passes.
                0 => {
                    let deadlines = world.facts.requests.iter().map(|r| r.deadline);
                    world.facts.now = deadlines.max().unwrap_or(world.facts.now);
                }
                1 => world.facts.devices.iter_mut().for_each(|d| d.boot_id = Uuid::from_u128(d.boot_id.as_u128() + 1)),
                2 => world.facts.jobs.clear(),
                3 => world.answer(),
                // Pods end their trials in an order of their own.
                other => {
                    let pending = |world: &World| (0..world.facts.trials.len())
                        .filter(|index| world.facts.trials[*index].state == TrialState::Pending)
                        .collect::<Vec<_>>();
                    for worker in 0..workers {
                        let open = pending(&world);
                        if !open.is_empty() && !world.facts.jobs.is_empty() {
                            world.train_one(open[(other * 7 + worker * 3) % open.len()]);
                        }
                    }
                }
            }
        }
        world.run();
        prop_assert_eq!(world.outcome(), calm.outcome());
        prop_assert_eq!(&world.facts.records, &calm.facts.records);
    }
}
