//! Candidates as a regression sees them: their parts, and their scores on one scale.

use super::normal;
use crate::landscape::Landscape;
use crate::space::Choices;

/// The candidates a regression ranks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    pub points: Vec<Choices>,
    /// Indices of the points, sorted by them.
    order: Vec<usize>,
    /// Parts of each point, one bit each, `words` to a point.
    parts: Vec<u64>,
    words: usize,
    /// Square root of how many parts a point has.
    sizes: Vec<f64>,
    /// Scores of each point as normal deviates of their ranks: free of units and outliers. `columns` to a point.
    scores: Vec<f64>,
    columns: usize,
    /// Latency over bound.
    pub latency: Vec<f64>,
}

/// How near two candidates are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Nearness {
    /// Cosine between their parts.
    pub likeness: f64,
    /// Mean square distance between their scores.
    pub distance: f64,
    /// Mean product of their scores.
    pub product: f64,
}

impl Pool {
    pub(crate) fn new(landscape: &dyn Landscape, points: Vec<Choices>) -> Self {
        let parts: Vec<Vec<u32>> = points.iter().map(|point| landscape.parts(point)).collect();
        let free: Vec<_> = points.iter().map(|point| landscape.free(point)).collect();
        let mut pool = Self {
            order: sorted(&points),
            latency: free.iter().map(|free| free.latency).collect(),
            sizes: parts
                .iter()
                .map(|parts| (parts.len().max(1) as f64).sqrt())
                .collect(),
            points,
            ..Self::default()
        };
        pool.pack(&parts);
        for column in 0..free.first().map_or(0, |free| free.scores.len()) {
            let values: Vec<f64> = free.iter().map(|free| free.scores[column]).collect();
            pool = pool.with_score(&values);
        }
        pool
    }

    /// Candidates known only by their parts and these scores, taken as they are.
    pub(crate) fn of_columns(parts: &[Vec<u32>], columns: &[Vec<f64>]) -> Self {
        let row = |index: usize| columns.iter().map(move |column| column[index]);
        let mut pool = Self {
            order: (0..parts.len()).collect(),
            points: vec![Choices(Vec::new()); parts.len()],
            sizes: parts
                .iter()
                .map(|parts| (parts.len().max(1) as f64).sqrt())
                .collect(),
            scores: (0..parts.len()).flat_map(row).collect(),
            columns: columns.len(),
            ..Self::default()
        };
        pool.pack(parts);
        pool
    }

    /// Numbers of parts may be far apart: bits are given out as parts appear.
    fn pack(&mut self, parts: &[Vec<u32>]) {
        let mut all: Vec<u32> = parts.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        self.words = all.len().div_ceil(64).max(1);
        self.parts = vec![0; self.words * parts.len()];
        for (bits, parts) in self.parts.chunks_mut(self.words).zip(parts) {
            for part in parts {
                if let Ok(bit) = all.binary_search(part) {
                    bits[bit / 64] |= 1 << (bit % 64);
                }
            }
        }
    }

    /// The same pool with one more score.
    pub(crate) fn with_score(&self, values: &[f64]) -> Self {
        let deviates = normal_scores(values);
        let mut scores = Vec::with_capacity(self.scores.len() + values.len());
        for (index, deviate) in deviates.into_iter().enumerate() {
            scores.extend_from_slice(self.scores(index));
            scores.push(deviate);
        }
        Self {
            scores,
            columns: self.columns + 1,
            ..self.clone()
        }
    }

    /// Some of the candidates, with their scores as they are.
    pub(crate) fn subset(&self, indices: &[usize]) -> Self {
        let points: Vec<Choices> = indices.iter().map(|index| self.points[*index].clone()).collect();
        let row = |index: &usize| {
            self.parts[index * self.words..(index + 1) * self.words]
                .iter()
                .copied()
        };
        Self {
            order: sorted(&points),
            points,
            parts: indices.iter().flat_map(row).collect(),
            words: self.words,
            sizes: indices.iter().map(|index| self.sizes[*index]).collect(),
            scores: indices
                .iter()
                .flat_map(|index| self.scores(*index).iter().copied())
                .collect(),
            columns: self.columns,
            latency: indices.iter().map(|index| self.latency[*index]).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Where a point is.
    pub(crate) fn index(&self, choices: &Choices) -> Option<usize> {
        self.order
            .binary_search_by(|index| self.points[*index].cmp(choices))
            .ok()
            .map(|at| self.order[at])
    }

    pub(crate) fn scores(&self, index: usize) -> &[f64] {
        &self.scores[index * self.columns..(index + 1) * self.columns]
    }

    pub(crate) fn nearness(&self, a: usize, b: usize) -> Nearness {
        let bits = |index: usize| &self.parts[index * self.words..(index + 1) * self.words];
        let both: u32 = bits(a)
            .iter()
            .zip(bits(b))
            .map(|(a, b)| (a & b).count_ones())
            .sum();
        let (mut distance, mut product) = (0.0, 0.0);
        for (x, y) in self.scores(a).iter().zip(self.scores(b)) {
            distance += (x - y) * (x - y);
            product += x * y;
        }
        let columns = self.columns.max(1) as f64;
        Nearness {
            likeness: f64::from(both) / (self.sizes[a] * self.sizes[b]),
            distance: distance / columns,
            product: product / columns,
        }
    }

    /// Mean of the free scores: what ranks candidates before anything is trained.
    pub(crate) fn prior(&self, index: usize) -> f64 {
        self.scores(index).iter().sum::<f64>() / self.columns.max(1) as f64
    }
}

fn sorted(points: &[Choices]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*a].cmp(&points[*b]));
    order
}

/// The normal deviate of each value's rank; equal values get their mean rank.
pub(crate) fn normal_scores(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]).then(a.cmp(b)));
    let mut deviates = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let equal = |index: &&usize| values[**index].total_cmp(&values[order[start]]).is_eq();
        let end = start + order[start..].iter().take_while(equal).count().max(1);
        let rank = (start + end) as f64 / 2.0;
        let deviate = normal::quantile(rank / values.len() as f64);
        for index in &order[start..end] {
            deviates[*index] = deviate;
        }
        start = end;
    }
    deviates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_become_deviates() {
        let scores = normal_scores(&[1.0, 5.0, 1.0, 9.0]);
        assert_eq!(scores[0].to_bits(), scores[2].to_bits());
        assert!(scores[0] < scores[1] && scores[1] < scores[3]);
    }
}
