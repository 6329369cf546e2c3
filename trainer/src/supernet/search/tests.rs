//! Whole searches on a space of 16-pixel networks and images that are bright above or below.

use std::collections::BTreeMap;

use ::search::constraint::Constraints;
use ::search::latency::{Latency, LatencyModel};
use ::search::space::Space;
use ::search::strategies::{FbnetConfig, GateGradient, ProxylessConfig, RandomConfig, StrategyConfig};
use ::search::study::Target;

use super::*;
use crate::data::Dataset;
use crate::data::tests::folder;
use crate::model::tests::one_thread;
use crate::supernet::tests::space;
use crate::supernet::{Found, Ranking};
use crate::training::Recipe;

const SMALL: &str = r#"{"mobileBlocks":{"channels":1,"classes":2,"resolutions":[16],"widths":[0.5,1.0],"depths":[1,2],"kernels":[3,5],
    "expands":[2],"stem":{"channels":8,"kernel":3,"stride":4},"head":{"style":"light","channels":8},
    "stages":[{"channels":8,"stride":2},{"channels":16,"stride":2}]}}"#;

struct Setting {
    space: Space,
    data: BTreeMap<u32, Dataset>,
    target: Target,
    recipe: Recipe,
}

/// Each block takes a microsecond for 1000 multiplications, and the bound lies between the ends.
fn setting() -> Setting {
    let space = space(SMALL);
    let data = Dataset::load(&folder(250).path().display().to_string()).unwrap();
    let row = |key: ::search::space::BlockKey| {
        let p50_us = key.cost().macs as f64 / 1000.0;
        (
            key,
            Latency {
                p50_us,
                p95_us: p50_us,
            },
        )
    };
    let latency = LatencyModel::new(space.block_keys().into_iter().map(row));
    let time = |choices: &Choices| latency.predict(&space.decode(choices).unwrap()).unwrap().p95_us;
    let bound = f64::midpoint(time(&space.smallest()), time(&space.largest()));
    Setting {
        data: BTreeMap::from([(16, data.fitted(16, 1, 2).unwrap())]),
        target: Target {
            name: "device".into(),
            constraints: Constraints {
                latency_p95_us: bound,
                model_bytes: None,
                peak_memory_bytes: None,
            },
            latency,
        },
        recipe: Recipe {
            batch: 16,
            shift: 0,
            ..Recipe::default()
        },
        space,
    }
}

impl Setting {
    fn task<'a>(&'a self, strategy: &'a StrategyConfig) -> Task<'a> {
        Task {
            space: &self.space,
            data: &self.data,
            validation_split: 0.2,
            limit: Some(120),
            target: &self.target,
            strategy,
            epochs: 4,
            seed: 5,
            recipe: &self.recipe,
            candidates: 3,
            compared: 3,
            alone_epochs: 1,
        }
    }
}

/// Stops at the given call; keeps the last checkpoint.
#[derive(Default)]
struct Watcher {
    calls: usize,
    stop_at: Option<usize>,
    kept: Option<Checkpoint>,
    losses: Vec<f64>,
}

impl Observer for Watcher {
    fn go_on(&mut self, at: &Moment) -> bool {
        self.calls += 1;
        self.losses.push(at.loss);
        self.stop_at != Some(self.calls)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.kept = Some(checkpoint);
    }
}

fn finished(outcome: Outcome) -> Found {
    match outcome {
        Outcome::Finished(found) => *found,
        Outcome::Stopped(_) => panic!("stopped"),
    }
}

fn strategies() -> [StrategyConfig; 4] {
    let proxyless = |gradient| {
        StrategyConfig::Proxyless(ProxylessConfig {
            gradient,
            ..ProxylessConfig::default()
        })
    };
    [
        StrategyConfig::Random(RandomConfig {}),
        proxyless(GateGradient::TwoPath),
        proxyless(GateGradient::Full),
        StrategyConfig::Fbnet(FbnetConfig::default()),
    ]
}

#[test]
fn every_strategy_ends_inside_the_bound() {
    one_thread();
    let setting = setting();
    for (index, strategy) in strategies().iter().enumerate() {
        let mut task = setting.task(strategy);
        if index == 1 {
            // Enough to learn something.
            task.limit = None;
        }
        let found = finished(run(&task, None, &mut Watcher::default()).unwrap());
        assert_eq!((found.candidates.len(), found.compared.len()), (3, 3));
        let bound = setting.target.constraints.latency_p95_us;
        assert!(
            found
                .candidates
                .iter()
                .all(|one| one.estimate.p95_at_most_us <= bound)
        );
        let best = &found.candidates[0];
        assert!(best.accuracy > 0.9 || index != 1, "{}", best.accuracy);
        let uneven = |slot: &Vec<f64>| slot.iter().any(|p| (p * slot.len() as f64 - 1.0).abs() > 1e-3);
        let moved = found.gates.iter().any(uneven);
        assert_eq!(moved, !matches!(strategy, StrategyConfig::Random(_)));
        let best = found.to_json()["best"]["architecture"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(best, found.candidates[0].architecture.to_string());
    }
}

#[test]
fn an_interrupted_search_ends_in_the_same_numbers() {
    one_thread();
    let setting = setting();
    for strategy in [&strategies()[1], &strategies()[3]] {
        let task = setting.task(strategy);
        let mut undisturbed = Watcher::default();
        let wanted = finished(run(&task, None, &mut undisturbed).unwrap());
        let mut checkpoint: Option<Checkpoint> = None;
        let mut stops = 0;
        // In the weights' training, in that of the gates, in comparisons, and in the decision; told to stop and killed.
        for (stop_at, killed) in [
            (2, false),
            (1, false),
            (5, true),
            (4, false),
            (3, false),
            (9, true),
            (6, false),
            (4, false),
            (3, true),
            (7, false),
        ] {
            let mut watcher = Watcher {
                stop_at: Some(stop_at),
                ..Watcher::default()
            };
            match run(&task, checkpoint.as_ref(), &mut watcher).unwrap() {
                Outcome::Stopped(stopped) => {
                    let left = if killed { watcher.kept } else { Some(stopped) };
                    let read = |left: Checkpoint| Checkpoint::from_bytes(&left.to_bytes()).unwrap();
                    checkpoint = left.map(read).or(checkpoint);
                    stops += 1;
                }
                Outcome::Finished(_) => break,
            }
        }
        assert!(stops > 5, "{stops}");
        let mut last = Watcher::default();
        let found = finished(run(&task, checkpoint.as_ref(), &mut last).unwrap());
        let times = |found: &Found| Found {
            seconds: 0.0,
            ..found.clone()
        };
        assert_eq!(times(&found), times(&wanted));
        let weights = |watcher: &Watcher| watcher.kept.as_ref().map(|kept| kept.tensors.clone());
        if last.kept.is_some() {
            assert_eq!(weights(&last), weights(&undisturbed));
        }
    }
}

#[test]
fn ranks_that_say_too_little_do_not_decide() {
    one_thread();
    let setting = setting();
    let strategy = StrategyConfig::Random(RandomConfig {});
    let task = setting.task(&strategy);
    let mut watcher = Watcher::default();
    finished(run(&task, None, &mut watcher).unwrap());
    let kept = watcher.kept.unwrap();
    // The supernet is made to rank the wrong way round, and the right way.
    for (order, ranking) in [(-1.0, Ranking::TrainedAlone), (1.0, Ranking::Supernet)] {
        let mut checkpoint = kept.clone();
        let compared = checkpoint
            .place
            .search
            .iter_mut()
            .flat_map(|progress| &mut progress.compared);
        for (index, compared) in (0_u32..).zip(compared) {
            compared.alone = f64::from(index);
            compared.supernet = order * f64::from(index);
        }
        let found = finished(run(&task, Some(&checkpoint), &mut Watcher::default()).unwrap());
        assert_eq!((found.ranking, found.correlation), (ranking, Some(order)));
        assert_eq!(found.candidates.len(), 3);
    }
}

#[test]
fn what_can_not_be_searched_is_said_before_anything_is_trained() {
    one_thread();
    let mut setting = setting();
    let said = |setting: &Setting, strategy: StrategyConfig| {
        run(&setting.task(&strategy), None, &mut Watcher::default())
            .unwrap_err()
            .to_string()
    };
    let evolution = StrategyConfig::Evolution(::search::strategies::EvolutionConfig::default());
    assert_eq!(
        said(&setting, evolution),
        "the strategy evolution searches no supernet: proxyless, fbnet and random do"
    );
    setting.target.constraints.latency_p95_us = 0.5;
    let error = said(&setting, StrategyConfig::default());
    assert!(
        error.starts_with("no network of the space keeps the bounds: of the nearest, m1/16x1/"),
        "{error}"
    );
    assert!(error.contains("latency p95"), "{error}");
    setting.target.latency = LatencyModel::default();
    let error = said(&setting, StrategyConfig::default());
    assert!(error.contains("blocks are not measured"), "{error}");
    let recipe = Recipe {
        peak_rate: 1e30,
        ..setting.recipe.clone()
    };
    let mut setting = super::tests::setting();
    setting.recipe = recipe;
    let error = said(&setting, StrategyConfig::default());
    assert!(error.contains("lower the learning rate"), "{error}");
}
