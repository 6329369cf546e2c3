//! Four cameras on two threads, more work than these can do: who gets how much.

use pipeline::stats::GraphStats;

use crate::Settings;
use crate::figure::{Figure, sorted};
use crate::graphs::{camera, node, on_threads, run_for};

const CAMERAS: usize = 4;
const SECONDS: u64 = 10;

pub fn measure(_settings: Settings) -> Vec<Figure> {
    let cameras = each(|number| camera(&format!("camera{number}"), &format!("c{number}")));
    let mut figures = own_detectors(&cameras).to_vec();
    figures.extend(one_detector(&cameras));
    figures
}

fn each(line: fn(usize) -> String) -> String {
    (0..CAMERAS).map(line).collect()
}

/// A detector for each camera, and a branch of high priority.
fn own_detectors(cameras: &str) -> [Figure; 2] {
    let detectors = each(|number| {
        format!(
            "- {{name: detect{number}, calculator: Busy, options: {{forMs: 40}}, inputs: [c{number}], freshness: \
             newest}}\n"
        )
    });
    let watch = "- {name: watch, calculator: Busy, options: {forMs: 2}, inputs: [c0], priority: high}\n";
    let stats = run_for(
        &format!("nodes:\n{cameras}{detectors}{watch}"),
        SECONDS,
        on_threads(2),
    );
    let watched = node(&stats, "watch").processed as f64 / stats.sources[0].produced as f64;
    [
        spread("cameras/own-detectors/spread", &stats, "detect"),
        Figure::new("cameras/high-priority", watched * 100.0, "% of its frames"),
    ]
}

/// One detector for all of them, under both policies.
fn one_detector(cameras: &str) -> Vec<Figure> {
    let seen = each(|number| {
        format!(
            "- {{name: see{number}, calculator: PassThrough, inputs: [c{number}], outputs: [d{number}]}}\n"
        )
    });
    let got = each(|number| format!("- {{name: got{number}, calculator: Discard, inputs: [e{number}]}}\n"));
    let mut figures = Vec::new();
    for (policy, declared) in [("default", ""), ("immediate", ", inputPolicy: {immediate: {}}")] {
        let detector = format!(
            "- {{name: detect, calculator: Busy, options: {{forMs: 40}}, inputs: [d0, d1, d2, d3], outputs: [e0, e1, \
             e2, e3], freshness: newest{declared}}}\n"
        );
        let stats = run_for(
            &format!("nodes:\n{cameras}{seen}{detector}{got}"),
            SECONDS,
            on_threads(2),
        );
        let section = format!("cameras/one-detector-{policy}");
        figures.push(spread(&format!("{section}/spread"), &stats, "got"));
        let age = node(&stats, "detect").start_age_ms.max;
        figures.push(Figure::new(format!("{section}/start-age-max"), age, "ms"));
    }
    figures
}

/// By how much the camera that got least is behind the one that got most.
fn spread(name: &str, stats: &GraphStats, nodes: &str) -> Figure {
    let shares = sorted((0..CAMERAS).map(|number| node(stats, &format!("{nodes}{number}")).fps));
    Figure::new(name, (1.0 - shares[0] / shares[CAMERAS - 1]) * 100.0, "%")
}
