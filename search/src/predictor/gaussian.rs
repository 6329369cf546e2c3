//! Gaussian-process regression on a pool's parts and scores (Rasmussen and Williams 2006, algorithm 2.1; the
//! kernel's settings by leave-one-out likelihood, ibid. §5.4.2).

use super::cholesky::Cholesky;
use super::features::{Nearness, Pool};

/// How alike two candidates' accuracies are expected to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Kernel {
    pub shape: Shape,
    /// Share of the variance that the parts explain; the scores explain the rest.
    pub parts: f64,
    /// Variance of a straight line through the scores.
    pub trend: f64,
    /// Variance of what no regression can know.
    pub noise: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Each part and each score adds its share: ridge regression.
    Linear,
    /// Alike only when near, in units of cosine and of deviates.
    Smooth { parts_range: f64, scores_range: f64 },
}

impl Kernel {
    fn of(&self, near: &Nearness) -> f64 {
        let Nearness {
            likeness,
            distance,
            product,
        } = *near;
        let (like, close) = match self.shape {
            Shape::Linear => (likeness, 1.0),
            Shape::Smooth {
                parts_range,
                scores_range,
            } => (
                ((likeness - 1.0) / parts_range).exp(),
                (-distance / (2.0 * scores_range * scores_range)).exp(),
            ),
        };
        self.parts * like + (1.0 - self.parts) * close + self.trend * product
    }

    /// The kernels of a ridge regression to choose from.
    pub(crate) fn linear() -> Vec<Self> {
        Self::family(&[Shape::Linear])
    }

    /// The kernels of a Gaussian process to choose from.
    pub(crate) fn smooth() -> Vec<Self> {
        let shape = |(parts_range, scores_range)| Shape::Smooth {
            parts_range,
            scores_range,
        };
        let mut kernels = Self::family(&[(0.3, 0.7), (1.0, 1.5), (0.5, 3.0)].map(shape));
        kernels.extend(Self::linear());
        kernels
    }

    /// The kernel of a class foretold from others, when nothing says which is best.
    pub(crate) const TRANSFER: Self = Self {
        shape: Shape::Linear,
        parts: 0.5,
        trend: 30.0,
        noise: 1.0,
    };

    /// The kernels of a class foretold from others to choose from.
    pub(crate) fn transfers() -> Vec<Self> {
        let smooth = Shape::Smooth {
            parts_range: 0.5,
            scores_range: 1.5,
        };
        let mut kernels = Vec::new();
        for shape in [Shape::Linear, smooth] {
            for parts in [0.2, 0.5, 0.9] {
                for trend in [1.0, 5.0, 30.0] {
                    for noise in [0.02, 0.1, 0.5, 2.0] {
                        kernels.push(Self {
                            shape,
                            parts,
                            trend,
                            noise,
                        });
                    }
                }
            }
        }
        kernels
    }

    fn family(shapes: &[Shape]) -> Vec<Self> {
        let mut kernels = Vec::new();
        for shape in shapes {
            for parts in [0.2, 0.5, 0.8] {
                for noise in [0.03, 0.2] {
                    kernels.push(Self {
                        shape: *shape,
                        parts,
                        trend: 1.0,
                        noise,
                    });
                }
            }
        }
        kernels
    }
}

/// A fitted regression over one pool.
#[derive(Debug, Clone)]
pub(crate) struct Gaussian {
    kernel: Kernel,
    factor: Cholesky,
    known: Vec<usize>,
    weights: Vec<f64>,
    mean: f64,
    scale: f64,
}

impl Gaussian {
    /// `known`: candidates of the pool with what was observed of them.
    pub(crate) fn fit(pool: &Pool, known: &[(usize, f64)], kernel: Kernel) -> Self {
        Self::from_nearness(&triangle(pool, known), known, kernel)
    }

    fn from_nearness(near: &[Nearness], known: &[(usize, f64)], kernel: Kernel) -> Self {
        let n = known.len();
        let mean = known.iter().map(|(_, y)| y).sum::<f64>() / n.max(1) as f64;
        let spread = known.iter().map(|(_, y)| (y - mean) * (y - mean)).sum::<f64>() / n.max(1) as f64;
        let scale = spread.sqrt().max(1e-9);
        let indices: Vec<usize> = known.iter().map(|(index, _)| *index).collect();
        let entry = |i: usize, j: usize| {
            let noise = if i == j { kernel.noise } else { 0.0 };
            kernel.of(&near[i * (i + 1) / 2 + j]) + noise
        };
        let factor = Cholesky::of(n, entry);
        let weights = factor.solve(known.iter().map(|(_, y)| (y - mean) / scale).collect());
        Self {
            kernel,
            factor,
            known: indices,
            weights,
            mean,
            scale,
        }
    }

    /// The kernel among these under which each observation is best foretold by the others; a smooth one has to be
    /// better than a linear one by `margin` in log likelihood.
    pub(crate) fn choose(
        pool: &Pool,
        known: &[(usize, f64)],
        kernels: &[Kernel],
        margin: f64,
    ) -> Option<Kernel> {
        let near = triangle(pool, known);
        let score = |kernel: &Kernel| {
            let head_start = match kernel.shape {
                Shape::Linear => margin,
                Shape::Smooth { .. } => 0.0,
            };
            Self::from_nearness(&near, known, *kernel).leave_one_out() + head_start
        };
        let scored = kernels.iter().map(|kernel| (score(kernel), *kernel));
        let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map(|(_, kernel)| kernel)
    }

    /// Log likelihood of each observation given the others.
    fn leave_one_out(&self) -> f64 {
        let variances = self.factor.inverse_diagonal().into_iter().map(|d| 1.0 / d);
        let one = |(weight, variance): (&f64, f64)| {
            let miss = weight * variance;
            -0.5 * (variance.ln() + miss * miss / variance)
        };
        self.weights.iter().zip(variances).map(one).sum()
    }

    pub(crate) fn mean(&self, pool: &Pool, index: usize) -> f64 {
        let sum: f64 = self
            .known
            .iter()
            .zip(&self.weights)
            .map(|(known, weight)| weight * self.kernel.of(&pool.nearness(*known, index)))
            .sum();
        self.mean + self.scale * sum
    }

    /// Deviation of what would be read of a candidate, given what is known.
    pub(crate) fn deviation(&self, pool: &Pool, index: usize) -> f64 {
        let row = self.row(pool, index);
        let own = self.kernel.of(&pool.nearness(index, index));
        let known: f64 = self.factor.solve_lower(row).iter().map(|x| x * x).sum();
        self.scale * ((own - known).max(0.0) + self.kernel.noise).sqrt()
    }

    /// What a candidate's deviation is like far from what is known.
    pub(crate) fn usual_deviation(&self) -> f64 {
        self.scale * (0.3 + self.kernel.noise).sqrt()
    }

    /// Takes a candidate as known, with the value that is expected anyway: the means stay, deviations near it
    /// shrink (Ginsbourger et al. 2010, kriging believer).
    pub(crate) fn believe(&mut self, pool: &Pool, index: usize) {
        let row = self.row(pool, index);
        let own = self.kernel.of(&pool.nearness(index, index));
        self.factor.push(row, own + self.kernel.noise);
        self.known.push(index);
        self.weights.push(0.0);
    }

    fn row(&self, pool: &Pool, index: usize) -> Vec<f64> {
        let to = |known: &usize| self.kernel.of(&pool.nearness(*known, index));
        self.known.iter().map(to).collect()
    }
}

/// Nearness of all pairs at and below the diagonal.
fn triangle(pool: &Pool, known: &[(usize, f64)]) -> Vec<Nearness> {
    let row = |i: usize| (0..=i).map(move |j| pool.nearness(known[i].0, known[j].0));
    (0..known.len()).flat_map(row).collect()
}
