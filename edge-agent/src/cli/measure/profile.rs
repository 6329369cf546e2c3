//! `measure FOLDER --out FILE`: a profile of many files, kept up to date after each of them.
//!
//! Files are known by their digest, so that a second call, or one after a kill, measures only what is missing.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use pipeline::backend::Backend as _;
use protocol::id::Digest;
use protocol::profile::{MeasurePlan, ProfileDocument, ProfileOutcome};
use protocol::reported::Runtime;

use crate::args::MeasureArgs;
use crate::io::inference::LazyRuntime;
use crate::profiler::{Profiler, machine};

/// How often progress is told.
const EVERY: Duration = Duration::from_secs(5);

/// A file to measure.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    name: String,
    sha256: Digest,
    path: PathBuf,
}

pub(super) fn measure(args: &MeasureArgs, out: &Path) -> Result<ExitCode> {
    let threads = args.threads.unwrap_or_else(machine::default_threads).max(1);
    let runtime = machine::describe(&LazyRuntime.probe()?, threads);
    let mut document = open(out, runtime)?;
    let files = files(&args.file)?;
    let wanted = missing(&files, &document);
    let plan = plan(args.runs);
    let backend = LazyRuntime;
    let mut profiler = Profiler::new(&backend, threads);
    let (begin, mut told) = (Instant::now(), Instant::now());
    for (done, file) in wanted.iter().enumerate() {
        if told.elapsed() >= EVERY {
            told = Instant::now();
            let left = begin.elapsed().as_secs_f64() / done.max(1) as f64 * (wanted.len() - done) as f64;
            tracing::info!(
                "measured {done} of {} files, about {left:.0} s left",
                wanted.len()
            );
        }
        let Wanted { name, sha256, path } = file;
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let outcome = match profiler.measure(name, &bytes, plan) {
            Ok(measured) => ProfileOutcome::Measured(measured),
            Err(error) => ProfileOutcome::Failed(error.to_string()),
        };
        document.put(name, sha256, outcome);
        write(out, &document)?;
    }
    if wanted.is_empty() {
        write(out, &document)?;
    }
    writeln!(
        std::io::stdout(),
        "{}",
        summary(out, wanted.len(), &files, &document)
    )?;
    Ok(ExitCode::SUCCESS)
}

/// What is held against a bound needs a steadier tail than a block of a sum: whoever asks for more runs gets that.
fn plan(runs: Option<u32>) -> MeasurePlan {
    match runs {
        Some(min_runs) => MeasurePlan {
            warmup_runs: 20,
            min_runs,
            min_millis: 500,
            repeats: 3,
        },
        None => MeasurePlan::default(),
    }
}

/// The profile that is there, if it is of this machine, or a new one.
fn open(out: &Path, runtime: Runtime) -> Result<ProfileDocument> {
    let bytes = match std::fs::read(out) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(ProfileDocument {
                version: protocol::VERSION,
                runtime,
                rows: Vec::new(),
                failures: Vec::new(),
            });
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", out.display())),
    };
    let document: ProfileDocument =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no profile", out.display()))?;
    if document.runtime.hash != runtime.hash {
        let name = |r: &Runtime| format!("{}, {}, threads: {}, {}", r.engine, r.provider, r.threads, r.cpu);
        bail!(
            "{} is of another runtime ({}) than this one ({}): write to another file",
            out.display(),
            name(&document.runtime),
            name(&runtime)
        );
    }
    Ok(document)
}

/// The ONNX files of a folder by name, or the one file.
fn files(path: &Path) -> Result<Vec<Wanted>> {
    let mut paths = Vec::new();
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("list {}", path.display()))?.path();
            if path.extension().is_some_and(|ending| ending == "onnx") {
                paths.push(path);
            }
        }
        paths.sort();
    } else {
        paths.push(path.to_owned());
    }
    if paths.is_empty() {
        bail!("{} holds no .onnx file", path.display());
    }
    let file = |path: PathBuf| {
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Wanted {
            name,
            sha256: Digest::of(&bytes),
            path,
        })
    };
    paths.into_iter().map(file).collect()
}

/// Each content once: what has no figure yet, or only a disturbed one.
fn missing(files: &[Wanted], document: &ProfileDocument) -> Vec<Wanted> {
    let known: BTreeSet<&Digest> = document
        .rows
        .iter()
        .filter(|row| !row.measured.disturbed)
        .map(|row| &row.sha256)
        .collect();
    let mut seen = BTreeSet::new();
    files
        .iter()
        .filter(|file| !known.contains(&file.sha256) && seen.insert(&file.sha256))
        .cloned()
        .collect()
}

/// Whole or not at all.
fn write(out: &Path, document: &ProfileDocument) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(document)?;
    let beside = out.with_added_extension("part");
    std::fs::write(&beside, bytes)
        .and_then(|()| std::fs::rename(&beside, out))
        .with_context(|| format!("write {}", out.display()))
}

fn summary(out: &Path, measured: usize, files: &[Wanted], document: &ProfileDocument) -> String {
    let ours = |sha256: &Digest| files.iter().any(|file| file.sha256 == *sha256);
    let disturbed = document
        .rows
        .iter()
        .filter(|row| row.measured.disturbed && ours(&row.sha256))
        .count();
    let failed: Vec<_> = document
        .failures
        .iter()
        .filter(|failed| ours(&failed.sha256))
        .collect();
    let mut lines = vec![format!(
        "{}: {} files, {measured} of them measured now",
        out.display(),
        files.len()
    )];
    if disturbed > 0 {
        lines.push(format!(
            "{disturbed} were disturbed by other work on this machine: run the same command again to measure them anew"
        ));
    }
    if let Some(first) = failed.first() {
        lines.push(format!(
            "{} can't be measured, the first is {}: {}",
            failed.len(),
            first.name,
            first.reason
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::onnx::elementwise;

    fn args(folder: &Path, out: &Path) -> MeasureArgs {
        MeasureArgs {
            file: folder.to_owned(),
            out: Some(out.to_owned()),
            threads: Some(1),
            runs: None,
            json: false,
        }
    }

    fn read(out: &Path) -> ProfileDocument {
        serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap()
    }

    #[test]
    fn a_second_call_measures_only_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("profile.json");
        let error = measure(&args(folder.path(), &out), &out).unwrap_err().to_string();
        assert!(error.ends_with("holds no .onnx file"), "{error}");

        std::fs::write(folder.path().join("a.onnx"), elementwise("Relu", &[1, 3])).unwrap();
        std::fs::write(folder.path().join("junk.onnx"), "junk").unwrap();
        measure(&args(folder.path(), &out), &out).unwrap();
        let first = read(&out);
        assert_eq!(
            (first.rows[0].name.as_str(), first.failures[0].name.as_str()),
            ("a", "junk")
        );

        // What is known stays as it is, whatever is measured besides.
        let mut kept = first.clone();
        kept.rows[0].measured.disturbed = false;
        kept.rows[0].measured.p50_us = 123.0;
        write(&out, &kept).unwrap();
        std::fs::write(folder.path().join("b.onnx"), elementwise("Relu", &[1, 4])).unwrap();
        std::fs::write(folder.path().join("twin.onnx"), elementwise("Relu", &[1, 4])).unwrap();
        measure(&args(folder.path(), &out), &out).unwrap();
        let second = read(&out);
        assert_eq!((second.rows.len(), second.rows[0].measured.p50_us), (2, 123.0));
    }

    #[test]
    fn a_profile_of_another_machine_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("profile.json");
        std::fs::write(folder.path().join("a.onnx"), elementwise("Relu", &[1, 3])).unwrap();
        measure(&args(folder.path(), &out), &out).unwrap();
        let mut other = read(&out);
        other.runtime.hash = "other".into();
        other.runtime.cpu = "Board 4".into();
        write(&out, &other).unwrap();
        let error = measure(&args(folder.path(), &out), &out).unwrap_err().to_string();
        assert!(
            error.contains("is of another runtime") && error.contains("Board 4"),
            "{error}"
        );
        assert_eq!(read(&out), other);
    }
}
