//! How good a network of the supernet is without training it: taken out, its statistics found anew, then judged.

use ::search::space::Choices;
use tch::TchError;

use super::Supernet;
use crate::data::{Dataset, whole};
use crate::training::evaluate;

/// Images in a batch by which statistics are found, and such batches. Without them ranks are noise: a network's
/// statistics are not those of the networks that were trained.
const BATCH: usize = 256;
const BATCHES: usize = 4;

/// Share of held-out images that a network labels right; `None` when `go_on` says no.
pub(super) fn judge(
    supernet: &Supernet,
    choices: &Choices,
    data: &Dataset,
    (learned, held_out): (&[usize], &[usize]),
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<f64>, TchError> {
    let mut net = supernet.extract(choices)?;
    let batches = learned.chunks(BATCH).take(BATCHES);
    let pixels = batches.map(|indices| Ok(whole(&data.train, indices)?.0));
    net.find_statistics(pixels)?;
    let found = evaluate(&net, &data.train, held_out, go_on)?;
    Ok(found.map(|found| found.accuracy))
}
