//! Evolution guided by a predictor: what is trained is what a regression on the trained so far expects most of.
//!
//! Short trainings, where the problem sells them, are bought first and along the way: they cost little and rank
//! candidates far better than free scores do.

use std::collections::BTreeSet;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::acquisition::{Front, best, sort_by_worth};
use super::breed::breed;
use crate::predictor::features::Pool;
use crate::predictor::gaussian::Kernel;
use crate::predictor::normal::expected_improvement;
use crate::predictor::{Forecast, Known, Predictor, Stretch};
use crate::space::Choices;
use crate::strategy::{Fidelity, Goal, Problem, Proposal, Strategy, Told};
use crate::trial::Feedback;

/// Full trainings of one generation.
const GENERATION: usize = 4;
/// Share of the budget for the first short trainings, and for the first full ones.
const FIRST_SHORT: f64 = 0.1;
const FIRST_FULL: f64 = 0.1;
/// Share of a generation's cost spent on short trainings.
const SHORT_SHARE: f64 = 0.2;
/// The first ones are spread over this share of the ranking, the best first.
const SPREAD_SHORT: f64 = 0.3;
const SPREAD_FULL: f64 = 0.02;
/// Without short trainings the ranking deserves less trust.
const SPREAD_BLIND: f64 = 0.1;
/// A shorter training that costs more than this is not worth having.
const MOST_SHORT_PRICE: f64 = 0.5;
const SHORT: Fidelity = Fidelity(1);

/// Most short trainings of a study: more would tell little, and take time to regress on.
const MOST_SHORT: usize = 250;
/// The whole pool is looked at every so many generations, in between the best of it.
const PERIOD: u32 = 3;
const CLOSE: usize = 2500;

#[derive(Debug)]
pub(super) struct Guided {
    predictor: Predictor,
    told: Vec<Reading>,
    /// All points inside the bounds, where they can be listed.
    listed: Option<Pool>,
    /// What short trainings make of the listed points, and how many there were.
    short_means: Option<(usize, Vec<f64>)>,
    /// Generations told.
    generations: u32,
    /// The best of them, with how many generations were told when they were chosen.
    close: Option<(u32, Pool)>,
}

#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub choices: Choices,
    pub fidelity: Fidelity,
    pub accuracy: f64,
    pub generation: u32,
}

impl Guided {
    pub(super) fn new(kernels: Vec<Kernel>) -> Self {
        Self {
            predictor: Predictor::new(kernels),
            told: Vec::new(),
            listed: None,
            short_means: None,
            generations: 0,
            close: None,
        }
    }

    fn pool(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Pool {
        if let Some(pool) = &self.listed {
            return pool.clone();
        }
        if let Some(points) = problem.landscape.points() {
            let inside = points.iter().filter(|point| (problem.feasible)(point));
            let pool = Pool::new(problem.landscape, inside.cloned().collect());
            self.listed = Some(pool.clone());
            return pool;
        }
        breed(problem, &self.told, rng)
    }

    /// How many generations were told when the whole pool was last looked at. A function of what was told, so
    /// that a resumed search looks when the undisturbed one did.
    fn looked_at(&self) -> u32 {
        let at = self.generations - self.generations % PERIOD;
        let is_full = |reading: &Reading| reading.generation < at && reading.fidelity.is_full();
        if self.listed.is_some() && self.told.iter().any(is_full) {
            at
        } else {
            self.generations
        }
    }

    /// Chooses the kernel, and the candidates of the pool that are worth a closer look.
    fn look(&mut self, problem: &Problem<'_>, pool: &Pool, known: &Known) -> Pool {
        // A listed pool stays the same, and short trainings are only added: as many are the same ones.
        let n = known.short.len();
        if self.listed.is_none() || self.short_means.as_ref().is_none_or(|(of, _)| *of != n) {
            self.short_means = self.predictor.short_means(pool, known).map(|means| (n, means));
        }
        let pool = match &self.short_means {
            Some((_, means)) => pool.with_score(means),
            None => pool.clone(),
        };
        self.predictor.choose(&pool, known);
        let Some(forecast) = self.predictor.forecast(&pool, known) else {
            return pool;
        };
        let promise = Promise::of(problem.goal, &pool, known, &forecast);
        let mut ranked = promise.ranked(&pool, &forecast);
        ranked.truncate(CLOSE);
        ranked.extend(known.full.iter().map(|(index, _)| *index));
        ranked.sort_unstable();
        ranked.dedup();
        pool.subset(&ranked)
    }
}

impl Strategy for Guided {
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        let pool = self.pool(problem, rng);
        let short = problem
            .prices
            .get(1)
            .copied()
            .filter(|price| *price <= MOST_SHORT_PRICE);
        let told = known(&pool, &self.told);
        if told.full.is_empty() {
            let means = self.predictor.short_means(&pool, &told);
            let prior = || (0..pool.len()).map(|index| pool.prior(index)).collect();
            let ask = Ask {
                problem,
                pool: &pool,
                short: short.map(|price| (price, 1)),
            };
            return ask.first(&means.unwrap_or_else(prior), &told, rng);
        }
        let since = self.looked_at();
        if self
            .close
            .as_ref()
            .is_none_or(|(at, _)| *at != since || self.listed.is_none())
        {
            let then: Vec<Reading> = self
                .told
                .iter()
                .filter(|reading| reading.generation < since)
                .cloned()
                .collect();
            let close = self.look(problem, &pool, &known(&pool, &then));
            self.close = Some((since, close));
        }
        let Some((_, close)) = &self.close else {
            return Vec::new();
        };
        let known = known(close, &self.told);
        let Some(forecast) = self.predictor.forecast(close, &known) else {
            return Vec::new();
        };
        // Short trainings change nothing until the whole pool is looked at: they are bought for the time until then.
        let generations = if self.listed.is_some() { PERIOD } else { 1 };
        let short = short
            .filter(|_| since == self.generations)
            .map(|price| (price, generations));
        Ask {
            problem,
            pool: close,
            short,
        }
        .most_promising(forecast, &known)
    }

    fn tell(&mut self, told: &Told<'_>) {
        self.generations = told.generation + 1;
        if let Feedback::Evaluated { accuracy } = told.feedback {
            self.told.push(Reading {
                choices: told.choices.clone(),
                fidelity: told.fidelity,
                accuracy: *accuracy,
                generation: told.generation,
            });
        }
    }
}

fn known(pool: &Pool, told: &[Reading]) -> Known {
    let mut known = Known::default();
    for reading in told {
        if let Some(index) = pool.index(&reading.choices) {
            let list = if reading.fidelity.is_full() {
                &mut known.full
            } else {
                &mut known.short
            };
            list.push((index, reading.accuracy));
        }
    }
    known
}

/// One call for proposals.
struct Ask<'a> {
    problem: &'a Problem<'a>,
    pool: &'a Pool,
    /// Price of a short training, and for how many generations they are bought.
    short: Option<(f64, u32)>,
}

impl Ask<'_> {
    fn proposal(&self, index: usize, fidelity: Fidelity) -> Proposal {
        Proposal {
            choices: self.pool.points[index].clone(),
            fidelity,
        }
    }

    fn is_new(&self, index: usize, fidelity: Fidelity) -> bool {
        !self.problem.asked.contains(&self.proposal(index, fidelity))
    }

    /// Before anything is trained to the end: short trainings, then a few full ones of the best.
    fn first(&self, ranking: &[f64], known: &Known, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        if let Some((price, _)) = self.short.filter(|_| known.short.is_empty()) {
            let n = ((FIRST_SHORT * self.problem.budget / price) as usize).clamp(1, MOST_SHORT / 2);
            let first = self.spread(ranking, n, SPREAD_SHORT, SHORT, rng);
            if !first.is_empty() {
                return first;
            }
        }
        let n = ((FIRST_FULL * self.problem.budget) as usize).max(GENERATION);
        let spread = if known.short.is_empty() {
            SPREAD_BLIND
        } else {
            SPREAD_FULL
        };
        self.spread(ranking, n, spread, Fidelity::FULL, rng)
    }

    /// One draw from each of `n` neighbouring bands of the ranking's upper `share`.
    ///
    /// A front needs its bands over latency, with a draw from the upper share of each.
    fn spread(
        &self,
        ranking: &[f64],
        n: usize,
        share: f64,
        fidelity: Fidelity,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Proposal> {
        if self.problem.goal == Goal::Front {
            return self.spread_over_latency(ranking, n, share, fidelity, rng);
        }
        let mut order: Vec<usize> = (0..self.pool.len())
            .filter(|index| self.is_new(*index, fidelity))
            .collect();
        sort_by_worth(&mut order, |index| ranking[index]);
        let upper = ((self.pool.len() as f64 * share) as usize)
            .max(n)
            .min(order.len());
        let bands = n.min(upper);
        let draw = |band: usize| {
            let (from, to) = (band * upper / bands, (band + 1) * upper / bands);
            self.proposal(order[rng.random_range(from..to.max(from + 1))], fidelity)
        };
        (0..bands).map(draw).collect()
    }

    fn spread_over_latency(
        &self,
        ranking: &[f64],
        n: usize,
        share: f64,
        fidelity: Fidelity,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Proposal> {
        let mut order: Vec<usize> = (0..self.pool.len())
            .filter(|index| self.is_new(*index, fidelity))
            .collect();
        sort_by_worth(&mut order, |index| -self.pool.latency[index]);
        let bands = n.min(order.len());
        let mut draw = |band: usize| {
            let all = order.len();
            let members = &mut order[band * all / bands..(band + 1) * all / bands];
            sort_by_worth(members, |index| ranking[index]);
            let upper = ((members.len() as f64 * share).ceil() as usize).clamp(1, members.len());
            self.proposal(members[rng.random_range(0..upper)], fidelity)
        };
        (0..bands).map(&mut draw).collect()
    }

    fn most_promising(&self, mut forecast: Forecast, known: &Known) -> Vec<Proposal> {
        let promise = Promise::of(self.problem.goal, self.pool, known, &forecast);
        let ranked = promise.ranked(self.pool, &forecast);
        let is_new = |index| self.is_new(index, Fidelity::FULL);
        let worth =
            |index: usize, mean: f64, deviation: f64| promise.worth(self.pool, index, mean, deviation);
        let chosen = best(self.pool, &mut forecast, GENERATION, &is_new, &ranked, &worth);
        let mut proposals: Vec<Proposal> = Vec::new();
        if let Some((price, generations)) = self.short {
            let full: BTreeSet<usize> = known.full.iter().map(|(index, _)| *index).collect();
            let n = f64::from(generations) * SHORT_SHARE * GENERATION as f64 / price;
            let n = (n as usize).min(MOST_SHORT.saturating_sub(known.short.len()));
            let is_wanted = |index: &&usize| {
                !full.contains(index) && !chosen.contains(index) && self.is_new(**index, SHORT)
            };
            let wanted = ranked.iter().filter(is_wanted).take(n);
            proposals.extend(wanted.map(|index| self.proposal(*index, SHORT)));
        }
        proposals.extend(
            chosen
                .into_iter()
                .map(|index| self.proposal(index, Fidelity::FULL)),
        );
        proposals
    }
}

/// What an accuracy is worth beside those told.
struct Promise {
    goal: Goal,
    best: f64,
    front: Front,
    stretch: Stretch,
}

/// A normal distribution in three points: deviations and weights (Gauss and Hermite).
const NODES: [(f64, f64); 3] = [
    (-1.732_050_8, 1.0 / 6.0),
    (0.0, 2.0 / 3.0),
    (1.732_050_8, 1.0 / 6.0),
];

impl Promise {
    fn of(goal: Goal, pool: &Pool, known: &Known, forecast: &Forecast) -> Self {
        let point = |(index, accuracy): &(usize, f64)| (pool.latency[*index], *accuracy);
        let points: Vec<(f64, f64)> = known.full.iter().map(point).collect();
        let lowest = points
            .iter()
            .map(|(_, accuracy)| *accuracy)
            .fold(f64::INFINITY, f64::min);
        let slowest = pool.latency.iter().copied().fold(0.0, f64::max);
        Self {
            goal,
            best: forecast.best,
            front: Front::of(&points, (slowest, lowest)),
            stretch: forecast.stretch,
        }
    }

    /// `mean` and `deviation` are on the stretched scale.
    fn worth(&self, pool: &Pool, index: usize, mean: f64, deviation: f64) -> f64 {
        match self.goal {
            Goal::Accuracy => expected_improvement(mean, deviation, self.best),
            Goal::Front => {
                let gain = |(node, weight): (f64, f64)| {
                    let accuracy = self.stretch.accuracy(mean + node * deviation);
                    weight * self.front.gain(pool.latency[index], accuracy)
                };
                NODES.into_iter().map(gain).sum()
            }
        }
    }

    /// All candidates, the most promising first, as if all were equally uncertain.
    fn ranked(&self, pool: &Pool, forecast: &Forecast) -> Vec<usize> {
        let usual = forecast.gaussian.usual_deviation();
        let mut ranked: Vec<usize> = (0..pool.len()).collect();
        sort_by_worth(&mut ranked, |index| {
            self.worth(pool, index, forecast.means[index], usual)
        });
        ranked
    }
}
