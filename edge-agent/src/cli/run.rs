//! `run`: one graph here, without a fleet.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use crossterm::cursor::MoveUp;
use crossterm::terminal::{Clear, ClearType};
use crossterm::{ExecutableCommand, QueueableCommand};
use pipeline::prometheus;
use pipeline::report::Report;
use pipeline::run::RunStatus;
use pipeline::sink::{Delivery, SinkPort};
use pipeline::stall::{Stall, StallLog};
use pipeline::timestamp::Timestamp;
use pipeline::trace::Trace;
use pipeline::{Inputs, Registry, RunningGraph};
use serde_json::{Value, json};

use super::file::load;
use super::metrics::Metrics;
use super::models::models;
use super::reload::Reloader;
use super::replay::replay;
use super::signals::Signals;
use super::table::{fit, line, stalled, table};
use super::trace;
use crate::args::RunArgs;
use crate::io::inference::LazyRuntime;

/// So often it is looked for what stands still, to name it within a second.
const LOOK: Duration = Duration::from_millis(250);
const REDRAW: Duration = Duration::from_millis(500);
const PLAIN: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(5);

pub(super) fn run(args: &RunArgs) -> Result<ExitCode> {
    if args.watch && args.graph.file == Path::new("-") {
        bail!("standard input can't be watched: give the graph as a file");
    }
    let loaded = load(&args.graph)?.and_then(|graph| graph.validate(&Registry::standard()));
    let graph = match loaded {
        Ok(graph) => graph,
        Err(errors) => {
            let mut err = io::stderr().lock();
            for error in errors {
                writeln!(err, "{}: {error}", args.graph.file.display())?;
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut reloader = Reloader::new(args);
    for (path, what) in [(&args.report, "report"), (&args.trace, "trace")] {
        if let Some(path) = path {
            // Better now than when the run is over.
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .with_context(|| format!("open the {what} {} for writing", path.display()))?;
        }
    }
    if let Some(feed) = &args.feed {
        return replay(args, feed, &graph);
    }
    let live = io::stderr().is_terminal();
    // Results and a table that redraws would tear each other apart on one screen.
    let print = !(args.quiet || live && io::stdout().is_terminal());
    let (sink, printer) = Printer::new(print)?;
    let sink = Arc::new(sink);
    let trace = args.trace.as_ref().map(|_| Arc::<Trace>::default());
    let side_packets = models(args, &graph)?;
    let metrics = args.metrics_address.map(Metrics::serve).transpose()?;
    if let Some(metrics) = &metrics {
        writeln!(io::stderr(), "figures at http://{}/metrics", metrics.address())?;
    }
    let inputs = Inputs {
        side_packets,
        sink: sink.clone(),
        backend: Arc::new(LazyRuntime),
        trace: trace.clone(),
        ..Inputs::default()
    };
    let running = graph.start(inputs)?;
    let signals = Signals::listen()?;
    let end = args.duration.map(|duration| Instant::now() + duration.get());
    let mut watch = Watch {
        live,
        drawn: 0,
        stalls: StallLog::default(),
        metrics,
    };
    let outcome = watch.run(&running, end, &signals, &mut reloader)?;
    let stats = running.stats();
    drop(running);
    let results = sink.close();
    if let Some(printer) = printer {
        drop(printer.join());
    }
    let mut err = io::stderr().lock();
    let ran = stats.nodes.iter().any(|node| node.processed > 0) || stats.produced() > 0;
    if !live && ran {
        for text in table(&stats) {
            writeln!(err, "{text}")?;
        }
    }
    writeln!(err, "{results} results in {:.1} s", stats.elapsed_seconds)?;
    if let Some(path) = &args.report {
        let text = Report::new(stats, watch.stalls.into_stalls()).to_json() + "\n";
        std::fs::write(path, text).with_context(|| format!("write the report {}", path.display()))?;
    }
    if let (Some(trace), Some(path)) = (&trace, &args.trace) {
        writeln!(err, "{}", trace::write(trace, path)?)?;
    }
    match outcome {
        RunStatus::Failed(error) => {
            writeln!(err, "error: {error}")?;
            Ok(ExitCode::FAILURE)
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What is shown of a run while it goes on.
struct Watch {
    live: bool,
    /// Lines of the table on the screen.
    drawn: u16,
    stalls: StallLog,
    metrics: Option<Metrics>,
}

impl Watch {
    /// Shows the run until its time or its sources end; tells how it ended.
    fn run(
        &mut self,
        running: &RunningGraph,
        end: Option<Instant>,
        signals: &Signals,
        reloader: &mut Reloader<'_>,
    ) -> Result<RunStatus> {
        let mut stopping = None;
        let (mut said, mut shown) = (Instant::now(), None);
        loop {
            let now = Instant::now();
            if stopping.is_none() && (end.is_some_and(|end| now >= end) || signals.ask_to_stop()) {
                running.stop();
                stopping = Some(now);
            }
            if stopping.is_some_and(|since| since.elapsed() > DRAIN) {
                running.cancel();
            }
            let left = end
                .filter(|_| stopping.is_none())
                .map_or(LOOK, |end| end.saturating_duration_since(now));
            let over = running.wait_timeout(left.min(LOOK)).is_some();
            let stalls = running.stalls();
            let new = self.stalls.note(stalls.clone());
            if over || shown.is_none_or(|shown: Instant| shown.elapsed() >= REDRAW) {
                shown = Some(Instant::now());
                self.show(running, &stalls)?;
            }
            if !self.live {
                Self::say(running, &new, &mut said)?;
            }
            if stopping.is_none() && !over {
                let changes = reloader.look(running, signals.reloads());
                for text in &changes {
                    writeln!(io::stderr(), "{text}")?;
                }
                if !changes.is_empty() {
                    // The table goes on below.
                    self.drawn = 0;
                }
            }
            if over {
                return Ok(running.status());
            }
        }
    }

    fn show(&mut self, running: &RunningGraph, stalls: &[Stall]) -> Result<()> {
        if !self.live && self.metrics.is_none() {
            return Ok(());
        }
        let stats = running.stats();
        if let Some(metrics) = &self.metrics {
            metrics.set(prometheus::text(&stats, stalls));
        }
        if self.live {
            let mut lines = table(&stats);
            lines.extend(stalled(stalls));
            // A terminal that doesn't tell its size is taken as large enough.
            let (width, height) = crossterm::terminal::size().unwrap_or((u16::MAX, u16::MAX));
            let lines = fit(lines, width.into(), height.into());
            self.drawn = redraw(&mut io::stderr(), self.drawn, &lines)?;
        }
        Ok(())
    }

    /// Where there is no screen to redraw: what has begun to stand still at once, the figures now and then.
    fn say(running: &RunningGraph, new: &[Stall], said: &mut Instant) -> Result<()> {
        let mut err = io::stderr();
        for text in stalled(new) {
            writeln!(err, "{text}")?;
        }
        if said.elapsed() >= PLAIN {
            *said = Instant::now();
            writeln!(err, "{}", line(&running.stats()))?;
        }
        Ok(())
    }
}

fn redraw(err: &mut io::Stderr, drawn: u16, lines: &[String]) -> io::Result<u16> {
    if drawn > 0 {
        err.queue(MoveUp(drawn))?;
    }
    for text in lines {
        err.queue(Clear(ClearType::CurrentLine))?;
        writeln!(err, "{text}")?;
    }
    err.execute(Clear(ClearType::FromCursorDown))?;
    Ok(lines.len() as u16)
}

/// Prints the sinks' results as lines of JSON, or only counts them.
struct Printer {
    lines: std::sync::Mutex<Option<SyncSender<String>>>,
    count: AtomicU64,
}

impl Printer {
    fn new(print: bool) -> Result<(Self, Option<JoinHandle<()>>)> {
        let (lines, thread) = if print {
            let (sender, receiver) = sync_channel::<String>(1024);
            let thread = std::thread::Builder::new()
                .name("printer".into())
                .spawn(move || {
                    let mut out = io::stdout().lock();
                    for text in receiver {
                        if writeln!(out, "{text}").is_err() {
                            return;
                        }
                    }
                })?;
            (Some(sender), Some(thread))
        } else {
            (None, None)
        };
        Ok((
            Self {
                lines: std::sync::Mutex::new(lines),
                count: AtomicU64::new(0),
            },
            thread,
        ))
    }

    /// Lets the printing thread end; tells how many results there were.
    fn close(&self) -> u64 {
        drop(self.lines.lock().map(|mut lines| lines.take()));
        self.count.load(Ordering::Relaxed)
    }
}

impl SinkPort for Printer {
    fn publish(&self, stream: &str, timestamp: Timestamp, value: Value) -> Delivery {
        let lines = self.lines.lock().ok().and_then(|lines| lines.clone());
        if let Some(lines) = lines {
            let text = json!({"stream": stream, "t": timestamp.micros(), "value": value}).to_string();
            if lines.try_send(text).is_err() {
                return Delivery::Refused;
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        Delivery::Taken
    }
}
