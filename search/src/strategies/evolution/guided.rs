//! EXPERIMENT
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::predictor::features::Pool;
use crate::predictor::gaussian::{Gaussian, Kernel, Belief};
use crate::space::Choices;
use crate::strategy::{Fidelity, Goal, Problem, Proposal, Strategy, Told};
use crate::trial::Feedback;

#[derive(Debug, Clone)]
pub struct Tuning(std::collections::BTreeMap<String, f64>);
impl Tuning {
    fn new() -> Self {
        Self(std::env::var("TUNE").unwrap_or_default().split(',').filter_map(|kv| { let (k, v) = kv.split_once('=')?; Some((k.to_owned(), v.parse().ok()?)) }).collect())
    }
    fn get(&self, k: &str, d: f64) -> f64 { self.0.get(k).copied().unwrap_or(d) }
}

#[derive(Debug)]
pub(crate) struct Guided {
    t: Tuning,
    told: Vec<(Choices, Fidelity, f64, f64)>,
    pool: Option<Pool>,
    asks: usize,
    kernel: Option<Kernel>,
    short_kernel: Option<Kernel>,
}

impl Guided {
    pub(crate) fn new() -> Self { Self { t: Tuning::new(), told: vec![], pool: None, asks: 0, kernel: None, short_kernel: None } }
}

pub(crate) fn kernels(t: &Tuning) -> Vec<Kernel> {
    let mut all = Vec::new();
    for parts in [0.2, 0.5, 0.8] { for (parts_range, scores_range) in [(0.3, 0.7), (1.0, 1.5), (0.5, 3.0)] { for noise in [0.03, 0.2] { {
        all.push(Kernel { parts, parts_range, scores_range, trend: t.get("trend", 1.0), noise });
    }}}}
    all
}

fn transform(ys: &[(usize, f64)], t: &Tuning) -> Vec<(usize, f64)> {
    let mode = t.get("tr", 1.0) as u32;
    let max = ys.iter().map(|y| y.1).fold(f64::NEG_INFINITY, f64::max);
    let mut s: Vec<f64> = ys.iter().map(|y| y.1).collect(); s.sort_by(f64::total_cmp);
    let med = s[s.len() / 2];
    let q = s[(s.len() as f64 * 0.8) as usize];
    let sc = (max - med).max(1e-4);
    let _ = q;
    match mode {
        0 => ys.to_vec(),
        1 => { let w = t.get("w", 0.5); ys.iter().map(|(i, y)| (*i, -((max - y) / sc + w).ln())).collect() }
        2 => { let v: Vec<f64> = ys.iter().map(|y| y.1).collect(); let n = crate::predictor::features::normal_scores(&v); ys.iter().zip(n).map(|((i, _), n)| (*i, n)).collect() }
        _ => ys.iter().map(|(i, y)| (*i, y.max(med - t.get("w", 1.0) * sc))).collect(),
    }
}

impl Strategy for Guided {
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        let t = self.t.clone();
        if self.pool.is_none() {
            let points: Vec<_> = problem.landscape.points().unwrap().iter().filter(|p| (problem.feasible)(p)).cloned().collect();
            self.pool = Some(Pool::new(problem.landscape, points));
        }
        let pool = self.pool.as_ref().unwrap();
        self.asks += 1;
        let n = pool.len();
        let find = |c: &Choices| pool.points.binary_search(c).ok().or_else(|| pool.points.iter().position(|p| p == c));
        let mut full = vec![]; let mut short = vec![];
        for (c, f, a, _) in &self.told { if let Some(i) = find(c) { if f.is_full() { full.push((i, *a)) } else { short.push((i, *a)) } } }
        let is_full: std::collections::BTreeSet<usize> = full.iter().map(|x| x.0).collect();
        let is_short: std::collections::BTreeSet<usize> = short.iter().map(|x| x.0).collect();
        let price = problem.prices.get(1).copied();
        let batch = t.get("batch", 4.0) as usize;
        let mut out = vec![];
        let prior: Vec<f64> = (0..n).map(|i| pool.prior(i)).collect();
        if self.asks == 1 {
            let order = top(&prior, n, |_| false);
            if let Some(p) = price {
                let m = (t.get("init_short", 0.1) * problem.budget / p) as usize;
                // spread: half top, half spread
                let share = t.get("init_top", 0.3);
                let k = ((n as f64 * share) as usize).max(m).min(n);
                for j in 0..m.min(n) { let i = order[j * k / m.max(1) + rng.random_range(0..(k / m.max(1)).max(1))]; out.push(Proposal { choices: pool.points[i].clone(), fidelity: Fidelity(1) }); }
            }
            if t.get("init_sep", 1.0) < 0.5 || price.is_none() || out.is_empty() {
            let m = (t.get("init_full", 0.1) * problem.budget) as usize;
            let k = ((n as f64 * t.get("init_ftop", 0.1)) as usize).max(m).min(n);
            for j in 0..m.min(n) { out.push(Proposal::full(pool.points[order[j * k / m.max(1) + rng.random_range(0..(k / m.max(1)).max(1))]].clone())); }
            }
            return out;
        }
        let every = t.get("every", 3.0) as usize;
        let mut p2 = pool.clone();
        let mut low: Option<Vec<f64>> = None;
        if !short.is_empty() {
            let ys = transform(&short, &t);
            if self.short_kernel.is_none() || self.asks % every == 0 { self.short_kernel = Gaussian::choose(pool, &ys, &kernels(&t)); }
            let g = Gaussian::fit(pool, &ys, self.short_kernel.unwrap());
            let m: Vec<f64> = (0..n).map(|i| g.mean(pool, i)).collect();
            p2 = pool.with_score(&m);
            low = Some(m);
        }
        if full.is_empty() {
            let m = (t.get("init_full", 0.1) * problem.budget) as usize;
            let order = top(low.as_ref().unwrap_or(&prior), n, |_| false);
            let k = ((n as f64 * t.get("init_ftop", 0.02)) as usize).max(m).min(n);
            for j in 0..m.min(n) { out.push(Proposal::full(pool.points[order[j * k / m.max(1) + rng.random_range(0..(k / m.max(1)).max(1))]].clone())); }
            return out;
        }
        let ys = transform(&full, &t);
        if self.kernel.is_none() || self.asks % every == 0 { self.kernel = Gaussian::choose(&p2, &ys, &kernels(&t)); }
        let g = Gaussian::fit(&p2, &ys, self.kernel.unwrap());
        let b: Vec<Belief> = (0..n).map(|i| g.belief(&p2, i)).collect();
        let kappa = t.get("kappa", 1.0);
        let ucb: Vec<f64> = match problem.goal {
            Goal::Accuracy => b.iter().map(|b| b.mean + kappa * b.sd).collect(),
            Goal::Front => b.iter().map(|b| b.mean + kappa * b.sd).collect(),
        };
        if let Some(p) = price {
            let m = (t.get("short", 0.2) * batch as f64 / p) as usize;
            for i in top(&ucb, m, |i| is_short.contains(&i) || is_full.contains(&i)) { out.push(Proposal { choices: pool.points[i].clone(), fidelity: Fidelity(1) }); }
        }
        // batch with believer
        for i in top(&ucb, batch, |i| is_full.contains(&i)) { out.push(Proposal::full(pool.points[i].clone())); }
        out
    }
    fn tell(&mut self, told: &Told<'_>) {
        if let Feedback::Evaluated { accuracy } = told.feedback { self.told.push((told.choices.clone(), told.fidelity, *accuracy, told.latency)); }
    }
}

fn top(values: &[f64], n: usize, skip: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).filter(|i| !skip(*i)).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    order.truncate(n);
    order
}
