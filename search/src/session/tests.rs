use proptest::prelude::*;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::landscape::{Free, Scale};
use crate::strategies::StrategyConfig;

/// A chain of slots: each option has a cost and a merit, so that truth is known.
#[derive(Debug)]
struct Chain {
    options: Vec<usize>,
    points: Option<Vec<Choices>>,
}

impl Chain {
    fn new(listed: bool) -> Self {
        let options = vec![3, 4, 2, 3, 1];
        let all = (0..options.iter().product::<usize>()).map(|index| {
            let mut rest = index;
            let digit = |n: &usize| {
                let option = rest % n;
                rest /= n;
                option as u8
            };
            Choices(options.iter().map(digit).collect())
        });
        let points = listed.then(|| all.collect());
        Self { options, points }
    }

    fn latency(choices: &Choices) -> f64 {
        choices
            .0
            .iter()
            .zip([0.1, 0.2, 0.3, 0.05, 0.0])
            .map(|(option, cost)| f64::from(*option) * cost)
            .sum::<f64>()
            + 0.1
    }

    fn accuracy(choices: &Choices) -> f64 {
        let merit: f64 = choices
            .0
            .iter()
            .zip([0.05, 0.06, 0.1, -0.02, 0.0])
            .map(|(option, merit)| f64::from(*option) * merit)
            .sum();
        0.5 + merit
    }
}

impl Landscape for Chain {
    fn options(&self) -> &[usize] {
        &self.options
    }

    fn canonical(&self, choices: &Choices) -> Option<Choices> {
        let fits = choices.0.len() == self.options.len()
            && choices
                .0
                .iter()
                .zip(&self.options)
                .all(|(option, n)| usize::from(*option) < *n);
        fits.then(|| choices.clone())
    }

    fn sample(&self, rng: &mut ChaCha8Rng) -> Choices {
        Choices(
            self.options
                .iter()
                .map(|n| rng.random_range(0..*n) as u8)
                .collect(),
        )
    }

    fn parts(&self, choices: &Choices) -> Vec<u32> {
        (0..)
            .zip(&choices.0)
            .map(|(slot, option)| slot * 16 + u32::from(*option))
            .collect()
    }

    fn free(&self, choices: &Choices) -> Free {
        Free {
            latency: Self::latency(choices),
            scores: vec![f64::from(choices.0[0]), f64::from(choices.0[1])],
        }
    }

    fn points(&self) -> Option<&[Choices]> {
        self.points.as_deref()
    }

    fn scales(&self) -> Vec<Scale> {
        vec![
            Scale::Depth,
            Scale::Width,
            Scale::Resolution,
            Scale::Width,
            Scale::Depth,
        ]
    }
}

const STRATEGIES: [&str; 10] = [
    r#"{"random":{}}"#,
    r#"{"evolution":{}}"#,
    r#"{"evolution":{"guide":"ridge"}}"#,
    r#"{"evolution":{"guide":"none"}}"#,
    r#"{"mnasnet":{}}"#,
    r#"{"mnasnet":{"alpha":0,"beta":-1}}"#,
    r#"{"proxyless":{}}"#,
    r#"{"proxyless":{"gradient":"full"}}"#,
    r#"{"fbnet":{}}"#,
    r#"{"compoundScaling":{}}"#,
];

fn strategy(index: usize) -> Box<dyn crate::strategy::Strategy> {
    serde_json::from_str::<StrategyConfig>(STRATEGIES[index])
        .unwrap()
        .build()
}

fn budget() -> Budget {
    Budget {
        evaluations: 14.0,
        prices: vec![1.0, 0.1],
    }
}

/// Runs a search with so many workers that finish in a random order, and are killed at random: the session is
/// then rebuilt from its records.
fn search(
    chain: &Chain,
    index: usize,
    seed: u64,
    bound: f64,
    workers: usize,
    chaos: u64,
) -> Vec<TrialRecord> {
    let start = Choices(vec![0; chain.options.len()]);
    let feasible = |choices: &Choices| Chain::latency(choices) <= bound;
    let setting = Setting {
        landscape: chain,
        goal: Goal::Accuracy,
        start: &start,
        feasible: &feasible,
    };
    let mut rng = generator(chaos, 0, Purpose::Calibration);
    let mut session = Session::new(strategy(index), budget(), seed);
    let mut running: Vec<TrialId> = Vec::new();
    loop {
        if chaos > 0 && rng.random_bool(0.1) {
            let records = serde_json::to_string(session.records()).unwrap();
            session = Session::resume(
                strategy(index),
                budget(),
                seed,
                serde_json::from_str(&records).unwrap(),
                &setting,
            );
        }
        if running.len() < workers {
            match session.next(&setting) {
                Next::Trial(id) => {
                    running.push(id);
                    continue;
                }
                Next::Done if running.is_empty() => return session.records().to_vec(),
                Next::Wait | Next::Done => {}
            }
        }
        let id = running.swap_remove(rng.random_range(0..running.len()));
        let record = &session.records()[id.0 as usize];
        let shorter = f64::from(record.fidelity.0) * 0.1;
        let accuracy = Chain::accuracy(&record.choices) - shorter;
        session.tell(id, Feedback::Evaluated { accuracy }).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn workers_and_kills_change_nothing(index in 0..STRATEGIES.len(), listed: bool, seed in 0..1000_u64, bound in 0.15..1.5_f64, chaos in 1..1000_u64) {
        let chain = Chain::new(listed);
        let alone = search(&chain, index, seed, bound, 1, 0);
        prop_assert!(!alone.is_empty());
        prop_assert_eq!(&search(&chain, index, seed, bound, 4, 0), &alone);
        prop_assert_eq!(&search(&chain, index, seed, bound, 1, chaos), &alone);
        prop_assert_eq!(&search(&chain, index, seed, bound, 4, chaos), &alone);
    }

    #[test]
    fn no_strategy_ever_breaks_a_bound_or_asks_twice(index in 0..STRATEGIES.len(), listed: bool, seed: u64, bound in 0.1..1.5_f64) {
        let records = search(&Chain::new(listed), index, seed, bound, 2, 0);
        prop_assert!(records.iter().all(|record| Chain::latency(&record.choices) <= bound));
        let different: BTreeSet<_> = records.iter().map(|record| (&record.choices, record.fidelity)).collect();
        prop_assert_eq!(different.len(), records.len());
        let spent: f64 = records.iter().map(|record| [1.0, 0.1][usize::from(record.fidelity.0)]).sum();
        prop_assert!(spent <= 14.0 + 1e-6);
    }
}

#[test]
fn a_guided_search_finds_the_best_sooner_than_chance() {
    let chain = Chain::new(true);
    let best = |index| {
        let found = |seed| {
            search(&chain, index, seed, 0.7, 1, 0)
                .iter()
                .filter(|record| record.fidelity.is_full())
                .map(|record| Chain::accuracy(&record.choices))
                .fold(0.0, f64::max)
        };
        (0..10).map(found).sum::<f64>() / 10.0
    };
    assert!(best(1) > best(0), "{} {}", best(1), best(0));
}

#[test]
fn a_failed_trial_does_not_hold_the_others_up() {
    let chain = Chain::new(true);
    let start = Choices(vec![0; 5]);
    let feasible = |_: &Choices| true;
    let setting = Setting {
        landscape: &chain,
        goal: Goal::Accuracy,
        start: &start,
        feasible: &feasible,
    };
    for index in 0..STRATEGIES.len() {
        let mut session = Session::new(strategy(index), budget(), 1);
        let mut asked = 0;
        while let Next::Trial(id) = session.next(&setting) {
            asked += 1;
            let reason = "out of memory".to_owned();
            session.tell(id, Feedback::Failed { reason }).unwrap();
        }
        assert!(asked >= 14, "{index}: {asked}");
        assert_eq!(session.next(&setting), Next::Done);
    }
}
