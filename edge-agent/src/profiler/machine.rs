//! What latencies depend on besides the file: processor, quota, runtime, threads.

use std::num::NonZero;

use pipeline::backend::RuntimeInfo;
use protocol::id::Digest;
use protocol::reported::Runtime;

/// Describes this machine; equal machines with equal settings give equal hashes, over restarts too.
pub fn describe(runtime: &RuntimeInfo, threads: usize) -> Runtime {
    let cpu = cpu_model();
    let quota = cpu_quota().map_or_else(|| "none".to_owned(), |cores| format!("{cores:.2}"));
    let agent = format!(
        "{}.{}",
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR")
    );
    let RuntimeInfo {
        name,
        version,
        build,
        provider,
    } = runtime;
    let text = format!("{agent}|{name}|{version}|{build}|{provider}|{threads}|{cpu}|{quota}");
    Runtime {
        hash: Digest::of(text.as_bytes()).short().to_owned(),
        engine: format!("{name} {version}"),
        provider: provider.clone(),
        threads: threads as u32,
        cpu,
    }
}

/// Threads for one inference when nobody says otherwise: the processors, or what the quota grants of them.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Cores the process may use by its control group; `None` without a limit.
pub fn cpu_quota() -> Option<f64> {
    if let Ok(text) = std::fs::read_to_string("/sys/fs/cgroup/cpu.max") {
        return parse_quota(&text);
    }
    let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/cpu/cpu.cfs_{name}_us")).ok();
    parse_quota(&format!("{} {}", read("quota")?.trim(), read("period")?.trim()))
}

fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    parse_model(&info).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// `max 100000` or `50000 100000`; version 1 writes -1 for no limit.
fn parse_quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// x86 names the model, boards name themselves, bare ARM gives only a part number.
fn parse_model(info: &str) -> Option<String> {
    let field = |wanted: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(name, _)| name.trim() == wanted)
            .map(|(_, value)| value.trim().to_owned())
    };
    field("model name")
        .or_else(|| field("Model"))
        .or_else(|| field("CPU part").map(|part| format!("ARM {part}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_read_in_both_versions() {
        assert_eq!(parse_quota("max 100000\n"), None);
        assert_eq!(parse_quota("-1 100000"), None);
        assert_eq!(parse_quota("50000 100000\n"), Some(0.5));
    }

    #[test]
    fn processors_have_a_name() {
        assert_eq!(
            parse_model("processor\t: 0\nmodel name\t: Some CPU\n").as_deref(),
            Some("Some CPU")
        );
        assert_eq!(
            parse_model("CPU part\t: 0xd08\nModel\t\t: Board 4\n").as_deref(),
            Some("Board 4")
        );
        assert_eq!(parse_model(""), None);
    }

    #[test]
    fn the_hash_changes_with_what_matters() {
        let runtime = RuntimeInfo {
            name: "onnxruntime".into(),
            version: "1.32.0".into(),
            build: "x".into(),
            provider: "CPU".into(),
        };
        assert_eq!(describe(&runtime, 1), describe(&runtime, 1));
        assert_ne!(describe(&runtime, 1).hash, describe(&runtime, 2).hash);
        assert_eq!(describe(&runtime, 1).engine, "onnxruntime 1.32.0");
    }
}
