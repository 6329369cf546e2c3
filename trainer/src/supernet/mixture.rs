//! All networks of a space at once: every option counts by its mask. What Gumbel-softmax gates are trained with.
//!
//! At a block's place the outputs of its options are added up, at a stage's end those of its depths, and at the
//! network's end the scores of its widths and resolutions. With one mask of a slot at 1 and the others at 0 it is
//! the network of those options.

use std::collections::BTreeMap;

use tch::{TchError, Tensor};

use super::Supernet;
use super::elastic::Cut;
use super::places::{Place, Scale, block_slot, depth_slot};
use super::sandwich::Batch;
use crate::model::TRAINING;

/// Scores of a batch; `masks` holds a vector for each slot.
pub(super) fn scores(
    supernet: &Supernet,
    masks: &[Tensor],
    cut: Cut,
    batch: &Batch,
) -> Result<Tensor, TchError> {
    let widths = supernet.space().slots().get(1).map_or(1, |slot| slot.options);
    let mut sum: Option<Tensor> = None;
    for (index, scale) in supernet.scales.iter().enumerate() {
        let resolution = weight(masks, 0, index / widths)?;
        let counted = resolution.f_mul(&weight(masks, 1, index % widths)?)?;
        let mixed = of_scale(supernet, scale, masks, cut, batch.at(scale.resolution)?)?;
        add(&mut sum, mixed.f_mul(&counted)?)?;
    }
    sum.ok_or_else(nothing)
}

fn of_scale(
    supernet: &Supernet,
    scale: &Scale,
    masks: &[Tensor],
    cut: Cut,
    pixels: &Tensor,
) -> Result<Tensor, TchError> {
    let space = supernet.space();
    let run = |key, place, input: &Tensor| supernet.block(key, place, 0, cut)?.0.forward(input, TRAINING);
    let deepest = space.most_depth();
    let options: BTreeMap<usize, usize> = (0..)
        .zip(space.depths())
        .map(|(option, depth)| (*depth as usize, option))
        .collect();
    let mut value = run(&scale.stem, Place::Stem, pixels)?;
    for stage in 0..scale.stages.len() {
        let mut of_stage = None;
        for place in 0..deepest {
            let at = Place::Block { stage, place };
            let mut mixed = None;
            for (option, key) in scale.options(stage, place).iter().enumerate() {
                let counted = weight(masks, block_slot(space, stage, place), option)?;
                add(&mut mixed, run(key, at, &value)?.f_mul(&counted)?)?;
            }
            value = mixed.ok_or_else(nothing)?;
            if let Some(option) = options.get(&(place + 1)) {
                let counted = weight(masks, depth_slot(space, stage), *option)?;
                add(&mut of_stage, value.f_mul(&counted)?)?;
            }
        }
        value = of_stage.ok_or_else(nothing)?;
    }
    run(&scale.head, Place::Head, &value)
}

fn weight(masks: &[Tensor], slot: usize, option: usize) -> Result<Tensor, TchError> {
    masks.get(slot).ok_or_else(nothing)?.f_select(0, option as i64)
}

fn add(sum: &mut Option<Tensor>, term: Tensor) -> Result<(), TchError> {
    *sum = Some(match sum.take() {
        Some(before) => before.f_add(&term)?,
        None => term,
    });
    Ok(())
}

fn nothing() -> TchError {
    TchError::Shape("a slot without options".to_owned())
}
