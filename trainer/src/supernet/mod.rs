//! One network that holds every network of a search space: their weights are parts of its own.
//!
//! Owns the shared weights, how they are trained (largest, smallest and two random networks a step, the largest
//! teaching the others), how single networks are taken out and judged, and the strategies that search by gradient.
//! Search spaces, gates and latency are `search`'s.

mod binary;
mod bounds;
mod choose;
mod command;
mod correlation;
mod elastic;
mod found;
mod gates;
pub mod job;
mod judge;
mod mixture;
mod places;
mod progress;
mod sandwich;
mod search;

use std::collections::BTreeMap;

use ::search::space::{Architecture, BlockKey, Choices, Space};
use tch::TchError;

use crate::model::source::Fresh;
use crate::model::{Block, Named, Net, Role};
use elastic::{Cut, Family, Slices};
use places::{Place, Scale};

pub use bounds::Infeasible;
pub use command::supernet;
pub use correlation::{Compared, spearman};
pub use found::{Candidate, Found, Ranking};
pub use progress::{Progress, Retrained};
pub use search::{Outcome, SupernetError, Task, run};

/// The shared weights of a space.
#[derive(Debug)]
pub struct Supernet {
    space: Space,
    scales: Vec<Scale>,
    /// Kernel sizes of the space, largest first.
    kernels: Vec<u32>,
    tensors: Vec<Named>,
    /// Where each tensor stands, by name.
    index: BTreeMap<String, usize>,
}

impl Supernet {
    /// Fresh weights; the same seed gives the same ones.
    pub fn new(space: &Space, seed: u64) -> Result<Self, TchError> {
        let scales = places::scales(space);
        let families = places::families(space, &scales);
        let blocks = families
            .iter()
            .filter(|((place, _), _)| matches!(place, Place::Block { .. }));
        let mut kernels: Vec<u32> = blocks
            .flat_map(|(_, keys)| keys.iter().map(|key| key.kernel))
            .collect();
        kernels.sort_unstable_by(|a, b| b.cmp(a));
        kernels.dedup();
        let mut fresh = Fresh::new(seed);
        let mut transforms = Vec::new();
        for ((place, family), keys) in &families {
            let Some(widest) = elastic::widest(keys) else {
                continue;
            };
            fresh.prefix = family.prefix(*place);
            Block::new(&widest, &mut fresh)?;
            let weight = format!("{}.depthwise.weight", fresh.prefix);
            let smaller =
                |kernel: &&u32| keys.iter().any(|key| key.kernel <= **kernel) && **kernel < widest.kernel;
            if matches!(place, Place::Block { .. }) {
                for kernel in kernels.iter().filter(smaller) {
                    transforms.push(elastic::transform(
                        elastic::transform_name(&weight, *kernel),
                        *kernel,
                    )?);
                }
            }
        }
        let mut tensors = fresh.tensors;
        // Each network that is taken out has statistics of its own.
        tensors.retain(|named| named.role != Role::Running);
        tensors.extend(transforms);
        let index = tensors
            .iter()
            .enumerate()
            .map(|(at, named)| (named.name.clone(), at))
            .collect();
        Ok(Self {
            space: space.clone(),
            scales,
            kernels,
            tensors,
            index,
        })
    }

    pub fn space(&self) -> &Space {
        &self.space
    }

    pub fn tensors(&self) -> &[Named] {
        &self.tensors
    }

    pub fn tensors_mut(&mut self) -> &mut [Named] {
        &mut self.tensors
    }

    /// A network of the space as a part of this one: what it learns, this one learns. Its statistics are fresh.
    pub fn part(&self, choices: &Choices) -> Result<Net, TchError> {
        self.cut(choices, Cut::Linked)
    }

    /// A network of the space with weights of its own, those it has here.
    pub fn extract(&self, choices: &Choices) -> Result<Net, TchError> {
        self.cut(choices, Cut::Copied)
    }

    pub fn decode(&self, choices: &Choices) -> Result<Architecture, TchError> {
        let decoded = self.space.decode(choices);
        decoded.map_err(|error| TchError::Shape(error.to_string()))
    }

    fn cut(&self, choices: &Choices, cut: Cut) -> Result<Net, TchError> {
        let architecture = self.decode(choices)?;
        let keys = architecture.blocks();
        let (mut blocks, mut tensors) = (Vec::new(), Vec::new());
        for (index, (key, place)) in keys.iter().zip(places::filled(&self.space, choices)).enumerate() {
            let (block, found) = self.block(key, place, index, cut)?;
            blocks.push(block);
            tensors.extend(found);
        }
        Ok(Net::of(architecture, blocks, tensors))
    }

    /// A block at a place, and its tensors named as those of block `index` of a network.
    fn block(
        &self,
        key: &BlockKey,
        place: Place,
        index: usize,
        cut: Cut,
    ) -> Result<(Block, Vec<Named>), TchError> {
        let mut slices = Slices {
            tensors: &self.tensors,
            index: &self.index,
            kernels: &self.kernels,
            cut,
            prefix: Family::of(key).prefix(place),
            block: index,
            found: Vec::new(),
        };
        let block = Block::new(key, &mut slices)?;
        Ok((block, slices.found))
    }
}

#[cfg(test)]
mod tests;
