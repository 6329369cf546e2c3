//! The report of a run as JSON: what the graph did, and what it cost the process.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::stall::Stall;
use crate::stats::{GraphStats, NodeStats, SourceStats, StreamStats};

/// What `edge-agent run --report` writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub elapsed_seconds: f64,
    /// Of all threads of this process, since it started.
    pub process_cpu_seconds: f64,
    /// Resident memory of this process, at the end.
    pub rss_mib: f64,
    pub nodes: Vec<NodeStats>,
    pub sources: Vec<SourceStats>,
    pub streams: Vec<StreamStats>,
    /// What stood still during the run, each standstill as it was when last seen.
    pub stalls: Vec<Stall>,
}

impl Report {
    pub fn new(stats: GraphStats, stalls: Vec<Stall>) -> Self {
        let GraphStats {
            elapsed_seconds,
            nodes,
            sources,
            streams,
        } = stats;
        Self {
            elapsed_seconds,
            process_cpu_seconds: cpu_seconds(),
            rss_mib: rss_mib(),
            nodes,
            sources,
            streams,
            stalls,
        }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// Linux counts processor time in hundredths of a second on every platform it shows to user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time of this process so far; 0 where the system doesn't tell.
pub fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in brackets and may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 / TICKS_PER_SECOND
}

/// Resident memory of this process; 0 where the system doesn't tell.
pub fn rss_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use crate::stats::ReaderStats;

    use super::*;

    #[test]
    fn is_written_as_documented() {
        let stats = GraphStats {
            elapsed_seconds: 2.0,
            nodes: vec![NodeStats {
                name: "dish".to_owned(),
                ..NodeStats::default()
            }],
            sources: vec![SourceStats {
                name: "camera".to_owned(),
                ..SourceStats::default()
            }],
            streams: vec![StreamStats {
                name: "frames".to_owned(),
                readers: vec![ReaderStats::default()],
                ..StreamStats::default()
            }],
        };
        let json: serde_json::Value =
            serde_json::from_str(&Report::new(stats, Vec::new()).to_json()).unwrap();
        assert_eq!(json["elapsedSeconds"], 2.0);
        assert!(json["rssMib"].as_f64().unwrap() > 0.5);
        assert!(json["processCpuSeconds"].is_number());
        for key in ["processMs", "startAgeMs", "endAgeMs"] {
            assert!(json["nodes"][0][key]["p99"].is_number(), "{key}");
        }
        assert_eq!(json["nodes"][0]["drops"]["late"], 0);
        assert_eq!(json["sources"][0]["produced"], 0);
        assert!(json["sources"][0]["latenessMs"]["max"].is_number());
        let reader = serde_json::json!({"node": "", "depth": 0, "oldestMs": null, "grown": 0});
        assert_eq!(json["streams"][0]["readers"][0], reader);
        assert_eq!(json["stalls"], serde_json::json!([]));
        assert!(json["nodes"][0].get("latency").is_none());
    }
}
