//! Two files on the same images, in the runtime that devices use.

use std::sync::Arc;

use pipeline::backend::ort::OrtBackend;
use pipeline::backend::{Backend as _, BackendError, Model, Session};
use pipeline::tensor::{Tensor, TensorData, TensorError};

use crate::data::Images;
use crate::quantize::Report;

/// The label that a file gives each image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scores(Vec<usize>);

/// How much worse a file of 8 bits may be, as shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gates {
    pub most_lost: f64,
    pub least_agreement: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error(transparent)]
    Runtime(#[from] BackendError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error("the file gives no scores")]
    NoScores,
}

/// One file in the runtime.
pub(crate) struct Runner {
    session: Box<dyn Session>,
    outputs: Vec<Tensor>,
}

impl Runner {
    pub(crate) fn new(file: &export::OnnxFile) -> Result<Self, JudgeError> {
        let model = Model {
            name: file.sha256.clone(),
            bytes: Arc::from(file.bytes.as_slice()),
            threads: 1,
        };
        Ok(Self {
            session: OrtBackend::new(None)?.load(&model)?,
            outputs: Vec::new(),
        })
    }

    pub(crate) fn scores(&mut self, shape: &[usize], pixels: Vec<f32>) -> Result<&[f32], JudgeError> {
        let tensor = Tensor::new(shape.to_vec(), TensorData::F32(pixels))?;
        self.session.run(&[&tensor], &mut self.outputs)?;
        match self.outputs.first().map(Tensor::data) {
            Some(TensorData::F32(scores)) => Ok(scores),
            _ => Err(JudgeError::NoScores),
        }
    }
}

/// Labels all images of a set.
pub fn scores(file: &export::OnnxFile, images: &Images) -> Result<Scores, JudgeError> {
    let mut runner = Runner::new(file)?;
    let Images {
        height,
        width,
        channels,
        ..
    } = *images;
    let mut labels = Vec::with_capacity(images.len());
    for image in images.pixels.chunks_exact(height * width * channels) {
        let plane = |channel: usize| image.iter().skip(channel).step_by(channels);
        let pixels = (0..channels)
            .flat_map(plane)
            .map(|pixel| f32::from(*pixel) / 255.0);
        let scores = runner.scores(&[1, channels, height, width], pixels.collect())?;
        labels.push(label(scores).ok_or(JudgeError::NoScores)?);
    }
    Ok(Scores(labels))
}

pub(crate) fn label(scores: &[f32]) -> Option<usize> {
    let place = |(place, _): (usize, &f32)| place;
    let best = scores
        .iter()
        .enumerate()
        .max_by(|one, other| one.1.total_cmp(other.1));
    best.map(place)
}

impl Scores {
    pub fn accuracy(&self, images: &Images) -> f64 {
        let pairs = self.0.iter().zip(&images.labels);
        share(
            pairs
                .filter(|(found, label)| **found == usize::from(**label))
                .count(),
            self.0.len(),
        )
    }
}

/// Share of images with the same label.
pub fn agreement(one: &Scores, other: &Scores) -> f64 {
    let pairs = one.0.iter().zip(&other.0);
    share(pairs.filter(|(one, other)| one == other).count(), one.0.len())
}

fn share(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}

impl Gates {
    /// Says what is not good enough, and what may help.
    pub fn check(&self, report: &Report) -> Result<(), String> {
        let lost = report.accuracy_float - report.accuracy;
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let problem = if lost > self.most_lost {
            format!(
                "{} of accuracy are lost, {} are allowed",
                percent(lost),
                percent(self.most_lost)
            )
        } else if report.agreement < self.least_agreement {
            format!(
                "{} of the labels are those of the float file, {} are wanted",
                percent(report.agreement),
                percent(self.least_agreement)
            )
        } else {
            return Ok(());
        };
        Err(format!(
            "{problem}; nothing is written. More --images or another --percentile may help, or a network with ReLU6 in \
             place of h-swish and without squeeze-and-excite"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_refused_for_what_it_lost_or_for_other_labels() {
        let gates = Gates {
            most_lost: 0.01,
            least_agreement: 0.97,
        };
        let check = |accuracy: f64, agreement: f64| {
            let report = Report {
                images: 100,
                accuracy_float: 0.9,
                accuracy,
                agreement,
                bytes_float: 4,
                bytes: 1,
                sha256: String::new(),
            };
            gates
                .check(&report)
                .map_err(|problem| problem.split(';').next().unwrap_or_default().to_owned())
        };
        assert_eq!(check(0.895, 0.98), Ok(()));
        assert_eq!(
            check(0.88, 0.98).unwrap_err(),
            "2.00 % of accuracy are lost, 1.00 % are allowed"
        );
        assert_eq!(
            check(0.9, 0.95).unwrap_err(),
            "95.00 % of the labels are those of the float file, 97.00 % are wanted"
        );
    }
}
