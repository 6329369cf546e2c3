//! `run --feed`: a graph fed with the lines of a file, and what it gave as lines.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use pipeline::replay::{Feed, ReplayClock, Settings, run};
use pipeline::trace::Trace;
use pipeline::{Inputs, ValidatedGraph};

use super::file::read;
use super::models::models;
use super::trace;
use crate::args::{ClockArg, RunArgs};
use crate::io::inference::LazyRuntime;

pub(super) fn replay(args: &RunArgs, feed: &Path, graph: &ValidatedGraph) -> Result<ExitCode> {
    let folder = feed.parent().unwrap_or(Path::new(""));
    let lines = Feed::parse(&read(feed)?, folder).with_context(|| format!("read {}", feed.display()))?;
    let trace = args.trace.as_ref().map(|_| Arc::<Trace>::default());
    let inputs = Inputs {
        side_packets: models(args, graph)?,
        backend: Arc::new(LazyRuntime),
        trace: trace.clone(),
        ..Inputs::default()
    };
    let settings = Settings {
        clock: match args.clock {
            ClockArg::Virtual => ReplayClock::Virtual,
            ClockArg::Real => ReplayClock::Real,
        },
        bounds: args.bounds,
        head_start: 0,
    };
    let record = run(graph, &lines, inputs, &settings).with_context(|| format!("feed {}", feed.display()))?;
    match &args.record {
        Some(path) => {
            let text = record.write(Some(&path.with_extension("frames")))?;
            std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
        }
        None => write!(std::io::stdout(), "{}", record.write(None)?)?,
    }
    if let (Some(trace), Some(path)) = (&trace, &args.trace) {
        writeln!(std::io::stderr(), "{}", trace::write(trace, path)?)?;
    }
    let ok = record.status().is_some_and(pipeline::replay::Status::is_ok);
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
