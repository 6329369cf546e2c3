//! Search spaces: which architectures there are, what they are made of, what they cost.

mod activation;
mod architecture;
mod check;
mod config;
mod cost;
mod extremes;
mod key;
mod layer;
mod preset;
mod slot;

use std::collections::BTreeSet;

use rand::Rng;

pub use activation::Activation;
pub use architecture::{Architecture, ArchitectureError};
pub use check::SpaceError;
pub use config::{
    BlockChoice, HeadConfig, HeadStyle, MobileBlocksConfig, Preset, SearchSpaceConfig, StageConfig,
    StemConfig,
};
pub use cost::Cost;
pub use key::{BlockKey, BlockKeyError, BlockKind};
pub use layer::{Convolution, Layer};
pub use slot::{Choices, Slot, SlotKind};

use architecture::Part;
use check::{check, error};
use preset::{Filled, fill};

/// More blocks than this no device could measure in a day.
const MOST_KEYS: usize = 20_000;

/// A checked space.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    filled: Filled,
    /// What one block may be: kind, kernel, expansion, squeeze-and-excite.
    operations: Vec<Operation>,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operation {
    kind: BlockKind,
    kernel: u32,
    expand: u32,
    squeeze_excite: bool,
}

impl Space {
    pub fn from_config(config: &SearchSpaceConfig) -> Result<Self, SpaceError> {
        let SearchSpaceConfig::MobileBlocks(config) = config;
        let filled = fill(config);
        check(&filled)?;
        let operations = operations(&filled);
        let slots = slots(&filled, operations.len());
        let space = Self {
            filled,
            operations,
            slots,
        };
        let keys = space.block_keys().len();
        if keys > MOST_KEYS {
            let message =
                format!("{keys} different blocks would have to be measured: {MOST_KEYS} are allowed");
            return Err(error("widths", message));
        }
        Ok(space)
    }

    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// All different blocks of the space, sorted.
    pub fn block_keys(&self) -> Vec<BlockKey> {
        let mut keys = BTreeSet::new();
        for (resolution, width) in self.scales() {
            let (stem, mut inputs, mut size) = self.stem(resolution, width);
            keys.insert(stem);
            for stage in 0..self.filled.stages.len() {
                let deep = self.filled.depths.iter().any(|d| *d > 1);
                let first: Vec<_> = self.block_options(stage, 0, inputs, size, width).collect();
                keys.extend(first.iter().copied());
                if let Some(block) = first.first() {
                    (inputs, size) = (block.outputs, block.output_resolution());
                }
                if deep {
                    keys.extend(self.block_options(stage, 1, inputs, size, width));
                }
            }
            keys.insert(self.head_key(inputs, size, width));
        }
        keys.into_iter().collect()
    }

    /// The network of a point.
    pub fn decode(&self, choices: &Choices) -> Result<Architecture, SpaceError> {
        let choices = self.canonical(choices)?;
        let mut options = choices.0.iter().map(|option| usize::from(*option));
        let mut next = || options.next().unwrap_or(0);
        let resolution = self.filled.resolutions[next()];
        let width = self.filled.widths[next()];
        let mut parts = vec![self.stem_part(width)];
        for stage in 0..self.filled.stages.len() {
            let depth = self.filled.depths[next()] as usize;
            let mut inputs = parts.last().map_or(self.filled.channels, |part| part.outputs);
            for place in 0..self.most_depth() {
                let operation = self.operations[next()];
                if place < depth {
                    let part = self.part(stage, place, inputs, width, operation);
                    inputs = part.outputs;
                    parts.push(part);
                }
            }
        }
        parts.push(self.head(width));
        Ok(Architecture {
            resolution,
            channels: self.filled.channels,
            parts,
        })
    }

    /// The point of a network, `None` when the space does not have it.
    pub fn encode(&self, architecture: &Architecture) -> Option<Choices> {
        if architecture.channels != self.filled.channels {
            return None;
        }
        let resolution = self
            .filled
            .resolutions
            .iter()
            .position(|r| *r == architecture.resolution)?;
        let [stem, blocks @ .., head] = architecture.parts.as_slice() else {
            return None;
        };
        (0..self.filled.widths.len()).find_map(|index| {
            let width = self.filled.widths[index];
            if *stem != self.stem_part(width) || *head != self.head(width) {
                return None;
            }
            let mut choices = vec![resolution as u8, index as u8];
            self.encode_stages(0, stem.outputs, width, blocks, &mut choices)
                .then_some(Choices(choices))
        })
    }

    /// A point drawn evenly from the options of each slot.
    pub fn sample(&self, rng: &mut impl Rng) -> Choices {
        let draw = self
            .slots
            .iter()
            .map(|slot| rng.random_range(0..slot.options) as u8)
            .collect();
        self.without_idle(Choices(draw))
    }

    /// The same point with 0 in the slots that have no effect; an error for what is no point.
    pub fn canonical(&self, choices: &Choices) -> Result<Choices, SpaceError> {
        let fits = choices.0.len() == self.slots.len()
            && choices
                .0
                .iter()
                .zip(&self.slots)
                .all(|(option, slot)| usize::from(*option) < slot.options);
        if fits {
            Ok(self.without_idle(choices.clone()))
        } else {
            Err(error(
                "",
                format!(
                    "{:?} is no point of this space of {} slots",
                    choices.0,
                    self.slots.len()
                ),
            ))
        }
    }

    fn without_idle(&self, mut choices: Choices) -> Choices {
        for (has_effect, option) in self.effective(&choices).into_iter().zip(&mut choices.0) {
            if !has_effect {
                *option = 0;
            }
        }
        choices
    }

    /// Which slots of a point have an effect: blocks beyond a stage's depth have none.
    pub fn effective(&self, choices: &Choices) -> Vec<bool> {
        let mut depth = 0;
        let mut effective = |(slot, option): (&Slot, &u8)| match slot.kind {
            SlotKind::Depth { .. } => {
                depth = self
                    .filled
                    .depths
                    .get(usize::from(*option))
                    .map_or(0, |d| *d as usize);
                true
            }
            SlotKind::Block { place, .. } => place < depth,
            SlotKind::Resolution | SlotKind::Width => true,
        };
        self.slots.iter().zip(&choices.0).map(&mut effective).collect()
    }

    /// Tries the depths of a stage one after the other: after rounding, neighbouring stages may look alike.
    fn encode_stages(
        &self,
        stage: usize,
        inputs: u32,
        width: f64,
        blocks: &[Part],
        out: &mut Vec<u8>,
    ) -> bool {
        if stage == self.filled.stages.len() {
            return blocks.is_empty();
        }
        let before = out.len();
        for (index, depth) in self.filled.depths.iter().enumerate() {
            let Some((mine, rest)) = blocks.split_at_checked(*depth as usize) else {
                continue;
            };
            let Some(operations) = self.encode_stage(stage, inputs, width, mine) else {
                continue;
            };
            out.push(index as u8);
            out.extend(operations);
            out.resize(before + 1 + self.most_depth(), 0);
            let outputs = mine.last().map_or(inputs, |part| part.outputs);
            if self.encode_stages(stage + 1, outputs, width, rest, out) {
                return true;
            }
            out.truncate(before);
        }
        false
    }

    fn encode_stage(&self, stage: usize, mut inputs: u32, width: f64, blocks: &[Part]) -> Option<Vec<u8>> {
        let encode = |(place, part): (usize, &Part)| {
            let is_it = |operation: &Operation| self.part(stage, place, inputs, width, *operation) == *part;
            let option = self.operations.iter().position(is_it)?;
            inputs = part.outputs;
            Some(option as u8)
        };
        blocks.iter().enumerate().map(encode).collect()
    }

    // What a walk over all blocks of the space needs.

    /// All pairs of resolution and width, in slot order.
    pub fn scales(&self) -> impl Iterator<Item = (u32, f64)> {
        let widths = &self.filled.widths;
        self.filled
            .resolutions
            .iter()
            .flat_map(move |r| widths.iter().map(move |w| (*r, *w)))
    }

    /// The stem with its output channels and resolution.
    pub fn stem(&self, resolution: u32, width: f64) -> (BlockKey, u32, u32) {
        let key = self.stem_part(width).at(self.filled.channels, resolution);
        (key, key.outputs, key.output_resolution())
    }

    /// What the block at this place of a stage may be, in the order of its slot's options.
    pub fn block_options(
        &self,
        stage: usize,
        place: usize,
        inputs: u32,
        resolution: u32,
        width: f64,
    ) -> impl Iterator<Item = BlockKey> {
        self.operations
            .iter()
            .map(move |o| self.part(stage, place, inputs, width, *o).at(inputs, resolution))
    }

    /// The head after a last block with these outputs.
    pub fn head_key(&self, inputs: u32, resolution: u32, width: f64) -> BlockKey {
        self.head(width).at(inputs, resolution)
    }

    /// How many blocks a stage may have, in the order of its slot's options.
    pub fn depths(&self) -> &[u32] {
        &self.filled.depths
    }

    /// How many stages there are.
    pub fn stages(&self) -> usize {
        self.filled.stages.len()
    }

    /// Blocks of the deepest stage: so many block slots each stage has.
    pub fn most_depth(&self) -> usize {
        self.filled.depths.iter().max().map_or(0, |d| *d as usize)
    }

    fn stem_part(&self, width: f64) -> Part {
        let stem = self.filled.stem;
        Part {
            kind: BlockKind::Stem,
            hidden: self.filled.channels,
            outputs: scaled(stem.channels, width),
            kernel: stem.kernel,
            stride: stem.stride,
            squeeze_excite: false,
            activation: self.filled.activation,
        }
    }

    fn part(&self, stage: usize, place: usize, inputs: u32, width: f64, operation: Operation) -> Part {
        let config = self.filled.stages[stage];
        Part {
            kind: operation.kind,
            hidden: inputs * operation.expand,
            outputs: scaled(config.channels, width),
            kernel: operation.kernel,
            stride: if place == 0 { config.stride } else { 1 },
            squeeze_excite: operation.squeeze_excite,
            activation: config.activation.unwrap_or(self.filled.activation),
        }
    }

    fn head(&self, width: f64) -> Part {
        let head = self.filled.head;
        Part {
            kind: match head.style {
                HeadStyle::Convolution => BlockKind::Head,
                HeadStyle::Light => BlockKind::LightHead,
            },
            hidden: scaled(head.channels, width.max(1.0)),
            outputs: self.filled.classes,
            kernel: 1,
            stride: 1,
            squeeze_excite: false,
            activation: self.filled.activation,
        }
    }
}

fn operations(filled: &Filled) -> Vec<Operation> {
    let mut operations = Vec::new();
    for block in &filled.blocks {
        let (kind, expands): (_, &[u32]) = match block {
            BlockChoice::Separable => (BlockKind::Separable, &[1]),
            BlockChoice::InvertedResidual => (BlockKind::InvertedResidual, &filled.expands),
        };
        for kernel in &filled.kernels {
            for expand in expands {
                for squeeze_excite in &filled.squeeze_excite {
                    let (kernel, expand, squeeze_excite) = (*kernel, *expand, *squeeze_excite);
                    operations.push(Operation {
                        kind,
                        kernel,
                        expand,
                        squeeze_excite,
                    });
                }
            }
        }
    }
    operations
}

fn slots(filled: &Filled, operations: usize) -> Vec<Slot> {
    let mut slots = vec![
        Slot {
            kind: SlotKind::Resolution,
            options: filled.resolutions.len(),
        },
        Slot {
            kind: SlotKind::Width,
            options: filled.widths.len(),
        },
    ];
    let most_depth = filled.depths.iter().max().map_or(0, |d| *d as usize);
    for stage in 0..filled.stages.len() {
        slots.push(Slot {
            kind: SlotKind::Depth { stage },
            options: filled.depths.len(),
        });
        let block = |place| Slot {
            kind: SlotKind::Block { stage, place },
            options: operations,
        };
        slots.extend((0..most_depth).map(block));
    }
    slots
}

/// Channels at a width: a multiple of 8, at least 8, never more than a tenth below the exact value.
fn scaled(channels: u32, width: f64) -> u32 {
    let exact = f64::from(channels) * width;
    let near = ((exact / 8.0).round() * 8.0).max(8.0);
    let kept = if near < 0.9 * exact { near + 8.0 } else { near };
    kept as u32
}

/// Serde by the text form.
macro_rules! as_text {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use as_text;

#[cfg(test)]
mod tests;
