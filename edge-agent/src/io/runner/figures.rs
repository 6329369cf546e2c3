//! A graph's figures as the operator wants them: what comes out at the end, how old, what was lost.

use std::collections::BTreeMap;

use pipeline::ValidatedGraph;
use pipeline::stats::{DropReason, GraphStats, NodeStats};
use protocol::reported::Running;

/// Knows which nodes are a graph's ends.
#[derive(Debug)]
pub(super) struct Figures {
    ends: Vec<String>,
}

impl Figures {
    pub(super) fn new(graph: &ValidatedGraph) -> Self {
        Self {
            ends: graph.sinks().map(str::to_owned).collect(),
        }
    }

    pub(super) fn of(&self, stats: &GraphStats) -> Running {
        let ends = self.ends(stats);
        let drops = stats.drops();
        let errors = stats
            .nodes
            .iter()
            .map(|node| node.errors)
            .chain(stats.sources.iter().map(|s| s.errors))
            .sum();
        Running {
            seconds: stats.elapsed_seconds,
            // Of several ends the busiest: another may stand behind a limiter on purpose.
            fps: ends.iter().map(|node| node.fps).fold(0.0, f64::max),
            latency_p95_ms: ends.iter().map(|node| node.end_age_ms.p95).fold(0.0, f64::max),
            produced: stats.produced(),
            completed: ends.iter().map(|node| node.processed).max().unwrap_or(0),
            errors,
            drops: DropReason::ALL
                .into_iter()
                .map(|reason| (reason.name().to_owned(), drops.of(reason)))
                .filter(|(_, count)| *count > 0)
                .collect::<BTreeMap<_, _>>(),
        }
    }

    /// Nodes that send results out, or all that nothing follows if there are none.
    fn ends<'a>(&self, stats: &'a GraphStats) -> Vec<&'a NodeStats> {
        let ends = stats.nodes.iter().filter(|node| self.ends.contains(&node.name));
        let (sinks, others): (Vec<_>, Vec<_>) = ends.partition(|node| node.calculator == "MqttSink");
        if sinks.is_empty() { others } else { sinks }
    }
}

#[cfg(test)]
mod tests {
    use pipeline::stats::{Drops, Quantiles, SourceStats};
    use pipeline::{Registry, load_graph, validate};

    use super::*;

    fn stats(calculator: &str, processed: u64, p95: f64) -> NodeStats {
        NodeStats {
            name: calculator.into(),
            calculator: calculator.into(),
            processed,
            fps: processed as f64 / 10.0,
            end_age_ms: Quantiles {
                p95,
                ..Quantiles::default()
            },
            drops: Drops {
                late: 3,
                ..Drops::default()
            },
            ..NodeStats::default()
        }
    }

    #[test]
    fn results_are_counted_where_they_leave() {
        let text = "
nodes:
  - {calculator: Generator, outputs: [a]}
  - {calculator: ImageToTensor, inputs: [a], outputs: [t]}
  - {calculator: Classify, inputs: [t], outputs: [b]}
  - {calculator: MqttSink, inputs: [b], options: {stream: dishes}}
  - {calculator: Discard, inputs: [a]}";
        let graph = validate(&load_graph(text).unwrap(), &Registry::standard()).unwrap();
        let figures = Figures::new(&graph);
        let source = SourceStats {
            produced: 100,
            ..SourceStats::default()
        };
        let running = figures.of(&GraphStats {
            elapsed_seconds: 10.0,
            nodes: vec![
                stats("Classify", 90, 5.0),
                stats("MqttSink", 80, 7.0),
                stats("Discard", 100, 1.0),
            ],
            sources: vec![source],
            ..GraphStats::default()
        });
        assert_eq!(
            (
                running.completed,
                running.produced,
                running.fps,
                running.latency_p95_ms
            ),
            (80, 100, 8.0, 7.0)
        );
        assert_eq!(running.drops, [("late".to_owned(), 9)].into());
    }
}
