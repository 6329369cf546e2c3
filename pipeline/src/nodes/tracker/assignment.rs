//! Who is who: pairs rows with columns so that the sum of costs is smallest.

/// The Hungarian method with potentials and shortest augmenting paths (Jonker and Volgenant 1987), O(rows² · columns).
/// `costs` has a row per entry, all of the same length, finite. Gives the column of each row; none for rows that are
/// too many.
pub(super) fn assign(costs: &[Vec<f64>]) -> Vec<Option<usize>> {
    let columns = costs.first().map_or(0, Vec::len);
    if columns == 0 {
        return vec![None; costs.len()];
    }
    if costs.len() > columns {
        return transposed(costs, columns);
    }
    let mut search = Search::new(costs.len(), columns);
    for row in 0..costs.len() {
        search.add(row, costs);
    }
    let mut columns_of = vec![None; costs.len()];
    for (column, row) in search.row_of.iter().enumerate() {
        if let Some(place) = row.and_then(|row| columns_of.get_mut(row)) {
            *place = Some(column);
        }
    }
    columns_of
}

/// With more rows than columns, the columns choose.
fn transposed(costs: &[Vec<f64>], columns: usize) -> Vec<Option<usize>> {
    let turned: Vec<Vec<f64>> = (0..columns)
        .map(|column| {
            costs
                .iter()
                .map(|row| row.get(column).copied().unwrap_or(0.0))
                .collect()
        })
        .collect();
    let mut columns_of = vec![None; costs.len()];
    for (column, row) in assign(&turned).into_iter().enumerate() {
        if let Some(place) = row.and_then(|row| columns_of.get_mut(row)) {
            *place = Some(column);
        }
    }
    columns_of
}

/// An optimal assignment of the rows so far, with the potentials that prove it.
struct Search {
    row_of: Vec<Option<usize>>,
    of_rows: Vec<f64>,
    of_columns: Vec<f64>,
}

impl Search {
    fn new(rows: usize, columns: usize) -> Self {
        Self {
            row_of: vec![None; columns],
            of_rows: vec![0.0; rows],
            of_columns: vec![0.0; columns],
        }
    }

    /// Adds a row, along the cheapest way to a column that nobody has.
    fn add(&mut self, row: usize, costs: &[Vec<f64>]) {
        let columns = self.row_of.len();
        let mut cheapest = vec![f64::INFINITY; columns];
        let mut before: Vec<Option<usize>> = vec![None; columns];
        let mut seen = vec![false; columns];
        let mut at: Option<usize> = None;
        let mut current = row;
        loop {
            let mut next = None;
            let mut step = f64::INFINITY;
            for column in 0..columns {
                if seen[column] {
                    continue;
                }
                let cost = costs[current][column] - self.of_rows[current] - self.of_columns[column];
                if cost < cheapest[column] {
                    cheapest[column] = cost;
                    before[column] = at;
                }
                if cheapest[column] < step {
                    step = cheapest[column];
                    next = Some(column);
                }
            }
            let Some(column) = next else { return };
            self.shift(row, step, &seen);
            for (cost, _) in cheapest.iter_mut().zip(&seen).filter(|(_, seen)| !**seen) {
                *cost -= step;
            }
            seen[column] = true;
            at = Some(column);
            match self.row_of[column] {
                Some(holder) => current = holder,
                None => break,
            }
        }
        while let Some(column) = at {
            at = before[column];
            self.row_of[column] = match at {
                Some(previous) => self.row_of[previous],
                None => Some(row),
            };
        }
    }

    /// Moves the potentials of what the way has reached, so that its next edge costs nothing.
    fn shift(&mut self, row: usize, step: f64, seen: &[bool]) {
        self.of_rows[row] += step;
        for (column, _) in seen.iter().enumerate().filter(|(_, seen)| **seen) {
            self.of_columns[column] -= step;
            if let Some(holder) = self.row_of[column] {
                self.of_rows[holder] += step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn total(costs: &[Vec<f64>], columns: &[Option<usize>]) -> f64 {
        costs
            .iter()
            .zip(columns)
            .filter_map(|(row, column)| Some(row[(*column)?]))
            .sum()
    }

    /// The smallest sum by trying everything.
    fn best(costs: &[Vec<f64>], used: &mut Vec<bool>, row: usize, skips: usize) -> f64 {
        if row == costs.len() {
            return 0.0;
        }
        let mut least = if skips > 0 {
            best(costs, used, row + 1, skips - 1)
        } else {
            f64::INFINITY
        };
        for column in 0..used.len() {
            if !used[column] {
                used[column] = true;
                least = least.min(costs[row][column] + best(costs, used, row + 1, skips));
                used[column] = false;
            }
        }
        least
    }

    #[test]
    fn greedy_would_be_wrong() {
        let costs = [vec![1.0, 2.0], vec![1.1, 100.0]];
        assert_eq!(assign(&costs), [Some(1), Some(0)]);
        assert_eq!(assign(&[]), []);
        assert_eq!(assign(&[vec![], vec![]]), [None, None]);
    }

    proptest! {
        #[test]
        fn as_good_as_trying_everything(
            (columns, costs) in (1_usize..6, 1_usize..6).prop_flat_map(|(rows, columns)| {
                (Just(columns), prop::collection::vec(prop::collection::vec(-10.0_f64..10.0, columns), rows))
            }),
        ) {
            let found = assign(&costs);
            let mut taken: Vec<usize> = found.iter().flatten().copied().collect();
            prop_assert_eq!(taken.len(), costs.len().min(columns));
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), costs.len().min(columns));
            let least = best(&costs, &mut vec![false; columns], 0, costs.len().saturating_sub(columns));
            prop_assert!((total(&costs, &found) - least).abs() < 1e-9);
        }
    }
}
