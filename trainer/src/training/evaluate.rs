use serde::Serialize;
use tch::{TchError, no_grad};

use crate::data::{Images, whole};
use crate::model::Net;

const BATCH: usize = 250;

/// How many images are labelled right.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    pub images: usize,
    pub accuracy: f64,
    /// 0 for a class without images.
    pub per_class_accuracy: Vec<f64>,
}

/// Labels these images of a set; `go_on` is asked before each batch, `None` when it says no.
pub fn evaluate(
    net: &Net,
    images: &Images,
    indices: &[usize],
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<Evaluation>, TchError> {
    let classes = net.architecture().classes() as usize;
    let (mut right, mut all) = (vec![0_usize; classes], vec![0_usize; classes]);
    for indices in indices.chunks(BATCH) {
        if !go_on() {
            return Ok(None);
        }
        let (pixels, _) = whole(images, indices)?;
        let scores = no_grad(|| net.forward(&pixels, false))?;
        let found = Vec::<i64>::try_from(scores.f_argmax(1, false)?)?;
        for (index, found) in indices.iter().zip(found) {
            let label = usize::from(images.labels[*index]);
            all[label] += 1;
            right[label] += usize::from(found == label as i64);
        }
    }
    let share = |right: usize, all: usize| right as f64 / all.max(1) as f64;
    Ok(Some(Evaluation {
        images: indices.len(),
        accuracy: share(right.iter().sum(), all.iter().sum()),
        per_class_accuracy: right
            .iter()
            .zip(&all)
            .map(|(right, all)| share(*right, *all))
            .collect(),
    }))
}
