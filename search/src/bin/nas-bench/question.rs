//! Which devices, data sets and bounds are asked about.

use anyhow::{Result, bail};

use super::args::Args;
use super::table::{Accuracies, Device, Table};

/// The words of an argument, or everything for `all`.
pub(crate) fn choose(argument: &str, all: impl IntoIterator<Item = String>) -> Vec<String> {
    if argument == "all" {
        all.into_iter().collect()
    } else {
        argument.split(',').map(str::to_owned).collect()
    }
}

pub(crate) fn devices<'a>(table: &'a Table, args: &Args) -> Result<Vec<&'a Device>> {
    let all = table.devices.iter().map(|device| device.name.clone());
    let chosen = choose(&args.device, all);
    if chosen.is_empty() {
        // Says what is missing.
        table.device("all")?;
    }
    chosen.iter().map(|name| table.device(name)).collect()
}

pub(crate) fn quantiles(args: &Args) -> Result<&[f64]> {
    if let Some(bad) = args.quantile.iter().find(|q| !(**q > 0.0 && **q <= 1.0)) {
        bail!(
            "--quantile {bad}: a share of the networks above 0 and at most 1, for instance 0.1, 0.3 or 0.5"
        );
    }
    Ok(&args.quantile)
}

/// The latency that this share of the networks keeps, between neighbours by a straight line.
pub(crate) fn bound(device: &Device, accuracies: &Accuracies, quantile: f64) -> f64 {
    let known = device.latency_ms.iter().zip(&accuracies.full);
    let mut sorted: Vec<f64> = known
        .filter(|(ms, full)| ms.is_finite() && full.is_finite())
        .map(|(ms, _)| *ms)
        .collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = quantile * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}
