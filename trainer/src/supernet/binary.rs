//! Gradients of binary gates: one path of each slot is open, and how the loss would change with each other one is
//! the product of what that path gives and the gradient where it would come in.
//!
//! Memory and backward pass are those of the open path alone; the other paths run forward, one after the other.

use ::search::space::Choices;
use tch::{Reduction, TchError, Tensor, no_grad};

use super::Supernet;
use super::elastic::Cut;
use super::places::{Place, Scale, block_slot, depth_slot};
use super::sandwich::Batch;
use crate::model::TRAINING;

/// A step's draw: in each slot the options whose gates are asked about, the open one among them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draw {
    /// An option for every slot, also where it has no effect: a deeper stage would have it.
    pub(super) open: Choices,
    pub(super) sampled: Vec<Vec<usize>>,
}

/// Of each slot, the gradients of its sampled gates; and the loss.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gradients {
    pub(super) loss: f64,
    /// Empty for a slot without effect.
    pub(super) gates: Vec<Vec<(usize, f64)>>,
}

/// The open path as it ran.
struct Trace {
    stages: Vec<Stage>,
    scores: Tensor,
}

struct Stage {
    /// What each block got and gave.
    blocks: Vec<(Tensor, Tensor)>,
}

pub(super) fn gradients(supernet: &Supernet, draw: &Draw, batch: &Batch) -> Result<Gradients, TchError> {
    let walk = Walk {
        supernet,
        draw,
        batch,
    };
    let open = |slot: usize| draw.open.0.get(slot).map_or(0, |option| usize::from(*option));
    let scale = walk.scale(open(0), open(1))?;
    let trace = walk.run(scale)?;
    let loss =
        trace
            .scores
            .f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?;
    let outputs = trace
        .stages
        .iter()
        .flat_map(|stage| stage.blocks.iter().map(|(_, output)| output));
    let watched: Vec<&Tensor> = outputs.chain([&trace.scores]).collect();
    let mut found = Tensor::f_run_backward(&[&loss], &watched, false, false)?.into_iter();
    let mut gates = vec![Vec::new(); draw.sampled.len()];
    no_grad(|| -> Result<(), TchError> {
        for (stage, Stage { blocks }) in trace.stages.iter().enumerate() {
            let mut at_end = None;
            for (place, (input, output)) in blocks.iter().enumerate() {
                let gradient = found.next().ok_or_else(cut_short)?;
                let slot = block_slot(supernet.space(), stage, place);
                gates[slot] = walk.of_slot(slot, &gradient, |option| {
                    if option == open(slot) {
                        return Ok(output.shallow_clone());
                    }
                    walk.block(scale, stage, place, option, input)
                })?;
                at_end = Some(gradient);
            }
            let slot = depth_slot(supernet.space(), stage);
            let gradient = at_end.ok_or_else(cut_short)?;
            gates[slot] = walk.of_slot(slot, &gradient, |option| {
                walk.at_depth(scale, stage, blocks, option)
            })?;
        }
        let gradient = found.next().ok_or_else(cut_short)?;
        // The whole network is one path of its resolution and of its width.
        for slot in [0, 1] {
            gates[slot] = walk.of_slot(slot, &gradient, |option| {
                if option == open(slot) {
                    return Ok(trace.scores.shallow_clone());
                }
                let (resolution, width) = if slot == 0 {
                    (option, open(1))
                } else {
                    (open(0), option)
                };
                Ok(walk.run(walk.scale(resolution, width)?)?.scores)
            })?;
        }
        Ok(())
    })?;
    Ok(Gradients {
        loss: loss.f_double_value(&[])?,
        gates,
    })
}

struct Walk<'a> {
    supernet: &'a Supernet,
    draw: &'a Draw,
    batch: &'a Batch,
}

impl Walk<'_> {
    fn scale(&self, resolution: usize, width: usize) -> Result<&Scale, TchError> {
        let widths = self
            .supernet
            .space()
            .slots()
            .get(1)
            .map_or(1, |slot| slot.options);
        self.supernet
            .scales
            .get(resolution * widths + width)
            .ok_or_else(cut_short)
    }

    fn depth(&self, option: usize) -> usize {
        self.supernet
            .space()
            .depths()
            .get(option)
            .map_or(0, |depth| *depth as usize)
    }

    fn open(&self, slot: usize) -> usize {
        self.draw
            .open
            .0
            .get(slot)
            .map_or(0, |option| usize::from(*option))
    }

    /// The open path at a scale. Weights are frozen: the gradient goes through what blocks give.
    fn run(&self, scale: &Scale) -> Result<Trace, TchError> {
        let space = self.supernet.space();
        let run = |key, place, input: &Tensor| {
            self.supernet
                .block(key, place, 0, Cut::Frozen)?
                .0
                .forward(input, TRAINING)
        };
        let stem = no_grad(|| run(&scale.stem, Place::Stem, self.batch.at(scale.resolution)?))?;
        // Where the gradient ends.
        let mut value = stem.f_detach()?.f_set_requires_grad(true)?;
        let mut stages = Vec::with_capacity(scale.stages.len());
        for stage in 0..scale.stages.len() {
            let mut blocks = Vec::new();
            for place in 0..self.depth(self.open(depth_slot(space, stage))) {
                let option = self.open(block_slot(space, stage, place));
                let output = self.block(scale, stage, place, option, &value)?;
                blocks.push((value, output.shallow_clone()));
                value = output;
            }
            stages.push(Stage { blocks });
        }
        let scores = run(&scale.head, Place::Head, &value)?;
        Ok(Trace { stages, scores })
    }

    fn block(
        &self,
        scale: &Scale,
        stage: usize,
        place: usize,
        option: usize,
        input: &Tensor,
    ) -> Result<Tensor, TchError> {
        let key = scale.options(stage, place).get(option).ok_or_else(cut_short)?;
        let block = self
            .supernet
            .block(key, Place::Block { stage, place }, 0, Cut::Frozen)?
            .0;
        block.forward(input, TRAINING)
    }

    /// What a stage would give at this depth.
    fn at_depth(
        &self,
        scale: &Scale,
        stage: usize,
        blocks: &[(Tensor, Tensor)],
        option: usize,
    ) -> Result<Tensor, TchError> {
        let depth = self.depth(option);
        let ran = blocks
            .get(..depth)
            .unwrap_or(blocks)
            .last()
            .ok_or_else(cut_short)?;
        let mut value = ran.1.shallow_clone();
        for place in blocks.len()..depth {
            let option = self.open(block_slot(self.supernet.space(), stage, place));
            value = self.block(scale, stage, place, option, &value)?;
        }
        Ok(value)
    }

    /// The gradients of a slot's sampled gates from the gradient where its paths come together.
    fn of_slot(
        &self,
        slot: usize,
        gradient: &Tensor,
        path: impl Fn(usize) -> Result<Tensor, TchError>,
    ) -> Result<Vec<(usize, f64)>, TchError> {
        let sampled = self.draw.sampled.get(slot).map_or(&[][..], Vec::as_slice);
        let one = |option: &usize| {
            let product = path(*option)?.f_mul(gradient)?.f_sum(tch::Kind::Double)?;
            Ok((*option, product.f_double_value(&[])?))
        };
        // Nothing to choose, nothing to compute.
        let sampled = if sampled.len() > 1 { sampled } else { &[] };
        sampled.iter().map(one).collect()
    }
}

fn cut_short() -> TchError {
    TchError::Shape("the draw is not of this space".to_owned())
}
