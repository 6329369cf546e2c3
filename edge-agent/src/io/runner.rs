//! Runs graphs, one at a time, on a thread of its own: the agent never waits for a model to load or a graph to end.
//!
//! A new graph takes the place of the running one between two frames, and what they have in common goes on. Where
//! that can't be, it is started after the old one has let its last packets through: two runs at once would share the
//! device and each show the other's latencies.

mod figures;
mod prepare;
mod sink;
mod switch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pipeline::run::{RunError, RunStatus};
use pipeline::stall::StallLog;
use pipeline::validate::missing_side_packets;
use pipeline::{GraphError, Inputs, Registry, RunningGraph, validate};
use protocol::desired::Desired;
use tokio::sync::{mpsc, oneshot};

use crate::agent::{Event, Failure, Installed};
use crate::io::inference::LazyRuntime;
use crate::outbox::Outbox;
use figures::Figures;
use prepare::{Order, Prepared, open_failed};
use sink::OutboxSink;
use switch::{Outcome, Switching};

/// A handle to the thread.
#[derive(Debug)]
pub struct Runner {
    commands: Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Start(Box<Order>),
    Switch(Box<Order>),
    Stop { done: Option<oneshot::Sender<()>> },
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

    /// Ends what runs, and starts this.
    pub fn start(&self, run: u64, installed: Installed, files: BTreeMap<String, PathBuf>) {
        let order = Order {
            run,
            installed,
            files,
        };
        drop(self.commands.send(Command::Start(Box::new(order))));
    }

    /// Lets this take the place of what runs; starts it if nothing does.
    pub fn switch(&self, run: u64, installed: Installed, files: BTreeMap<String, PathBuf>) {
        let order = Order {
            run,
            installed,
            files,
        };
        drop(self.commands.send(Command::Switch(Box::new(order))));
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
    graph: Arc<RunningGraph>,
    figures: Figures,
    began: Instant,
    open: bool,
    told: Instant,
    stalls: StallLog,
    switching: Option<Switching>,
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
                Some(Command::Start(order)) => self.begin(&order),
                Some(Command::Switch(order)) => self.switch(&order),
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

    fn begin(&mut self, order: &Order) {
        self.end();
        match self.start(order) {
            Ok(current) => self.current = Some(current),
            Err(failure) => self.tell(Event::StartFailed {
                run: order.run,
                failure,
            }),
        }
    }

    fn start(&self, order: &Order) -> Result<Current, Failure> {
        let Prepared {
            graph,
            side_packets,
            figures,
        } = order.prepare(self.threads)?;
        let inputs = Inputs {
            side_packets,
            sink: Arc::new(OutboxSink::new(Arc::clone(&self.outbox))),
            backend: Arc::new(LazyRuntime),
            ..Inputs::default()
        };
        let graph = graph
            .start(inputs)
            .map_err(|error| open_failed(error.to_string()))?;
        let began = Instant::now();
        Ok(Current {
            run: order.run,
            graph: Arc::new(graph),
            figures,
            began,
            open: false,
            told: began,
            stalls: StallLog::default(),
            switching: None,
        })
    }

    fn switch(&mut self, order: &Order) {
        let ready = |current: &&mut Current| current.open && current.switching.is_none();
        let Some(current) = self.current.as_mut().filter(ready) else {
            return self.begin(order);
        };
        match Switching::begin(&current.graph, order.clone(), self.threads) {
            Ok(switching) => current.switching = Some(switching),
            Err(error) => self.tell(Event::SwitchFailed {
                run: order.run,
                failure: open_failed(format!("no thread to open it on: {error}")),
            }),
        }
    }

    /// Tells what the running graph came to since the last look.
    fn look(&mut self) {
        self.look_at_switch();
        let Some(current) = &mut self.current else { return };
        let run = current.run;
        if !current.open {
            let failure = match current.graph.wait_open(Duration::ZERO) {
                Some(RunStatus::Failed(error)) => open_failed(error.to_string()),
                Some(_) => {
                    current.open = true;
                    self.tell(Event::Started { run });
                    return;
                }
                None if current.began.elapsed() < OPEN => return,
                None => open_failed(format!("not open within {OPEN:?}")),
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
            let running = current.figures.of(&current.graph.window());
            self.tell(Event::Figures { run, running });
        }
        // The end of a graph that is to be replaced comes out as the switch's outcome.
        let replaced = self.current.as_ref().is_some_and(|c| c.switching.is_some());
        if over.is_over() && !replaced {
            self.end();
            self.tell(Event::Ended {
                run,
                failure: why(over),
            });
        }
    }

    fn look_at_switch(&mut self) {
        let Some(current) = &mut self.current else { return };
        let Some(outcome) = current.switching.as_ref().and_then(|it| it.outcome(OPEN)) else {
            return;
        };
        let Some(order) = current.switching.take().map(|switching| switching.order) else {
            return;
        };
        let run = order.run;
        match outcome {
            Outcome::Switched(figures, report) => {
                tracing::info!(
                    run,
                    revision = order.installed.revision,
                    "the graph is replaced: {report}"
                );
                (current.run, current.figures, current.told) = (run, figures, Instant::now());
                self.tell(Event::Started { run });
            }
            Outcome::Kept(failure) => self.tell(Event::SwitchFailed { run, failure }),
            Outcome::Impossible(why) => {
                tracing::warn!(
                    run,
                    why,
                    "the graph can't be replaced while it runs: it is ended first"
                );
                self.begin(&order);
            }
            Outcome::Overdue => {
                tracing::error!(
                    run,
                    "a node doesn't come to the end of Open; its thread is left behind"
                );
                self.end();
                let failure = open_failed(format!("not open within {OPEN:?}"));
                self.tell(Event::StartFailed { run, failure });
            }
        }
    }

    fn end(&mut self) {
        let Some(Current { graph, switching, .. }) = self.current.take() else {
            return;
        };
        graph.stop();
        if graph.wait_timeout(DRAIN).is_none() {
            graph.cancel();
            if graph.wait_timeout(DRAIN).is_none() {
                tracing::error!("a node doesn't return; its threads are left behind");
            }
        }
        if switching.is_some_and(|switching| !switching.ends_within(DRAIN)) {
            tracing::error!("a node doesn't come to the end of Open; its thread is left behind");
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
