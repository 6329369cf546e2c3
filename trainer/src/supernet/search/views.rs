//! Batches of a search.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

use super::Task;
use crate::data::{Augmentation, Batches, Dataset};
use crate::supernet::sandwich::Batch;

/// The same batches at every resolution.
pub(super) struct Views<'a>(BTreeMap<u32, Batches<'a>>);

impl<'a> Views<'a> {
    pub(super) fn new(task: &Task<'a>, indices: &[usize], augmentation: Augmentation, epoch: u32) -> Self {
        let view = |(resolution, data): (&u32, &'a Dataset)| {
            let seed = (task.seed, epoch);
            let batches = Batches::new(&data.train, indices, task.recipe.batch, augmentation, seed);
            (*resolution, batches)
        };
        Self(task.data.iter().map(view).collect())
    }

    pub(super) fn count(&self) -> usize {
        self.0.values().next().map_or(1, Batches::count)
    }

    pub(super) fn get(&self, index: usize) -> Result<Batch, TchError> {
        let mut batch = Batch {
            pixels: BTreeMap::new(),
            labels: Tensor::f_from_slice::<i64>(&[])?,
        };
        for (resolution, batches) in &self.0 {
            let (pixels, labels) = batches.get(index)?;
            batch.pixels.insert(*resolution, pixels);
            batch.labels = labels;
        }
        Ok(batch)
    }
}
