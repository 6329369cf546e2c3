//! A trained network as a file of 8-bit numbers, and whether it is still good enough.

mod calibrate;
mod judge;

use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use crate::args::QuantizeArgs;
use crate::data::{DataError, Dataset};
use crate::evaluate::restore;
use crate::exit::Exit;
use crate::local::{print, write};

pub use calibrate::{Percentile, ranges};
pub use judge::{Gates, Scores, agreement};
#[cfg(test)]
pub(crate) use judge::{Runner, label};

/// What became of a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub images: usize,
    /// Of the file of floats, under ONNX Runtime as the other.
    pub accuracy_float: f64,
    pub accuracy: f64,
    /// Share of images that both give the same label.
    pub agreement: f64,
    pub bytes_float: usize,
    pub bytes: usize,
    pub sha256: String,
}

/// Writes the file and prints one line of JSON; a file that fails a gate is not written.
pub fn run(args: &QuantizeArgs) -> Result<(), Exit> {
    let QuantizeArgs {
        checkpoint,
        data,
        out,
        images,
        percentile,
        most_lost,
        least_agreement,
    } = args;
    let gates = Gates {
        most_lost: *most_lost / 100.0,
        least_agreement: *least_agreement / 100.0,
    };
    let (file, report) = quantize(checkpoint, data, *images as usize, Percentile(*percentile))?;
    let line = serde_json::to_string(&report)
        .context("report")
        .map_err(Exit::Temporary)?;
    print(&line)?;
    gates
        .check(&report)
        .map_err(|problem| Exit::BadInput(anyhow!(problem)))?;
    write(out, &file.bytes)?;
    tracing::info!("sha256:{} in {}", file.sha256, out.display());
    Ok(())
}

fn quantize(
    checkpoint: &Path,
    data: &str,
    images: usize,
    percentile: Percentile,
) -> Result<(export::OnnxFile, Report), Exit> {
    let net = restore(checkpoint)?;
    let architecture = net.architecture().clone();
    let data = Dataset::load(data)
        .and_then(|data| {
            data.fitted(
                architecture.resolution,
                architecture.channels,
                architecture.classes(),
            )
        })
        .map_err(|error: DataError| Exit::BadInput(error.into()))?;
    let torch = |error: tch::TchError| Exit::Temporary(anyhow!(error).context("libtorch"));
    tracing::info!("looking at the values of {} images", images.min(data.train.len()));
    let seen = ranges(&net, &data.train, images, percentile).map_err(torch)?;
    let weights = net.weights().map_err(torch)?;
    let bad = |error: export::ExportError| Exit::BadInput(anyhow!(error).context("export"));
    let float = export::trained_net(&architecture, &weights).map_err(bad)?;
    let file = export::quantized_net(&architecture, &weights, &seen).map_err(bad)?;
    tracing::info!("labelling {} images with both files", data.test.len());
    let scores = |file: &export::OnnxFile| {
        judge::scores(file, &data.test)
            .context("ONNX Runtime")
            .map_err(Exit::Temporary)
    };
    let (of_float, of_whole) = (scores(&float)?, scores(&file)?);
    let report = Report {
        images: data.test.len(),
        accuracy_float: of_float.accuracy(&data.test),
        accuracy: of_whole.accuracy(&data.test),
        agreement: agreement(&of_float, &of_whole),
        bytes_float: float.bytes.len(),
        bytes: file.bytes.len(),
        sha256: file.sha256.clone(),
    };
    Ok((file, report))
}

#[cfg(test)]
mod tests;
