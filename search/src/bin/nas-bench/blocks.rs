//! Latency of whole networks from a table of measured blocks: their sum, calibrated on measured networks.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use search::latency::linear::{Line, fit};
use serde::Deserialize;

/// A file as measured: `cinA_coutB_sC_hwD_opE` per block, whole networks by their text, all in milliseconds.
#[derive(Debug, Deserialize)]
struct Measured {
    #[serde(rename = "block_ms")]
    blocks: BTreeMap<String, f64>,
    #[serde(rename = "stem_plus_head_ms", default)]
    stem_and_head: f64,
    #[serde(rename = "session_overhead_ms", default)]
    overhead: f64,
    #[serde(rename = "end_to_end_ms", default)]
    nets: BTreeMap<String, f64>,
}

/// Where a block stands; ordered as the blocks of a network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    outputs: u32,
    /// The block that changes the channels comes first.
    repeats: bool,
    inputs: u32,
    stride: u32,
    resolution: u32,
}

pub(crate) fn latency(path: &Path, texts: &[&str]) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("open {}", path.display()))?;
    let measured: Measured =
        serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
    let mut blocks: BTreeMap<Place, BTreeMap<String, f64>> = BTreeMap::new();
    for (key, ms) in &measured.blocks {
        let (place, op) = place(key).with_context(|| {
            format!(
                "{}: block {key:?} is not named like cin32_cout64_s2_hw32_op0",
                path.display()
            )
        })?;
        blocks.entry(place).or_default().insert(op.to_owned(), *ms);
    }
    let slots = texts.first().map_or(0, |text| text.chars().count());
    // The file does not say how often a stage repeats its block: the depths that explain the whole networks
    // best are the ones.
    let mut best: Option<(f64, Vec<f64>)> = None;
    for layers in layouts(&blocks.keys().copied().collect::<Vec<_>>(), slots) {
        let sum = |text: &str| -> Option<f64> {
            let ops = text.chars().zip(&layers);
            let blocks: Option<Vec<f64>> = ops
                .map(|(op, place)| blocks.get(place)?.get(&op.to_string()).copied())
                .collect();
            Some(blocks?.iter().sum::<f64>() + measured.stem_and_head + measured.overhead)
        };
        let sums: Option<Vec<f64>> = texts.iter().map(|text| sum(text)).collect();
        let Some(sums) = sums else { continue };
        let pairs: Vec<(f64, f64)> = measured
            .nets
            .iter()
            .filter_map(|(text, ms)| Some((sum(text)?, *ms)))
            .collect();
        let line = if pairs.len() < 2 {
            Line::IDENTITY
        } else {
            fit(&pairs)
        };
        let error = pairs
            .iter()
            .map(|(sum, ms)| (line.at(*sum) / ms - 1.0).abs())
            .sum::<f64>();
        if best.as_ref().is_none_or(|(least, _)| error < *least) {
            best = Some((error, sums.into_iter().map(|sum| line.at(sum)).collect()));
        }
    }
    match best {
        Some((_, latency)) => Ok(latency),
        None => bail!(
            "{}: its blocks do not make up networks of {slots} slots with the table's operations",
            path.display()
        ),
    }
}

fn place(key: &str) -> Option<(Place, &str)> {
    let rest = key.strip_prefix("cin")?;
    let (inputs, rest) = rest.split_once("_cout")?;
    let (outputs, rest) = rest.split_once("_s")?;
    let (stride, rest) = rest.split_once("_hw")?;
    let (resolution, op) = rest.split_once("_op")?;
    let (inputs, outputs) = (inputs.parse().ok()?, outputs.parse().ok()?);
    let place = Place {
        outputs,
        repeats: inputs == outputs,
        inputs,
        stride: stride.parse().ok()?,
        resolution: resolution.parse().ok()?,
    };
    Some((place, op))
}

/// Every way to fill the slots: each stage's first block, then its repeated one.
fn layouts(places: &[Place], slots: usize) -> Vec<Vec<Place>> {
    let stages: Vec<&[Place]> = places.chunk_by(|a, b| a.outputs == b.outputs).collect();
    let mut found = vec![Vec::new()];
    for (index, stage) in stages.iter().enumerate() {
        let after = stages.len() - index - 1;
        let mut next = Vec::new();
        for layers in &found {
            let room = slots.saturating_sub(layers.len() + after);
            for depth in 1..=room {
                let mut longer: Vec<Place> = layers.clone();
                let block = |place: usize| stage.get(place).or(stage.last()).copied();
                longer.extend((0..depth).filter_map(block));
                next.push(longer);
            }
        }
        found = next;
    }
    found.retain(|layers| layers.len() == slots);
    found
}
