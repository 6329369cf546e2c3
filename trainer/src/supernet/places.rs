//! Where the blocks of a space stand, and what each may be: the plan of a supernet.

use std::collections::BTreeMap;

use search::space::{BlockKey, Choices, SlotKind, Space};

use super::elastic::Family;

/// A place that networks of the space fill, or leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Stem,
    Block { stage: usize, place: usize },
    Head,
}

/// All blocks of a network with these choices, in order.
pub(super) fn filled(space: &Space, choices: &Choices) -> Vec<Place> {
    let mut places = vec![Place::Stem];
    for (stage, depth) in depths(space, choices).into_iter().enumerate() {
        places.extend((0..depth).map(|place| Place::Block { stage, place }));
    }
    places.push(Place::Head);
    places
}

/// How deep each stage is.
pub(super) fn depths(space: &Space, choices: &Choices) -> Vec<usize> {
    let slots = space.slots().iter().zip(&choices.0);
    let depth = |option: &u8| {
        space
            .depths()
            .get(usize::from(*option))
            .map_or(0, |d| *d as usize)
    };
    slots
        .filter(|(slot, _)| matches!(slot.kind, SlotKind::Depth { .. }))
        .map(|(_, option)| depth(option))
        .collect()
}

/// The slot of a stage's depth; those of its blocks follow.
pub(super) fn depth_slot(space: &Space, stage: usize) -> usize {
    2 + stage * (1 + space.most_depth())
}

/// The slot of a block.
pub(super) fn block_slot(space: &Space, stage: usize, place: usize) -> usize {
    depth_slot(space, stage) + 1 + place
}

/// The blocks of one resolution and width.
#[derive(Debug)]
pub(super) struct Scale {
    pub(super) resolution: u32,
    pub(super) stem: BlockKey,
    /// By stage: what its first block may be, and each other one.
    pub(super) stages: Vec<[Vec<BlockKey>; 2]>,
    pub(super) head: BlockKey,
}

impl Scale {
    pub(super) fn options(&self, stage: usize, place: usize) -> &[BlockKey] {
        &self.stages[stage][usize::from(place > 0)]
    }
}

/// All scales in the order of the space: resolution by resolution, each width.
pub(super) fn scales(space: &Space) -> Vec<Scale> {
    let scale = |(resolution, width): (u32, f64)| {
        let (stem, mut inputs, mut size) = space.stem(resolution, width);
        let mut stages = Vec::with_capacity(space.stages());
        for stage in 0..space.stages() {
            let first: Vec<BlockKey> = space.block_options(stage, 0, inputs, size, width).collect();
            if let Some(block) = first.first() {
                (inputs, size) = (block.outputs, block.output_resolution());
            }
            let others = space.block_options(stage, 1, inputs, size, width);
            stages.push([first, others.collect()]);
        }
        let head = space.head_key(inputs, size, width);
        Scale {
            resolution,
            stem,
            stages,
            head,
        }
    };
    space.scales().map(scale).collect()
}

/// Every block that may stand at each place, by what shares weights.
pub(super) fn families(space: &Space, scales: &[Scale]) -> BTreeMap<(Place, Family), Vec<BlockKey>> {
    let mut families: BTreeMap<_, Vec<BlockKey>> = BTreeMap::new();
    let mut enter =
        |place: Place, key: &BlockKey| families.entry((place, Family::of(key))).or_default().push(*key);
    for scale in scales {
        enter(Place::Stem, &scale.stem);
        enter(Place::Head, &scale.head);
        for stage in 0..scale.stages.len() {
            for place in 0..space.most_depth() {
                for key in scale.options(stage, place) {
                    enter(Place::Block { stage, place }, key);
                }
            }
        }
    }
    families
}
