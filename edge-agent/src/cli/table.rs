//! What each node does, as a table for people.

use pipeline::stall::Stall;
use pipeline::stats::{Drops, GraphStats, Quantiles};

/// One line a node, the sources first, and a line of totals.
pub(super) fn table(stats: &GraphStats) -> Vec<String> {
    let names = stats
        .sources
        .iter()
        .map(|source| &source.name)
        .chain(stats.nodes.iter().map(|node| &node.name));
    let width = names
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .clamp(4, 28);
    let mut lines = vec![format!(
        "{:width$} {:>9} {:>7} {:>8} {:>8} {:>8} {:>8} {:>6}  DROPS",
        "NODE", "COUNT", "FPS", "P50 ms", "P95 ms", "P99 ms", "AGE p95", "QUEUED"
    )];
    for source in &stats.sources {
        let Quantiles { p50, p95, p99, .. } = source.process_ms;
        lines.push(format!(
            "{:width$} {:>9} {:>7.1} {p50:>8.2} {p95:>8.2} {p99:>8.2} {:>8} {:>6}  {}",
            short(&source.name, width),
            source.produced,
            source.fps,
            "-",
            "-",
            drops(&source.drops)
        ));
    }
    for node in &stats.nodes {
        let Quantiles { p50, p95, p99, .. } = node.process_ms;
        lines.push(format!(
            "{:width$} {:>9} {:>7.1} {p50:>8.2} {p95:>8.2} {p99:>8.2} {:>8.1} {:>6}  {}",
            short(&node.name, width),
            node.processed,
            node.fps,
            node.end_age_ms.p95,
            node.queued,
            drops(&node.drops)
        ));
    }
    lines
}

/// A line for each node that stands still.
pub(super) fn stalled(stalls: &[Stall]) -> Vec<String> {
    stalls.iter().map(|stall| format!("STALLED {stall}")).collect()
}

/// What a terminal can redraw: lines that wrap, or scroll away, would stay and pile up.
pub(super) fn fit(lines: Vec<String>, width: usize, height: usize) -> Vec<String> {
    // The cursor needs a line of its own.
    let room = height.saturating_sub(1).max(1);
    let hidden = lines.len().saturating_sub(room);
    let shown = if hidden > 0 { room - 1 } else { room };
    let mut fitting: Vec<String> = lines
        .into_iter()
        .take(shown)
        .map(|line| line.chars().take(width).collect())
        .collect();
    if hidden > 0 {
        fitting.push(format!("and {} more", hidden + 1).chars().take(width).collect());
    }
    fitting
}

/// The run in one line.
pub(super) fn line(stats: &GraphStats) -> String {
    let last = stats.nodes.last();
    format!(
        "{:6.1}s  produced {}  {} {:.1}/s  age p95 {:.1}ms  drops {}",
        stats.elapsed_seconds,
        stats.produced(),
        last.map_or("-", |node| &node.name),
        last.map_or(0.0, |node| node.fps),
        last.map_or(0.0, |node| node.end_age_ms.p95),
        drops(&stats.drops())
    )
}

fn drops(drops: &Drops) -> String {
    let Drops {
        late,
        age,
        full,
        limited,
        closed,
    } = drops;
    let counts = [
        ("late", late),
        ("age", age),
        ("full", full),
        ("limited", limited),
        ("closed", closed),
    ];
    let shown: Vec<String> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if shown.is_empty() {
        "-".into()
    } else {
        shown.join(", ")
    }
}

fn short(name: &str, width: usize) -> String {
    name.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use pipeline::stats::{NodeStats, SourceStats};

    use super::*;

    #[test]
    fn a_small_terminal_gets_what_it_can_show() {
        let lines = || {
            ["NODE   COUNT", "camera    60", "dish      20"]
                .map(str::to_owned)
                .to_vec()
        };
        assert_eq!(fit(lines(), 80, 24), lines());
        assert_eq!(fit(lines(), 6, 4), ["NODE  ", "camera", "dish  "]);
        assert_eq!(fit(lines(), 80, 3), ["NODE   COUNT", "and 2 more"]);
        assert_eq!(fit(lines(), 80, 0), ["and 3 more"]);
    }

    #[test]
    fn shows_what_people_ask() {
        let ms = Quantiles {
            p50: 1.0,
            p95: 2.0,
            p99: 3.0,
            max: 4.0,
        };
        let stats = GraphStats {
            elapsed_seconds: 2.0,
            sources: vec![SourceStats {
                name: "camera".into(),
                produced: 60,
                fps: 30.0,
                process_ms: ms,
                ..SourceStats::default()
            }],
            nodes: vec![NodeStats {
                name: "dish".into(),
                processed: 20,
                fps: 10.0,
                process_ms: ms,
                end_age_ms: ms,
                drops: Drops {
                    late: 40,
                    ..Drops::default()
                },
                ..NodeStats::default()
            }],
            ..GraphStats::default()
        };
        assert_eq!(
            table(&stats).join("\n"),
            "\
NODE       COUNT     FPS   P50 ms   P95 ms   P99 ms  AGE p95 QUEUED  DROPS
camera        60    30.0     1.00     2.00     3.00        -      -  -
dish          20    10.0     1.00     2.00     3.00      2.0      0  late 40"
        );
        assert_eq!(
            line(&stats),
            "   2.0s  produced 60  dish 10.0/s  age p95 2.0ms  drops late 40"
        );
    }
}
