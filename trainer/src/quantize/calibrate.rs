//! Where the numbers between the layers lie, seen on a few hundred images.
//!
//! The ends are a percentile and not the extremes: one pixel that no other image has would cost all others a part
//! of their 256 levels.

use std::collections::BTreeMap;

use export::{Range, Ranges};
use tch::{TchError, Tensor, no_grad};

use crate::data::{Images, whole};
use crate::model::Net;

/// Percent of the numbers that lie inside, half of the rest beyond each end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile(pub f64);

const BATCH: usize = 32;

/// The outermost numbers of one value, both ends, farthest first; as many as may be cut off and one more.
#[derive(Debug, Default)]
struct Ends {
    smallest: Vec<f32>,
    largest: Vec<f32>,
}

/// The ranges over the first images of a set.
pub fn ranges(
    net: &Net,
    images: &Images,
    count: usize,
    Percentile(percent): Percentile,
) -> Result<Ranges, TchError> {
    let indices: Vec<usize> = (0..images.len().min(count.max(1))).collect();
    let mut ends: BTreeMap<String, Ends> = BTreeMap::new();
    let cut = |numbers: usize| (numbers as f64 * (1.0 - percent / 100.0) / 2.0) as usize;
    for batch in indices.chunks(BATCH) {
        let (pixels, _) = whole(images, batch)?;
        let mut see = |name: &str, value: &Tensor| {
            let numbers = value.numel() / batch.len() * indices.len();
            let ends = ends.entry(name.to_owned()).or_default();
            ends.see(value, cut(numbers) + 1)
        };
        drop(no_grad(|| net.observe(&pixels, &mut see))?);
    }
    let range = |(name, ends): (String, Ends)| (name, ends.range());
    Ok(Ranges(ends.into_iter().map(range).collect()))
}

impl Ends {
    fn see(&mut self, value: &Tensor, keep: usize) -> Result<(), TchError> {
        let flat = value.f_reshape([-1])?;
        for (largest, kept) in [(false, &mut self.smallest), (true, &mut self.largest)] {
            let (found, _) = flat.f_topk(keep.min(value.numel()) as i64, 0, largest, true)?;
            kept.extend(Vec::<f32>::try_from(found)?);
            kept.sort_by(|one, other| {
                if largest {
                    other.total_cmp(one)
                } else {
                    one.total_cmp(other)
                }
            });
            kept.truncate(keep);
        }
        Ok(())
    }

    /// The innermost of what was kept: all beyond is cut off.
    fn range(&self) -> Range {
        Range {
            min: self.smallest.last().copied().unwrap_or_default(),
            max: self.largest.last().copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_the_same_in_one_batch_and_in_many() {
        let numbers: Vec<f32> = (0..1000).map(|i| ((i * 373) % 1000) as f32).collect();
        let of = |batch: usize, keep: usize| {
            let mut ends = Ends::default();
            for numbers in numbers.chunks(batch) {
                ends.see(&Tensor::from_slice(numbers), keep).unwrap();
            }
            ends.range()
        };
        for batch in [1000, 100, 3] {
            assert_eq!(of(batch, 1), Range { min: 0.0, max: 999.0 });
            assert_eq!(of(batch, 6), Range { min: 5.0, max: 994.0 });
        }
    }
}
