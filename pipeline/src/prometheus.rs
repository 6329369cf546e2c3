//! A running graph's figures in Prometheus' text format, version 0.0.4.
//!
//! Base units; labels are a graph's own names and fixed words, so that their number is bounded by the graph.

use std::fmt::Write;

use crate::stall::Stall;
use crate::stats::{DropReason, Drops, GraphStats, Histogram};

/// All figures since the start of the run, and what stands still now.
pub fn text(stats: &GraphStats, stalls: &[Stall]) -> String {
    let mut page = Page(String::new());
    page.frames(stats);
    page.drops(stats);
    page.latency(stats);
    page.streams(stats);
    page.family(
        "haizen_pipeline_stalled",
        "gauge",
        "Nodes that stand still, and what they wait for.",
    );
    for stall in stalls {
        let stream = stall.waits_for.stream().unwrap_or_default();
        let labels = [
            ("node", stall.node.as_str()),
            ("stream", stream),
            ("waits_for", stall.waits_for.name()),
        ];
        page.sample("haizen_pipeline_stalled", &labels, 1.0);
    }
    page.0
}

struct Page(String);

impl Page {
    fn frames(&mut self, stats: &GraphStats) {
        let name = "haizen_pipeline_frames_total";
        self.family(name, "counter", "Calls of a node; of a source, packets sent.");
        for source in &stats.sources {
            self.sample(name, &[("node", &source.name)], source.produced as f64);
        }
        for node in &stats.nodes {
            self.sample(name, &[("node", &node.name)], node.processed as f64);
        }
    }

    fn drops(&mut self, stats: &GraphStats) {
        let name = "haizen_pipeline_frames_dropped_total";
        self.family(name, "counter", "Packets dropped at a node, by reason.");
        let sources = stats.sources.iter().map(|source| (&source.name, &source.drops));
        let nodes = stats.nodes.iter().map(|node| (&node.name, &node.drops));
        for (node, drops) in sources.chain(nodes) {
            self.drops_of(name, node, drops);
        }
    }

    fn drops_of(&mut self, name: &str, node: &str, drops: &Drops) {
        for reason in DropReason::ALL {
            let labels = [("node", node), ("reason", reason.name())];
            self.sample(name, &labels, drops.of(reason) as f64);
        }
    }

    fn latency(&mut self, stats: &GraphStats) {
        let name = "haizen_pipeline_latency_seconds";
        self.family(name, "histogram", "Capture to the end of a node's call.");
        for node in &stats.nodes {
            let Histogram {
                counts,
                count,
                sum_seconds,
            } = node.latency;
            let bucket = format!("{name}_bucket");
            for (bound, below) in Histogram::BOUNDS_SECONDS.iter().zip(counts) {
                let bound = bound.to_string();
                self.sample(&bucket, &[("node", &node.name), ("le", &bound)], below as f64);
            }
            self.sample(&bucket, &[("node", &node.name), ("le", "+Inf")], count as f64);
            self.sample(&format!("{name}_sum"), &[("node", &node.name)], sum_seconds);
            self.sample(&format!("{name}_count"), &[("node", &node.name)], count as f64);
        }
    }

    fn streams(&mut self, stats: &GraphStats) {
        let readers = || {
            let streams = stats.streams.iter();
            streams.flat_map(|stream| stream.readers.iter().map(move |reader| (&stream.name, reader)))
        };
        let carried = "haizen_pipeline_stream_packets_total";
        self.family(carried, "counter", "Packets sent on a stream.");
        for stream in &stats.streams {
            self.sample(carried, &[("stream", &stream.name)], stream.carried as f64);
        }
        let waiting = "haizen_pipeline_stream_waiting";
        self.family(waiting, "gauge", "Packets that wait for a reader of a stream.");
        for (stream, reader) in readers() {
            let labels = [("stream", stream.as_str()), ("node", &reader.node)];
            self.sample(waiting, &labels, reader.depth as f64);
        }
        let oldest = "haizen_pipeline_stream_oldest_seconds";
        self.family(
            oldest,
            "gauge",
            "Age of the oldest packet that waits, since its capture.",
        );
        for (stream, reader) in readers() {
            let labels = [("stream", stream.as_str()), ("node", &reader.node)];
            if let Some(millis) = reader.oldest_ms {
                self.sample(oldest, &labels, millis / 1e3);
            }
        }
        let grown = "haizen_pipeline_stream_grown_total";
        self.family(
            grown,
            "counter",
            "Times a full queue got room because everything waited for it.",
        );
        for (stream, reader) in readers() {
            let labels = [("stream", stream.as_str()), ("node", &reader.node)];
            self.sample(grown, &labels, reader.grown as f64);
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for letter in text.chars() {
                match letter {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "}} {value}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stall::WaitsFor;
    use crate::stats::{NodeStats, ReaderStats, SourceStats, StreamStats};

    fn node(name: &str) -> NodeStats {
        let mut latency = Histogram {
            count: 3,
            sum_seconds: 0.25,
            ..Histogram::default()
        };
        latency.counts[8..].fill(2);
        NodeStats {
            name: name.to_owned(),
            processed: 20,
            drops: Drops {
                late: 4,
                ..Drops::default()
            },
            latency,
            ..NodeStats::default()
        }
    }

    #[test]
    fn names_and_values() {
        let stats = GraphStats {
            nodes: vec![node("dish")],
            sources: vec![SourceStats {
                name: "camera".to_owned(),
                produced: 60,
                ..SourceStats::default()
            }],
            streams: vec![StreamStats {
                name: "frames".to_owned(),
                carried: 60,
                readers: vec![ReaderStats {
                    node: "dish".to_owned(),
                    depth: 2,
                    oldest_ms: Some(40.0),
                    grown: 1,
                }],
                ..StreamStats::default()
            }],
            ..GraphStats::default()
        };
        let stall = Stall {
            node: "dish".to_owned(),
            waits_for: WaitsFor::Call { usual_ms: 1.0 },
            since: 0,
            for_ms: 1000.0,
            waiting: 2,
        };
        let text = text(&stats, &[stall]);
        for line in [
            "# TYPE haizen_pipeline_latency_seconds histogram",
            "haizen_pipeline_frames_total{node=\"camera\"} 60",
            "haizen_pipeline_frames_total{node=\"dish\"} 20",
            "haizen_pipeline_frames_dropped_total{node=\"dish\",reason=\"late\"} 4",
            "haizen_pipeline_frames_dropped_total{node=\"camera\",reason=\"closed\"} 0",
            "haizen_pipeline_latency_seconds_bucket{node=\"dish\",le=\"0.05\"} 0",
            "haizen_pipeline_latency_seconds_bucket{node=\"dish\",le=\"0.0667\"} 2",
            "haizen_pipeline_latency_seconds_bucket{node=\"dish\",le=\"+Inf\"} 3",
            "haizen_pipeline_latency_seconds_sum{node=\"dish\"} 0.25",
            "haizen_pipeline_latency_seconds_count{node=\"dish\"} 3",
            "haizen_pipeline_stream_packets_total{stream=\"frames\"} 60",
            "haizen_pipeline_stream_waiting{stream=\"frames\",node=\"dish\"} 2",
            "haizen_pipeline_stream_oldest_seconds{stream=\"frames\",node=\"dish\"} 0.04",
            "haizen_pipeline_stream_grown_total{stream=\"frames\",node=\"dish\"} 1",
            "haizen_pipeline_stalled{node=\"dish\",stream=\"\",waits_for=\"call\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    proptest! {
        /// Whatever a node is called, a line stays a line and a label's value ends where it should.
        #[test]
        fn any_name_keeps_the_form(name in any::<String>()) {
            let stats = GraphStats { nodes: vec![node(&name)], ..GraphStats::default() };
            for line in text(&stats, &[]).split_terminator('\n').filter(|line| !line.starts_with('#')) {
                let (labels, value) = line.rsplit_once("} ").unwrap();
                prop_assert!(value.parse::<f64>().is_ok(), "{line}");
                let quotes = labels.replace("\\\\", "").replace("\\\"", "").matches('"').count();
                prop_assert_eq!(quotes % 2, 0, "{}", line);
            }
        }
    }
}
