//! `measure`: how long one run of a model takes here, measured as it is for a profile.

mod profile;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use pipeline::backend::Backend as _;
use protocol::profile::{MeasurePlan, Measured};
use protocol::reported::Runtime;
use serde::Serialize;

use crate::args::MeasureArgs;
use crate::io::inference::LazyRuntime;
use crate::profiler::{Profiler, machine};

/// Measurements, each of a session of its own: how they differ is the error bar.
const MEASUREMENTS: u32 = 5;
/// Runs of one model, when nobody says otherwise.
const RUNS: u32 = 300;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    model: String,
    runtime: Runtime,
    p50_ms: Bar,
    p95_ms: Bar,
    measurements: usize,
    runs: u32,
    /// Measurements in which other work on the machine was seen.
    disturbed: usize,
}

/// The value in the middle of all measurements, and half of what lies between the least and the largest.
#[derive(Debug, Serialize)]
struct Bar {
    value: f64,
    error: f64,
}

pub(super) fn measure(args: &MeasureArgs) -> Result<ExitCode> {
    if let Some(out) = &args.out {
        return profile::measure(args, out);
    }
    if args.file.is_dir() {
        bail!(
            "{} is a folder: say with --out where its profile goes",
            args.file.display()
        );
    }
    let bytes = std::fs::read(&args.file).with_context(|| format!("read {}", args.file.display()))?;
    let threads = args.threads.unwrap_or_else(machine::default_threads).max(1);
    let runtime = machine::describe(&LazyRuntime.probe()?, threads);
    let plan = MeasurePlan {
        min_runs: args.runs.unwrap_or(RUNS).div_ceil(MEASUREMENTS).max(1),
        ..MeasurePlan::default()
    };
    let backend = LazyRuntime;
    let mut profiler = Profiler::new(&backend, threads);
    let model = args.file.display().to_string();
    let measured = (0..MEASUREMENTS).map(|_| profiler.measure(&model, &bytes, plan));
    let report = Report::new(model.clone(), runtime, &measured.collect::<Result<Vec<_>, _>>()?);
    let text = if args.json {
        serde_json::to_string_pretty(&report)?
    } else {
        report.text()
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

impl Report {
    fn new(model: String, runtime: Runtime, measured: &[Measured]) -> Self {
        Self {
            model,
            runtime,
            p50_ms: Bar::new(measured.iter().map(|one| one.p50_us / 1e3)),
            p95_ms: Bar::new(measured.iter().map(|one| one.p95_us / 1e3)),
            measurements: measured.len(),
            runs: measured.iter().map(|one| one.runs).sum(),
            disturbed: measured.iter().filter(|one| one.disturbed).count(),
        }
    }

    fn text(&self) -> String {
        let Self {
            model,
            runtime,
            p50_ms,
            p95_ms,
            measurements,
            runs,
            disturbed,
        } = self;
        let Runtime {
            engine,
            provider,
            threads,
            cpu,
            hash: _,
        } = runtime;
        let disturbed = match disturbed {
            0 => String::new(),
            some => format!(
                "\n{some} of {measurements} measurements were disturbed by other work on this machine"
            ),
        };
        format!(
            "{model}: p50 {:.3} ± {:.3} ms, p95 {:.3} ± {:.3} ms\n{runs} runs in {measurements} measurements, {engine}, \
             {provider}, threads: {threads}, {cpu}{disturbed}",
            p50_ms.value, p50_ms.error, p95_ms.value, p95_ms.error
        )
    }
}

impl Bar {
    fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
        Self {
            value: at(values.len() / 2),
            error: (at(values.len().saturating_sub(1)) - at(0)) / 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::onnx::elementwise;

    #[test]
    fn says_the_middle_and_how_far_measurements_lie_apart() {
        let measured: Vec<Measured> = [1000.0, 1200.0, 1100.0]
            .map(|p50_us| Measured {
                p50_us,
                p95_us: 2.0 * p50_us,
                min_us: 900.0,
                runs: 20,
                disturbed: p50_us > 1150.0,
            })
            .into();
        let runtime = Runtime {
            hash: "h".into(),
            engine: "onnxruntime 1.32.0".into(),
            provider: "CPU".into(),
            threads: 2,
            cpu: "Board 4".into(),
        };
        assert_eq!(
            Report::new("dish.onnx".into(), runtime, &measured).text(),
            "dish.onnx: p50 1.100 ± 0.100 ms, p95 2.200 ± 0.200 ms\n\
             60 runs in 3 measurements, onnxruntime 1.32.0, CPU, threads: 2, Board 4\n\
             1 of 3 measurements were disturbed by other work on this machine"
        );
    }

    #[test]
    fn a_file_is_a_model_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relu.onnx");
        let args = MeasureArgs {
            file: file.clone(),
            out: None,
            threads: Some(1),
            runs: Some(10),
            json: true,
        };
        std::fs::write(&file, elementwise("Relu", &[1, 3])).unwrap();
        assert_eq!(measure(&args).unwrap(), ExitCode::SUCCESS);
        std::fs::write(&file, "nodes: []").unwrap();
        let error = measure(&args).unwrap_err().to_string();
        assert!(error.contains("relu.onnx can't be loaded"), "{error}");
        std::fs::remove_file(&file).unwrap();
        let error = measure(&args).unwrap_err().to_string();
        assert!(
            error.starts_with("read ") && error.ends_with("relu.onnx"),
            "{error}"
        );
    }
}
