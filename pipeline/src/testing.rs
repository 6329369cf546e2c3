//! For tests: calculators of known behaviour, and graphs from text run to the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::VirtualClock;
use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError, NodeType};
use crate::packet::Packet;
use crate::run::{Inputs, Observed, Observer, RunningGraph};
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::{Registry, ValidatedGraph, load_graph, validate};

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

pub(crate) fn registry() -> Registry {
    Registry::standard()
        .with(NodeType::of::<Count>())
        .with(NodeType::of::<Keep>())
        .with(NodeType::of::<Mix>())
        .with(NodeType::of::<Fault>())
}

pub(crate) fn graph(text: &str) -> ValidatedGraph {
    let spec = load_graph(text).unwrap_or_else(|errors| panic!("{errors:?}"));
    validate(&spec, &registry()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// What the output streams carried: `time:value` per packet, `|` when closed.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<BTreeMap<String, Vec<String>>>);

impl Recorder {
    pub(crate) fn seen(&self) -> BTreeMap<String, Vec<String>> {
        lock(&self.0).clone()
    }

    pub(crate) fn stream(&self, name: &str) -> String {
        lock(&self.0)
            .get(name)
            .map(|seen| seen.join(" "))
            .unwrap_or_default()
    }
}

impl Observer for Recorder {
    fn seen(&self, stream: &str, what: Observed<'_>) {
        let text = match what {
            Observed::Packet(packet) => {
                let value = packet.get::<i64>().map_or("?".to_owned(), i64::to_string);
                format!("{}:{value}", packet.timestamp())
            }
            Observed::Bound(_) => return,
            Observed::Closed => "|".to_owned(),
        };
        lock(&self.0).entry(stream.to_owned()).or_default().push(text);
    }
}

/// Starts a graph on a clock that jumps from one event to the next.
pub(crate) fn start(graph: &ValidatedGraph, threads: usize) -> (RunningGraph, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let inputs = Inputs {
        clock: Arc::new(VirtualClock::jumping(0)),
        observer: Some(Arc::clone(&recorder) as Arc<dyn Observer>),
        threads: Some(threads),
        ..Inputs::default()
    };
    (graph.start(inputs).unwrap(), recorder)
}

/// Source: the numbers 0 to count - 1 at times 0, step, 2·step...
#[derive(Debug)]
pub(crate) struct Count {
    options: CountOptions,
    next: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct CountOptions {
    count: i64,
    step: i64,
}

impl Default for CountOptions {
    fn default() -> Self {
        Self { count: 10, step: 1 }
    }
}

impl Calculator for Count {
    const NAME: &'static str = "Count";
    const DOC: &'static str = "Counts.";
    type Options = CountOptions;

    fn contract(_options: &CountOptions) -> Contract {
        Contract::default().output(Port::of::<i64>(""))
    }

    fn new(options: CountOptions) -> Self {
        Self { options, next: 0 }
    }
}

impl Node for Count {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if self.next >= self.options.count {
            return Ok(Flow::Stop);
        }
        ctx.send(0, Packet::new(self.next, at(self.next * self.options.step)));
        self.next += 1;
        Ok(Flow::Continue)
    }
}

/// Lets every n-th packet through, and says nothing about the others.
#[derive(Debug)]
pub(crate) struct Keep {
    every: i64,
    seen: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeepOptions {
    every: i64,
}

impl Calculator for Keep {
    const NAME: &'static str = "Keep";
    const DOC: &'static str = "Keeps every n-th.";
    type Options = KeepOptions;

    fn contract(_options: &KeepOptions) -> Contract {
        Contract::default()
            .input(Port::any(""))
            .output(Port::same_as("", ""))
    }

    fn new(options: KeepOptions) -> Self {
        Self {
            every: options.every.max(1),
            seen: 0,
        }
    }
}

impl Node for Keep {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        self.seen += 1;
        if (self.seen - 1) % self.every == 0 {
            let packet = ctx.take(0);
            ctx.send(0, packet);
        }
        Ok(Flow::Continue)
    }
}

/// Folds a set of numbers into one, with what was there before, so that a lost or repeated set shows.
#[derive(Debug)]
pub(crate) struct Mix {
    state: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoOptions {}

impl Calculator for Mix {
    const NAME: &'static str = "Mix";
    const DOC: &'static str = "Folds numbers.";
    type Options = NoOptions;

    fn contract(_options: &NoOptions) -> Contract {
        Contract::default()
            .input(Port::of::<i64>("").arity(Arity::Many))
            .output(Port::of::<i64>("").arity(Arity::Many))
            .offset(0)
    }

    fn new(_options: NoOptions) -> Self {
        Self { state: 0 }
    }
}

impl Node for Mix {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        for input in 0..ctx.input_count() {
            let value = ctx.get::<i64>(input)?.copied().unwrap_or(-1);
            self.state = (self.state * 31 + value + input as i64) % 1_000_003;
        }
        for output in 0..ctx.output_count() {
            ctx.send_value(output, self.state + output as i64);
        }
        Ok(Flow::Continue)
    }
}

/// Misbehaves on the n-th packet.
#[derive(Debug)]
pub(crate) struct Fault {
    options: FaultOptions,
    seen: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FaultOptions {
    /// open, error, panic, stop or backward.
    kind: String,
    on: i64,
}

impl Calculator for Fault {
    const NAME: &'static str = "Fault";
    const DOC: &'static str = "Misbehaves.";
    type Options = FaultOptions;

    fn contract(_options: &FaultOptions) -> Contract {
        Contract::default()
            .input(Port::any(""))
            .output(Port::same_as("", ""))
    }

    fn new(options: FaultOptions) -> Self {
        Self { options, seen: 0 }
    }
}

impl Node for Fault {
    fn open(&mut self, _ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if self.options.kind == "open" {
            Err(NodeError::Failed("no device".to_owned()))
        } else {
            Ok(())
        }
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let here = self.seen == self.options.on;
        self.seen += 1;
        let packet = ctx.take(0);
        match self.options.kind.as_str() {
            "error" if here => return Err(NodeError::Failed("lens cap on".to_owned())),
            "panic" if here => panic!("index 9 of 3"),
            "stop" if here => {
                ctx.send(0, packet);
                return Ok(Flow::Stop);
            }
            "backward" if here => ctx.send(0, packet.at(at(0))),
            _ => ctx.send(0, packet),
        }
        Ok(Flow::Continue)
    }
}
