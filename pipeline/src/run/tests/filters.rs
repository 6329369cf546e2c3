//! Small nodes for graphs with loops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::packet::Packet;
use crate::testing::at;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NoOptions {}

/// The sum of what its inputs have.
pub(super) struct Sum;

impl Calculator for Sum {
    const NAME: &'static str = "Sum";
    const DOC: &'static str = "Adds.";
    type Options = NoOptions;

    fn contract(_options: &NoOptions) -> Contract {
        Contract::default()
            .input(Port::of::<i64>("").arity(Arity::Many))
            .output(Port::of::<i64>(""))
            .offset(0)
    }

    fn new(_options: NoOptions) -> Self {
        Self
    }
}

impl Node for Sum {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let mut sum = 0;
        for input in 0..ctx.input_count() {
            sum += ctx.get::<i64>(input)?.copied().unwrap_or(0);
        }
        ctx.send_value(0, sum);
        Ok(Flow::Continue)
    }
}

/// What came that long before; nothing is known to come before that time.
pub(super) struct Delay {
    by: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DelayOptions {
    by: i64,
}

impl Calculator for Delay {
    const NAME: &'static str = "Delay";
    const DOC: &'static str = "Delays.";
    type Options = DelayOptions;

    fn contract(options: &DelayOptions) -> Contract {
        Contract::default()
            .input(Port::of::<i64>(""))
            .output(Port::of::<i64>(""))
            .offset(options.by)
    }

    fn new(options: DelayOptions) -> Self {
        Self { by: options.by }
    }
}

impl Node for Delay {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        ctx.raise_bound(0, at(self.by));
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let packet = ctx.take(0);
        let time = at(packet.timestamp().micros() + self.by);
        ctx.send(0, packet.at(time));
        Ok(Flow::Continue)
    }
}

/// Keeps the newest packet and sends it at the end.
pub(super) struct LastPacket {
    last: Option<Packet>,
}

impl Calculator for LastPacket {
    const NAME: &'static str = "LastPacket";
    const DOC: &'static str = "Sends the last packet.";
    type Options = NoOptions;

    fn contract(_options: &NoOptions) -> Contract {
        Contract::default()
            .input(Port::any(""))
            .output(Port::same_as("", ""))
    }

    fn new(_options: NoOptions) -> Self {
        Self { last: None }
    }
}

impl Node for LastPacket {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        ctx.raise_bound(0, ctx.timestamp());
        self.last = Some(ctx.take(0));
        Ok(Flow::Continue)
    }

    fn close(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if let Some(packet) = self.last.take() {
            ctx.send(0, packet);
        }
        Ok(())
    }
}
