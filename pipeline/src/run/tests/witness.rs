//! A node that does what its options say and tells of every call, and a graph of such nodes on a stage.

use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::VirtualClock;
use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError, NodeType};
use crate::packet::{Packet, Payload};
use crate::run::tests::LIMIT;
use crate::run::tests::filters::{Delay, LastPacket, Sum};
use crate::run::{Inputs, Observed, Observer, RunError, RunningGraph};
use crate::service::{GraphServices, Service};
use crate::sync::lock;
use crate::testing::{at, registry};
use crate::{ValidatedGraph, load_graph, validate};

/// Where all nodes of a graph tell of their calls.
pub(super) const JOURNAL: Service<Journal> = Service::or_default("journal");

#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    lines: Arc<Mutex<Vec<String>>>,
    /// Nodes that may fail do.
    failing: bool,
}

impl Journal {
    pub(super) fn failing() -> Self {
        Self {
            failing: true,
            ..Self::default()
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    pub(super) fn say(&self, line: String) {
        lock(&self.lines).push(line);
    }

    /// Lines that begin so.
    pub(super) fn count(&self, start: &str) -> usize {
        self.lines().iter().filter(|line| line.starts_with(start)).count()
    }
}

/// What the node does in each call, in words: see `Witness::act`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Options {
    open: Vec<String>,
    /// A source: what it does in its first call, its second and so on; it stops after the last. Any other node does
    /// the first of these in every call.
    process: Vec<Vec<String>>,
    close: Vec<String>,
    /// Process runs for settled times too.
    bounds: bool,
    offset: Option<i64>,
}

pub(super) struct Witness {
    options: Options,
    calls: usize,
}

impl Calculator for Witness {
    const NAME: &'static str = "Witness";
    const DOC: &'static str = "Tells of its calls.";
    type Options = Options;

    fn contract(options: &Options) -> Contract {
        let contract = Contract::default()
            .input(Port::any("").arity(Arity::Any))
            .output(Port::any("").arity(Arity::Any))
            .side_input(Port::any("AFTER").arity(Arity::Optional))
            .service(&JOURNAL);
        Contract {
            process_timestamp_bounds: options.bounds,
            timestamp_offset: options.offset,
            ..contract
        }
    }

    fn new(options: Options) -> Self {
        Self { options, calls: 0 }
    }
}

impl Witness {
    /// `T=V` and `<T` send a packet or a bound on the first output, `pass` the first input's packet.
    fn act(words: &[String], ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let mut flow = Flow::Continue;
        for word in words {
            match word.split_once(' ').unwrap_or((word, "")) {
                ("fail", "") => return Err(NodeError::Failed("told to".to_owned())),
                ("may", "fail") if !ctx.service(&JOURNAL)?.failing => {}
                ("may", "fail") => return Err(NodeError::Failed("not today".to_owned())),
                ("stop", "") => flow = Flow::Stop,
                ("pass", "") => {
                    let packet = ctx.take(0);
                    ctx.send(0, packet);
                }
                ("close", "") => ctx.close_output(0),
                ("offset", micros) => ctx.set_offset(micros.parse().unwrap()),
                ("header", text) => ctx.set_header(0, Payload::new(text.to_owned())),
                ("read", "header") => {
                    let header = ctx.header(0).and_then(Payload::get::<String>).cloned();
                    let header = header.ok_or(NodeError::Failed("no header".to_owned()))?;
                    tell(ctx, &format!("header {header}"))?;
                }
                _ => match word.split_once('=') {
                    Some((time, value)) => {
                        let value: i64 = value.parse().unwrap();
                        ctx.send(0, Packet::new(value, time.parse().unwrap()));
                    }
                    None => ctx.raise_bound(0, word.strip_prefix('<').unwrap().parse().unwrap()),
                },
            }
        }
        Ok(flow)
    }
}

impl Node for Witness {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        tell(ctx, "Open")?;
        Self::act(&self.options.open, ctx).map(drop)
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        tell(ctx, "Process")?;
        let source = ctx.input_count() == 0;
        let call = if source { self.calls } else { 0 };
        self.calls += 1;
        match self.options.process.get(call) {
            Some(words) => Self::act(words, ctx),
            None if source => Ok(Flow::Stop),
            None => Ok(Flow::Continue),
        }
    }

    fn close(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        tell(ctx, "Close")?;
        Self::act(&self.options.close, ctx).map(drop)
    }
}

/// `node call time input...`: an input is its value, or `<bound` where it has none.
fn tell(ctx: &Context<'_>, call: &str) -> Result<(), NodeError> {
    let mut line = format!("{} {call} {}", ctx.node(), ctx.timestamp());
    for input in 0..ctx.input_count() {
        let input = match ctx.input(input).payload() {
            Some(payload) => shown(payload),
            None => format!("<{}", ctx.input_bound(input)),
        };
        line = line + " " + &input;
    }
    ctx.service(&JOURNAL)?.say(line);
    Ok(())
}

fn shown(payload: &Payload) -> String {
    payload.get::<i64>().map_or("?".to_owned(), i64::to_string)
}

/// What one output stream gave: `time=value`, `<bound`, `|` at its end.
#[derive(Debug, Default)]
struct Seen(Mutex<Vec<(String, String)>>);

impl Observer for Seen {
    fn seen(&self, stream: &str, what: Observed<'_>) {
        let text = match what {
            Observed::Packet(packet) => {
                let value = packet.payload().map_or(String::new(), shown);
                format!("{}={value}", packet.timestamp())
            }
            Observed::Bound(bound) => format!("<{bound}"),
            Observed::Closed => "|".to_owned(),
        };
        lock(&self.0).push((stream.to_owned(), text));
    }
}

pub(super) fn witnesses(text: &str) -> ValidatedGraph {
    let spec = load_graph(text).unwrap_or_else(|errors| panic!("{errors:?}"));
    let registry = registry()
        .with(NodeType::of::<Witness>())
        .with(NodeType::of::<Sum>())
        .with(NodeType::of::<Delay>())
        .with(NodeType::of::<LastPacket>());
    validate(&spec, &registry).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// A graph that runs, and what is seen of it.
pub(super) struct Stage {
    pub(super) running: RunningGraph,
    pub(super) journal: Journal,
    seen: Arc<Seen>,
}

impl Stage {
    pub(super) fn start(text: &str, threads: usize) -> Self {
        Self::start_graph(&witnesses(text), threads, Journal::default())
    }

    pub(super) fn start_graph(graph: &ValidatedGraph, threads: usize, journal: Journal) -> Self {
        let seen = Arc::new(Seen::default());
        let inputs = Inputs {
            clock: Arc::new(VirtualClock::jumping(0)),
            observer: Some(Arc::clone(&seen) as Arc<dyn Observer>),
            threads: Some(threads),
            services: GraphServices::default().with(&JOURNAL, journal.clone()),
            ..Inputs::default()
        };
        Self {
            running: graph.start(inputs).unwrap(),
            journal,
            seen,
        }
    }

    /// `stream@time=value`, `stream@time` for a bound, `stream|` for its end; each is dealt with before the next.
    pub(super) fn feed(&self, entries: &str) {
        for entry in entries.split_whitespace() {
            let fed = match entry.split_once('@') {
                None => self.running.close_input(entry.strip_suffix('|').unwrap()),
                Some((stream, rest)) => match rest.split_once('=') {
                    None => self.running.feed_bound(stream, rest.parse().unwrap()),
                    Some((time, value)) => {
                        let value: i64 = value.parse().unwrap();
                        let packet = Packet::new(value, time.parse().unwrap());
                        self.running.feed(stream, packet)
                    }
                },
            };
            fed.unwrap_or_else(|error| panic!("{entry}: {error}"));
            self.running.wait_idle();
        }
    }

    /// A packet with a value that the caller can watch.
    pub(super) fn feed_watched(&self, stream: &str, micros: i64) -> std::sync::Weak<i64> {
        let value = Arc::new(micros);
        let watch = Arc::downgrade(&value);
        let packet = Packet::from_payload(Payload::shared(value), at(micros));
        self.running.feed(stream, packet).unwrap();
        self.running.wait_idle();
        watch
    }

    pub(super) fn stream(&self, name: &str) -> String {
        let seen = lock(&self.seen.0);
        let of_stream = seen.iter().filter(|(stream, _)| stream == name);
        of_stream
            .map(|(_, text)| text.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Packets only.
    pub(super) fn packets(&self, name: &str) -> String {
        let seen = self.stream(name);
        let packets = seen.split_whitespace().filter(|text| text.contains('='));
        packets.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn end(&self) -> Result<(), RunError> {
        self.running.close_all_inputs();
        self.running.wait_timeout(LIMIT).unwrap()
    }
}
