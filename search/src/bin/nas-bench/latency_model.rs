//! How well a device's latencies are foretold from the other devices' and a few of its own.

use anyhow::{Result, bail};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use search::latency::transfer::{Sources, rank_correlation};
use serde::Serialize;

use super::args::Args;
use super::question::devices;
use super::report::mean_and_sd;
use super::table::{Device, Table};
use super::workers;

/// A prediction this near to the truth is a hit.
const HIT: f64 = 0.1;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    device: &'a str,
    samples: usize,
    /// With samples that the model chose.
    #[serde(flatten)]
    chosen: Score,
    /// With samples drawn evenly among all networks.
    random: Score,
}

/// Over all networks but the samples.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Score {
    /// Rank correlation: mean and deviation over the seeds.
    spearman_mean: f64,
    spearman_sd: f64,
    /// Share within 10 % of the truth.
    within_ten_percent: f64,
}

pub(crate) fn write(args: &Args, table: &Table, print: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    if args.samples < 2 || args.seeds == 0 {
        bail!("--latency-model needs --samples of at least 2 and --seeds of at least 1");
    }
    for device in devices(table, args)? {
        let others: Vec<&Device> = table
            .devices
            .iter()
            .filter(|other| other.name != device.name)
            .collect();
        if others.is_empty() {
            bail!(
                "{} has only the device {}: --latency-model needs others to learn from",
                table.csv.path.display(),
                device.name
            );
        }
        // A network without a time somewhere can neither teach nor be checked.
        let is_whole = |row: &usize| {
            table
                .devices
                .iter()
                .all(|device| device.latency_ms[*row].is_finite())
        };
        let rows: Vec<usize> = (0..table.networks.points.len()).filter(is_whole).collect();
        let times = |device: &Device| {
            rows.iter()
                .map(|row| device.latency_ms[*row])
                .collect::<Vec<f64>>()
        };
        let parts = rows
            .iter()
            .map(|row| table.networks.parts[*row].clone())
            .collect();
        let counts: Vec<Vec<f64>> = table
            .networks
            .counts
            .iter()
            .map(|column| rows.iter().map(|row| column[*row]).collect())
            .collect();
        let tables: Vec<Vec<f64>> = others.iter().map(|other| times(other)).collect();
        let (sources, truth) = (Sources::new(parts, &counts, &tables), times(device));
        let seeds: Vec<u64> = (0..u64::from(args.seeds)).collect();
        let chosen = workers::all(&seeds, |seed| {
            Ok(score(&sources, &truth, &sources.samples(args.samples, *seed)))
        })?;
        let random = workers::all(&seeds, |seed| {
            Ok(score(&sources, &truth, &drawn(args.samples, truth.len(), *seed)))
        })?;
        let line = Line {
            device: &device.name,
            samples: args.samples,
            chosen: Score::of(&chosen),
            random: Score::of(&random),
        };
        print(&serde_json::to_string(&line)?)?;
    }
    Ok(())
}

impl Score {
    fn of(scores: &[(f64, f64)]) -> Self {
        let (spearman_mean, spearman_sd) =
            mean_and_sd(&scores.iter().map(|(spearman, _)| *spearman).collect::<Vec<_>>());
        let (within_ten_percent, _) = mean_and_sd(&scores.iter().map(|(_, hits)| *hits).collect::<Vec<_>>());
        Self {
            spearman_mean,
            spearman_sd,
            within_ten_percent,
        }
    }
}

fn drawn(samples: usize, networks: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    index::sample(&mut rng, networks, samples.min(networks)).into_vec()
}

fn score(sources: &Sources, truth: &[f64], samples: &[usize]) -> (f64, f64) {
    let measured: Vec<(usize, f64)> = samples.iter().map(|index| (*index, truth[*index])).collect();
    let predicted = sources.predict(&measured);
    let rest: Vec<usize> = (0..truth.len())
        .filter(|index| !samples.contains(index))
        .collect();
    let pick = |values: &[f64]| rest.iter().map(|index| values[*index]).collect::<Vec<f64>>();
    let (predicted, truth) = (pick(&predicted), pick(truth));
    let hits = predicted
        .iter()
        .zip(&truth)
        .filter(|(p, t)| (*p - *t).abs() <= HIT * **t)
        .count();
    (
        rank_correlation(&predicted, &truth),
        hits as f64 / truth.len().max(1) as f64,
    )
}
