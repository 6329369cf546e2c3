//! The factor of a symmetric positive definite matrix, grown row by row.

/// Lower triangle L with L·Lᵀ = A, packed by rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cholesky {
    rows: Vec<Vec<f64>>,
}

/// Smallest pivot: rounding must not make a variance negative.
const LEAST: f64 = 1e-10;

impl Cholesky {
    /// Of a matrix given by its entries at and below the diagonal.
    pub(crate) fn of(n: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let mut factor = Self {
            rows: Vec::with_capacity(n),
        };
        for i in 0..n {
            let row: Vec<f64> = (0..i).map(|j| entry(i, j)).collect();
            factor.push(row, entry(i, i));
        }
        factor
    }

    /// Adds one row: the entries left of the diagonal, and the one on it.
    pub(crate) fn push(&mut self, off_diagonal: Vec<f64>, diagonal: f64) {
        let mut row = self.solve_lower(off_diagonal);
        let rest = diagonal - row.iter().map(|x| x * x).sum::<f64>();
        row.push(rest.max(LEAST).sqrt());
        self.rows.push(row);
    }

    /// x with L·x = b.
    pub(crate) fn solve_lower(&self, mut b: Vec<f64>) -> Vec<f64> {
        for (i, row) in self.rows.iter().enumerate() {
            let (done, rest) = b.split_at_mut(i);
            let sum: f64 = row.iter().zip(done.iter()).map(|(l, x)| l * x).sum();
            rest[0] = (rest[0] - sum) / row[i];
        }
        b
    }

    /// x with A·x = b.
    pub(crate) fn solve(&self, b: Vec<f64>) -> Vec<f64> {
        let mut x = self.solve_lower(b);
        for i in (0..self.rows.len()).rev() {
            let row = &self.rows[i];
            x[i] /= row[i];
            let value = x[i];
            for (below, l) in x[..i].iter_mut().zip(row) {
                *below -= l * value;
            }
        }
        x
    }

    /// Diagonal of A⁻¹.
    pub(crate) fn inverse_diagonal(&self) -> Vec<f64> {
        let n = self.rows.len();
        let mut diagonal = vec![0.0; n];
        // Column j of L⁻¹ starts at row j.
        for j in 0..n {
            let mut column = vec![0.0; n - j];
            for i in j..n {
                let row = &self.rows[i];
                let unit = if i == j { 1.0 } else { 0.0 };
                let sum: f64 = row[j..i].iter().zip(&column).map(|(l, x)| l * x).sum();
                column[i - j] = (unit - sum) / row[i];
            }
            diagonal[j] = column.iter().map(|x| x * x).sum();
        }
        diagonal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_and_inverts() {
        let a = [[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let factor = Cholesky::of(3, |i, j| a[i][j]);
        let x = factor.solve(vec![1.0, -2.0, 0.5]);
        for (row, expected) in a.iter().zip([1.0, -2.0, 0.5]) {
            let found: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
            assert!((found - expected).abs() < 1e-12);
        }
        let unit = |j: usize| (0..3).map(|i| if i == j { 1.0 } else { 0.0 }).collect();
        for (j, value) in factor.inverse_diagonal().into_iter().enumerate() {
            assert!((value - factor.solve(unit(j))[j]).abs() < 1e-12);
        }
    }
}
