//! Nodes that tell when they are opened and closed.

use std::sync::{Arc, Condvar, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Registry;
use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError, NodeType};
use crate::packet::Packet;
use crate::sync::lock;

pub(super) fn registry() -> Registry {
    crate::testing::registry()
        .with(NodeType::of::<Ticker>())
        .with(NodeType::of::<Probe>())
        .with(NodeType::of::<Hang>())
}

#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn lines(&self) -> Vec<String> {
        lock(&self.0).clone()
    }

    pub(super) fn count(&self, start: &str) -> usize {
        lock(&self.0)
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    }

    fn say(&self, line: String) {
        lock(&self.0).push(line);
    }
}

fn say(ctx: &Context<'_>, text: &str) {
    if let Some(log) = ctx.side_packet("LOG", 0).and_then(|packet| packet.get::<Log>()) {
        log.say(text.to_owned());
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct TickerOptions {
    /// Milliseconds; ten when zero.
    every: i64,
}

/// Source: the numbers from 0 on, one at every tick, stamped with the clock's time.
pub(super) struct Ticker {
    every: i64,
    next: i64,
}

impl Calculator for Ticker {
    const NAME: &'static str = "Ticker";
    const DOC: &'static str = "Ticks.";
    type Options = TickerOptions;

    fn contract(_options: &TickerOptions) -> Contract {
        let contract = Contract::default().output(Port::of::<i64>(""));
        contract.side_input(Port::of::<Log>("LOG").arity(Arity::Optional))
    }

    fn new(options: TickerOptions) -> Self {
        let every = if options.every == 0 { 10 } else { options.every } * 1_000;
        Self { every, next: 0 }
    }
}

impl Node for Ticker {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        say(ctx, &format!("open {}", ctx.node()));
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let stamp = ctx.stamp(0);
        ctx.send(0, Packet::new(self.next, stamp));
        self.next += 1;
        ctx.wake_at(ctx.now().div_euclid(self.every) * self.every + self.every);
        Ok(Flow::Continue)
    }

    fn close(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        say(ctx, &format!("close {}", ctx.node()));
        Ok(())
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ProbeOptions {
    add: i64,
    /// `open` or `panic`.
    fails: String,
}

/// Adds a number, and the model, to what it gets.
pub(super) struct Probe {
    options: ProbeOptions,
    model: i64,
    seen: u64,
}

impl Calculator for Probe {
    const NAME: &'static str = "Probe";
    const DOC: &'static str = "Adds.";
    type Options = ProbeOptions;

    fn contract(_options: &ProbeOptions) -> Contract {
        let contract = Contract::default()
            .input(Port::of::<i64>(""))
            .output(Port::of::<i64>(""));
        contract
            .side_input(Port::of::<Log>("LOG").arity(Arity::Optional))
            .side_input(Port::of::<i64>("MODEL").arity(Arity::Optional))
    }

    fn new(options: ProbeOptions) -> Self {
        Self {
            options,
            model: 0,
            seen: 0,
        }
    }
}

impl Node for Probe {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        match self.options.fails.as_str() {
            "open" => return Err(NodeError::Failed("no device".to_owned())),
            "panic" => panic!("index 9 of 3"),
            _ => {}
        }
        let model = ctx.side_packet("MODEL", 0).and_then(|packet| packet.get::<i64>());
        self.model = model.copied().unwrap_or(0);
        say(ctx, &format!("open {}", ctx.node()));
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        self.seen += 1;
        if let Some(value) = ctx.get::<i64>(0)?.copied() {
            ctx.send_value(0, value + self.options.add + self.model);
        }
        Ok(Flow::Continue)
    }

    fn close(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        say(ctx, &format!("close {} after {}", ctx.node(), self.seen));
        Ok(())
    }
}

/// Whether whoever hangs may go on.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(super) fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        drop(self.0.1.wait_while(lock(&self.0.0), |open| !*open));
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct HangOptions {
    on: i64,
}

/// Passes numbers on, but hangs on one of them until the gate opens.
pub(super) struct Hang(i64);

impl Calculator for Hang {
    const NAME: &'static str = "Hang";
    const DOC: &'static str = "Hangs.";
    type Options = HangOptions;

    fn contract(_options: &HangOptions) -> Contract {
        let contract = Contract::default()
            .input(Port::of::<i64>(""))
            .output(Port::of::<i64>(""));
        contract
            .side_input(Port::of::<Log>("LOG").arity(Arity::Optional))
            .side_input(Port::of::<Gate>("GATE"))
    }

    fn new(options: HangOptions) -> Self {
        Self(options.on)
    }
}

impl Node for Hang {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        say(ctx, &format!("open {}", ctx.node()));
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let value = ctx.get::<i64>(0)?.copied().unwrap_or(0);
        if value == self.0 {
            ctx.side::<Gate>("GATE")?.wait();
        }
        ctx.send_value(0, value);
        Ok(Flow::Continue)
    }

    fn close(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        say(ctx, &format!("close {}", ctx.node()));
        Ok(())
    }
}
