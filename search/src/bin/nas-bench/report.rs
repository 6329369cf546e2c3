//! Answers: one line of JSON for each question, or one table for all.

use anyhow::{Context, Result, bail};
use search::objective::hypervolume;
use search::strategy::Goal;
use serde::Serialize;

use super::args::Args;
use super::columns;
use super::instance::Instance;
use super::named::{Named, strategies};
use super::question::{bound, choose, devices, quantiles};
use super::run::{Run, run};
use super::table::{Accuracies, Device, Table};
use super::{latency_model, workers};

type Print<'a> = &'a mut dyn FnMut(&str) -> Result<()>;

/// How well a strategy met a bound.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BoundLine<'a> {
    strategy: &'a str,
    device: &'a str,
    quantile: f64,
    evaluations: u32,
    /// Points of accuracy to the best network inside the bound: mean and deviation over the seeds.
    regret_mean: f64,
    regret_sd: f64,
    /// Networks read that break the bound, over all seeds.
    violations: usize,
    /// Seeds that ended without a network inside the bound.
    feasible_missing: usize,
}

/// How much of the front a strategy found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FrontLine<'a> {
    strategy: &'a str,
    device: &'a str,
    evaluations: u32,
    /// Of the area between the true front and its own two ends: mean and deviation over the seeds.
    hypervolume_mean: f64,
    hypervolume_sd: f64,
}

pub(crate) fn write(args: &Args, print: Print<'_>) -> Result<()> {
    let table = Table::open(&args.folder, &args.table)?;
    if args.latency_model {
        return latency_model::write(args, &table, print);
    }
    if args.seeds == 0 || args.evaluations == 0 {
        bail!("--seeds and --evaluations are at least 1");
    }
    let strategies = strategies(&args.strategy)?;
    let datasets = choose(&args.dataset, columns::datasets(&table.csv));
    if datasets.is_empty() {
        table.accuracies("c10")?;
    }
    let mut summary = Vec::new();
    for dataset in &datasets {
        let accuracies = table.accuracies(dataset)?;
        for strategy in &strategies {
            let lines = if args.pareto {
                shares(args, &table, &accuracies, strategy)?
            } else {
                regrets(args, &table, &accuracies, strategy)?
            };
            let n = lines.len().max(1) as f64;
            summary.push(format!(
                "| {dataset} | {} | {:.3} | {:.3} |",
                strategy.name,
                lines.iter().map(|l| l.mean).sum::<f64>() / n,
                lines.iter().map(|l| l.mean).fold(f64::NEG_INFINITY, f64::max)
            ));
            if args.summary {
                continue;
            }
            for line in lines {
                print(&line.json)?;
            }
        }
    }
    if args.summary {
        let what = if args.pareto {
            "hypervolume share"
        } else {
            "regret"
        };
        print(&format!(
            "| {}, {} evaluations, {} seeds | strategy | mean {what} | largest |\n| --- | --- | --- | --- |",
            args.table, args.evaluations, args.seeds
        ))?;
        for line in summary {
            print(&line)?;
        }
    }
    Ok(())
}

struct Line {
    mean: f64,
    json: String,
}

fn regrets(args: &Args, table: &Table, accuracies: &Accuracies, strategy: &Named) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for device in devices(table, args)? {
        for quantile in quantiles(args)? {
            let bound_ms = bound(device, accuracies, *quantile);
            let instance = instance(table, accuracies, device, bound_ms)?;
            let runs = runs(args, &instance, strategy, Goal::Accuracy)?;
            let best = instance.best();
            let found = |run: &Run| {
                run.read
                    .iter()
                    .filter(|row| instance.is_inside(**row))
                    .map(|row| accuracies.full[*row])
                    .reduce(f64::max)
            };
            let regrets: Vec<f64> = runs
                .iter()
                .filter_map(found)
                .map(|accuracy| best - accuracy)
                .collect();
            let (regret_mean, regret_sd) = mean_and_sd(&regrets);
            let line = BoundLine {
                strategy: &strategy.name,
                device: &device.name,
                quantile: *quantile,
                evaluations: args.evaluations,
                regret_mean,
                regret_sd,
                violations: runs.iter().map(|run| run.violations).sum(),
                feasible_missing: runs.len() - regrets.len(),
            };
            lines.push(Line {
                mean: regret_mean,
                json: serde_json::to_string(&line)?,
            });
        }
    }
    Ok(lines)
}

fn shares(args: &Args, table: &Table, accuracies: &Accuracies, strategy: &Named) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for device in devices(table, args)? {
        let instance = instance(table, accuracies, device, f64::INFINITY)?;
        let point = |row: usize| (accuracies.full[row], device.latency_ms[row]);
        let all: Vec<(f64, f64)> = (0..accuracies.full.len())
            .filter(|row| instance.is_inside(*row))
            .map(point)
            .collect();
        let corner = corner(&all);
        let whole = hypervolume(all.iter().copied(), corner);
        let runs = runs(args, &instance, strategy, Goal::Front)?;
        let share = |run: &Run| hypervolume(run.read.iter().map(|row| point(*row)), corner) / whole;
        let (hypervolume_mean, hypervolume_sd) = mean_and_sd(&runs.iter().map(share).collect::<Vec<_>>());
        let line = FrontLine {
            strategy: &strategy.name,
            device: &device.name,
            evaluations: args.evaluations,
            hypervolume_mean,
            hypervolume_sd,
        };
        lines.push(Line {
            mean: hypervolume_mean,
            json: serde_json::to_string(&line)?,
        });
    }
    Ok(lines)
}

fn instance<'a>(
    table: &'a Table,
    accuracies: &'a Accuracies,
    device: &'a Device,
    bound_ms: f64,
) -> Result<Instance<'a>> {
    Instance::new(&table.networks, &table.rows, accuracies, device, bound_ms).with_context(|| {
        format!(
            "no network of {} has both an accuracy and a latency on {}",
            table.csv.path.display(),
            device.name
        )
    })
}

fn runs(args: &Args, instance: &Instance<'_>, strategy: &Named, goal: Goal) -> Result<Vec<Run>> {
    let seeds: Vec<u64> = (0..u64::from(args.seeds)).collect();
    workers::all(&seeds, |seed| {
        Ok(run(instance, &strategy.config, goal, args.evaluations, *seed))
    })
}

/// The accuracy of the fastest point of the true front, and the latency of its most accurate one: what lies
/// beyond is no trade any more.
fn corner(points: &[(f64, f64)]) -> (f64, f64) {
    let fastest = points.iter().copied().reduce(|best, next| {
        match next.1.total_cmp(&best.1).then(best.0.total_cmp(&next.0)) {
            std::cmp::Ordering::Less => next,
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => best,
        }
    });
    let best = points.iter().copied().reduce(|best, next| {
        match best.0.total_cmp(&next.0).then(next.1.total_cmp(&best.1)) {
            std::cmp::Ordering::Less => next,
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => best,
        }
    });
    (
        fastest.map_or(0.0, |point| point.0),
        best.map_or(0.0, |point| point.1),
    )
}

/// To four digits: more are noise.
pub(crate) fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum::<f64>()
        / (n - 1.0).max(1.0);
    let digits = |value: f64| (value * 1e4).round() / 1e4;
    (digits(mean), digits(variance.sqrt()))
}
