//! Runs graphs, one at a time, on a thread of its own: the agent never waits for a model to load or a graph to end.
//!
//! A new graph is started after the old one has let its last packets through: two at once would share the device
//! and each show the other's latencies.

mod figures;
mod sink;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pipeline::backend::Model;
use pipeline::packet::SidePacket;
use pipeline::run::{RunError, RunStatus};
use pipeline::stall::StallLog;
use pipeline::validate::missing_side_packets;
use pipeline::{GraphError, Inputs, Registry, RunningGraph, validate};
use protocol::desired::Desired;
use protocol::id::Digest;
use tokio::sync::{mpsc, oneshot};

use crate::agent::{Event, Failure, Installed};
use crate::io::inference::LazyRuntime;
use crate::outbox::Outbox;
use figures::Figures;
use sink::OutboxSink;

/// A handle to the thread.
#[derive(Debug)]
pub struct Runner {
    commands: Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Start {
        run: u64,
        installed: Box<Installed>,
        files: BTreeMap<String, PathBuf>,
    },
    Stop {
        done: Option<oneshot::Sender<()>>,
    },
}

/// Opening a graph loads its models; a device may be slow, but not for ever.
const OPEN: Duration = Duration::from_mins(1);
/// What is on its way through the graph may take so long to come out.
const DRAIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(100);
const FIGURES: Duration = Duration::from_secs(1);

impl Runner {
    pub fn spawn(
        events: mpsc::UnboundedSender<Event>,
        outbox: Arc<Mutex<Outbox>>,
        threads: usize,
    ) -> io::Result<Self> {
        let (commands, receiver) = channel();
        let mut work = Work {
            events,
            outbox,
            threads,
            current: None,
        };
        std::thread::Builder::new()
            .name("runner".into())
            .spawn(move || work.serve(&receiver))?;
        Ok(Self { commands })
    }

    pub fn start(&self, run: u64, installed: Installed, files: BTreeMap<String, PathBuf>) {
        drop(self.commands.send(Command::Start {
            run,
            installed: Box::new(installed),
            files,
        }));
    }

    pub fn stop_soon(&self) {
        drop(self.commands.send(Command::Stop { done: None }));
    }

    /// Stops what runs; ready when it has ended.
    pub fn stop(&self) -> impl Future<Output = ()> + Send + use<> {
        let (done, stopped) = oneshot::channel();
        drop(self.commands.send(Command::Stop { done: Some(done) }));
        async { drop(stopped.await) }
    }
}

/// Whether the graph of a document can run here at all.
pub fn check(desired: &Desired) -> Result<(), Failure> {
    let invalid = |message: String| Failure::new("GraphInvalid", message);
    let graph = validate(&desired.graph, &Registry::standard()).map_err(|errors| invalid(list(&errors)))?;
    let missing = missing_side_packets(&graph, desired.models.keys().map(String::as_str));
    if missing.is_empty() {
        Ok(())
    } else {
        Err(invalid(list(&missing)))
    }
}

fn list(errors: &[GraphError]) -> String {
    let shown: Vec<String> = errors.iter().take(5).map(ToString::to_string).collect();
    let more = errors.len().saturating_sub(shown.len());
    let rest = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    format!("{}{rest}", shown.join("; "))
}

struct Work {
    events: mpsc::UnboundedSender<Event>,
    outbox: Arc<Mutex<Outbox>>,
    threads: usize,
    current: Option<Current>,
}

struct Current {
    run: u64,
    graph: RunningGraph,
    figures: Figures,
    began: Instant,
    open: bool,
    told: Instant,
    stalls: StallLog,
}

impl Work {
    fn serve(&mut self, commands: &Receiver<Command>) {
        loop {
            let command = if self.current.is_some() {
                match commands.recv_timeout(LOOK) {
                    Ok(command) => Some(command),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return self.end(),
                }
            } else {
                match commands.recv() {
                    Ok(command) => Some(command),
                    Err(_) => return,
                }
            };
            match command {
                Some(Command::Start {
                    run,
                    installed,
                    files,
                }) => {
                    self.end();
                    match self.begin(run, &installed, &files) {
                        Ok(current) => self.current = Some(current),
                        Err(failure) => self.tell(Event::StartFailed { run, failure }),
                    }
                }
                Some(Command::Stop { done }) => {
                    self.end();
                    if let Some(done) = done {
                        // Whoever asked may have given up waiting.
                        let _ = done.send(());
                    }
                }
                None => {}
            }
            self.look();
        }
    }

    fn begin(
        &self,
        run: u64,
        installed: &Installed,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<Current, Failure> {
        let failed = |message: String| Failure::new("GraphOpenFailed", message);
        let graph = validate(&installed.graph, &Registry::standard())
            .map_err(|errors| Failure::new("GraphInvalid", list(&errors)))?;
        let mut side_packets = BTreeMap::new();
        for (name, path) in files {
            let bytes = std::fs::read(path)
                .map_err(|error| failed(format!("model {name}: {}: {error}", path.display())))?;
            // The bytes that run are the bytes that were checked, whatever happened to the file since.
            let wanted = installed.models.get(name).map(|model| &model.sha256);
            let found = Digest::of(&bytes);
            if wanted != Some(&found) {
                let message = format!("model {name}: {} has digest {found}", path.display());
                return Err(Failure::new("DigestMismatch", message));
            }
            let model = Model {
                name: name.clone(),
                bytes: bytes.into(),
                threads: self.threads,
            };
            side_packets.insert(name.clone(), SidePacket::new(model));
        }
        let inputs = Inputs {
            side_packets,
            sink: Arc::new(OutboxSink::new(Arc::clone(&self.outbox))),
            backend: Arc::new(LazyRuntime),
            ..Inputs::default()
        };
        let figures = Figures::new(&graph);
        let graph = graph.start(inputs).map_err(|error| failed(error.to_string()))?;
        let began = Instant::now();
        Ok(Current {
            run,
            graph,
            figures,
            began,
            open: false,
            told: began,
            stalls: StallLog::default(),
        })
    }

    /// Tells what the running graph came to since the last look.
    fn look(&mut self) {
        let Some(current) = &mut self.current else { return };
        let run = current.run;
        if !current.open {
            let failure = match current.graph.wait_open(Duration::ZERO) {
                Some(RunStatus::Failed(error)) => Failure::new("GraphOpenFailed", error.to_string()),
                Some(_) => {
                    current.open = true;
                    self.tell(Event::Started { run });
                    return;
                }
                None if current.began.elapsed() < OPEN => return,
                None => Failure::new("GraphOpenFailed", format!("not open within {OPEN:?}")),
            };
            self.end();
            self.tell(Event::StartFailed { run, failure });
            return;
        }
        for stall in current.stalls.note(current.graph.stalls()) {
            tracing::warn!(node = stall.node, "the graph stalls: {stall}");
        }
        let over = current.graph.status();
        if current.told.elapsed() >= FIGURES || over.is_over() {
            current.told = Instant::now();
            let running = current.figures.of(&current.graph.stats());
            self.tell(Event::Figures { run, running });
        }
        if over.is_over() {
            self.end();
            self.tell(Event::Ended {
                run,
                failure: why(over),
            });
        }
    }

    fn end(&mut self) {
        let Some(Current { graph, .. }) = self.current.take() else {
            return;
        };
        graph.stop();
        if graph.wait_timeout(DRAIN).is_none() {
            graph.cancel();
            if graph.wait_timeout(DRAIN).is_none() {
                tracing::error!("a node doesn't return; its threads are left behind");
            }
        }
    }

    fn tell(&self, event: Event) {
        drop(self.events.send(event));
    }
}

fn why(status: RunStatus) -> Option<Failure> {
    let error = match status {
        RunStatus::Failed(error) => error,
        RunStatus::Cancelled => RunError::Cancelled,
        RunStatus::Opening | RunStatus::Running | RunStatus::Stopping | RunStatus::Finished => return None,
    };
    let code = match error {
        RunError::Node { .. } => "NodeError",
        RunError::StatusHandler { .. } => "StatusHandlerError",
        RunError::Deadlock { .. } | RunError::NoSidePacket { .. } => "GraphStalled",
        RunError::Late { .. } | RunError::LateInput { .. } => "PacketLate",
        RunError::Cancelled => "GraphCancelled",
        RunError::Broken => "GraphBroken",
    };
    Some(Failure::new(code, error.to_string()))
}
