//! Unequal stages on two threads: how close the rate comes to that of the slowest stage, and the age at the end to the
//! sum of all.

use std::time::Duration;

use pipeline::stats::GraphStats;

use crate::Settings;
use crate::figure::{Figure, quantile, sorted};
use crate::graphs::{camera, let_run, node, on_threads, run_for, start};

/// Milliseconds of each stage.
const STEADY: [&[u32]; 5] = [&[10, 50], &[50, 10], &[40, 40], &[20, 50, 30], &[20, 60, 20, 20]];
/// The same, as (before, after) a change.
const CHANGING: [&[(u32, u32)]; 2] = [&[(20, 60), (30, 30)], &[(60, 20), (40, 40)]];

const SECONDS: u64 = 8;
const CHANGE_AFTER_MS: u64 = 3_000;
/// Time to settle, and a tenth of a second for the graph to open.
const SETTLED_MS: u64 = 2_100;
const WINDOW_MS: u64 = 4_000;

pub fn measure(_settings: Settings) -> Vec<Figure> {
    let mut figures = Vec::new();
    let (mut rates, mut ages, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for (how, all_fresh) in [("all-fresh", true), ("first-fresh", false)] {
        for costs in STEADY {
            let options: Vec<String> = costs.iter().map(u32::to_string).collect();
            let stats = run_for(&graph(&options, all_fresh), SECONDS, on_threads(2));
            let name = format!("stages/{}/{how}", options.join("+"));
            let (rate, age) = reached(&stats, costs);
            figures.push(Figure::new(format!("{name}/rate"), rate, "% of 1/max"));
            figures.push(Figure::new(format!("{name}/age-p95"), age, "% of sum + max"));
            rates.push(rate);
            ages.push(age);
            late.push(stats.sources[0].lateness_ms.max);
        }
    }
    figures.push(Figure::new("stages/worst/rate", sorted(rates)[0], "% of 1/max"));
    let worst = |values| quantile(&sorted(values), 1.0);
    figures.push(Figure::new("stages/worst/age-p95", worst(ages), "% of sum + max"));
    figures.push(Figure::new("stages/worst/source-late-max", worst(late), "ms"));
    for costs in CHANGING {
        figures.extend(changing(costs));
    }
    figures
}

/// Changes the cost of stages in the middle of a run; the figures are of a window that begins two seconds later.
fn changing(costs: &[(u32, u32)]) -> [Figure; 2] {
    let options: Vec<String> = costs
        .iter()
        .map(|(before, after)| {
            format!("[{{afterMs: 0, forMs: {before}}}, {{afterMs: {CHANGE_AFTER_MS}, forMs: {after}}}]")
        })
        .collect();
    let running = start(&graph(&options, true), on_threads(2));
    let_run(&running, Duration::from_millis(CHANGE_AFTER_MS + SETTLED_MS));
    running.take_window();
    let_run(&running, Duration::from_millis(WINDOW_MS));
    let stats = running.take_window();
    running.stop();
    running.wait().unwrap();
    let names: Vec<String> = costs
        .iter()
        .map(|(before, after)| format!("{before}to{after}"))
        .collect();
    let after: Vec<u32> = costs.iter().map(|(_, after)| *after).collect();
    let (rate, age) = reached(&stats, &after);
    let name = format!("stages/{}", names.join("+"));
    [
        Figure::new(format!("{name}/rate"), rate, "% of 1/max"),
        Figure::new(format!("{name}/age-p95"), age, "% of sum + max"),
    ]
}

/// Rate as percent of the slowest stage's, and the 95th percentile of the age at the end as percent of sum + max.
fn reached(stats: &GraphStats, costs: &[u32]) -> (f64, f64) {
    let end = node(stats, "end");
    let sum = f64::from(costs.iter().sum::<u32>());
    let max = f64::from(*costs.iter().max().unwrap());
    (
        end.fps * max / 1_000.0 * 100.0,
        end.end_age_ms.p95 / (sum + max) * 100.0,
    )
}

fn graph(costs: &[String], all_fresh: bool) -> String {
    let stages = costs.iter().enumerate().map(|(stage, cost)| {
        let fresh = if all_fresh || stage == 0 {
            ", freshness: newest"
        } else {
            ""
        };
        let next = stage + 1;
        format!(
            "- {{name: b{stage}, calculator: Busy, options: {{forMs: {cost}}}, inputs: [s{stage}], outputs: \
             [s{next}]{fresh}}}\n"
        )
    });
    format!(
        "nodes:\n{}{}- {{name: end, calculator: Discard, inputs: [s{}]}}\n",
        camera("camera", "s0"),
        stages.collect::<String>(),
        costs.len()
    )
}
