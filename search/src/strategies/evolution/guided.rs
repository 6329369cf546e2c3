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
use crate::predictor::{Forecast, Known, Predictor, Stretched};
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
    /// The best of them, until they are looked at anew.
    close: Option<(u32, Pool)>,
}

#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub choices: Choices,
    pub fidelity: Fidelity,
    pub accuracy: f64,
}

impl Guided {
    pub(super) fn new(kernels: Vec<Kernel>) -> Self {
        Self {
            predictor: Predictor::new(kernels),
            told: Vec::new(),
            listed: None,
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
}

impl Strategy for Guided {
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        let stretched = match problem.goal {
            Goal::Accuracy => Stretched::Top,
            Goal::Front => Stretched::Nowhere,
        };
        if let Some((uses, pool)) = self.close.take_if(|(uses, _)| *uses > 0) {
            let known = known(&pool, &self.told);
            let promising = self.predictor.forecast(&pool, &known, stretched).map(|forecast| Ask { problem, pool: &pool, short: None }.most_promising(forecast, &known));
            self.close = Some((uses - 1, pool));
            return promising.map(|(proposals, _)| proposals).unwrap_or_default();
        }
        let pool = self.pool(problem, rng);
        let known = known(&pool, &self.told);
        let short = problem.prices.get(1).copied().filter(|price| *price <= MOST_SHORT_PRICE);
        let ask = Ask { problem, pool: &pool, short };
        let means = self.predictor.short_means(&pool, &known);
        if known.full.is_empty() {
            let prior = || (0..pool.len()).map(|index| pool.prior(index)).collect();
            return ask.first(&means.unwrap_or_else(prior), &known, rng);
        }
        let pool = match means {
            Some(means) => pool.with_score(&means),
            None => pool,
        };
        self.predictor.choose(&pool, &known, stretched);
        let Some(forecast) = self.predictor.forecast(&pool, &known, stretched) else {
            return Vec::new();
        };
        let (proposals, mut ranked) = Ask { problem, pool: &pool, short }.most_promising(forecast, &known);
        if self.listed.is_some() {
            ranked.truncate(CLOSE);
            ranked.extend(known.full.iter().map(|(index, _)| *index));
            ranked.extend(proposals.iter().filter_map(|proposal| pool.index(&proposal.choices)));
            ranked.sort_unstable();
            ranked.dedup();
            self.close = Some((PERIOD - 1, pool.subset(&ranked)));
        }
        proposals
    }

    fn tell(&mut self, told: &Told<'_>) {
        if let Feedback::Evaluated { accuracy } = told.feedback {
            self.told.push(Reading {
                choices: told.choices.clone(),
                fidelity: told.fidelity,
                accuracy: *accuracy,
            });
        }
    }
}

fn known(pool: &Pool, told: &[Reading]) -> Known {
    let mut known = Known::default();
    for reading in told {
        if let Some(index) = pool.index(&reading.choices) {
            let list = if reading.fidelity.is_full() { &mut known.full } else { &mut known.short };
            list.push((index, reading.accuracy));
        }
    }
    known
}

/// One call for proposals.
struct Ask<'a> {
    problem: &'a Problem<'a>,
    pool: &'a Pool,
    /// Price of a short training.
    short: Option<f64>,
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
        if let Some(price) = self.short.filter(|_| known.short.is_empty()) {
            let n = ((FIRST_SHORT * self.problem.budget / price) as usize).clamp(1, MOST_SHORT / 2);
            let first = self.spread(ranking, n, SPREAD_SHORT, SHORT, rng);
            if !first.is_empty() {
                return first;
            }
        }
        let n = ((FIRST_FULL * self.problem.budget) as usize).max(GENERATION);
        let spread = if known.short.is_empty() { SPREAD_BLIND } else { SPREAD_FULL };
        self.spread(ranking, n, spread, Fidelity::FULL, rng)
    }

    /// One draw from each of `n` neighbouring bands of the ranking's upper `share`.
    ///
    /// A front needs its bands over latency, with a draw from the upper share of each.
    fn spread(&self, ranking: &[f64], n: usize, share: f64, fidelity: Fidelity, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        if self.problem.goal == Goal::Front {
            return self.spread_over_latency(ranking, n, share, fidelity, rng);
        }
        let mut order: Vec<usize> = (0..self.pool.len()).filter(|index| self.is_new(*index, fidelity)).collect();
        sort_by_worth(&mut order, |index| ranking[index]);
        let upper = ((self.pool.len() as f64 * share) as usize).max(n).min(order.len());
        let bands = n.min(upper);
        let draw = |band: usize| {
            let (from, to) = (band * upper / bands, (band + 1) * upper / bands);
            self.proposal(order[rng.random_range(from..to.max(from + 1))], fidelity)
        };
        (0..bands).map(draw).collect()
    }

    fn spread_over_latency(&self, ranking: &[f64], n: usize, share: f64, fidelity: Fidelity, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        let mut order: Vec<usize> = (0..self.pool.len()).filter(|index| self.is_new(*index, fidelity)).collect();
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

    /// A generation, and all candidates by falling promise.
    fn most_promising(&self, mut forecast: Forecast, known: &Known) -> (Vec<Proposal>, Vec<usize>) {
        let latency = |index: usize| self.pool.latency[index];
        let values: Vec<(f64, f64)> = known.full.iter().map(|(index, accuracy)| (latency(*index), forecast.stretch.value(*accuracy))).collect();
        let lowest = values.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        let slowest = self.pool.latency.iter().copied().fold(0.0, f64::max);
        let (front, top) = (Front::of(&values, (slowest, lowest)), forecast.best);
        let usual = forecast.gaussian.usual_deviation();
        let improvement = |index: usize, mean: f64, deviation: f64| match self.problem.goal {
            Goal::Accuracy => expected_improvement(mean, deviation, top),
            Goal::Front => front.improvement(latency(index), mean, deviation),
        };
        let mut ranked: Vec<usize> = (0..self.pool.len()).collect();
        sort_by_worth(&mut ranked, |index| improvement(index, forecast.means[index], usual));
        let full: BTreeSet<usize> = known.full.iter().map(|(index, _)| *index).collect();
        let is_new = |index| self.is_new(index, Fidelity::FULL);
        let chosen = best(self.pool, &mut forecast, GENERATION, &is_new, &ranked, &improvement);
        let mut proposals: Vec<Proposal> = Vec::new();
        if let Some(price) = self.short {
            let n = f64::from(PERIOD) * SHORT_SHARE * GENERATION as f64 / price;
            let n = (n as usize).min(MOST_SHORT.saturating_sub(known.short.len()));
            let is_wanted = |index: &&usize| !full.contains(index) && !chosen.contains(index) && self.is_new(**index, SHORT);
            let wanted = ranked.iter().filter(is_wanted).take(n);
            proposals.extend(wanted.map(|index| self.proposal(*index, SHORT)));
        }
        proposals.extend(chosen.into_iter().map(|index| self.proposal(index, Fidelity::FULL)));
        (proposals, ranked)
    }
}
