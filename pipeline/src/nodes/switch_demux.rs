//! The entrance of a switch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::switch_choice::{Choice, choice_ports, chosen};
use crate::options::OptionError;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// How many nodes there are to choose from.
    pub(super) channels: usize,
    /// The node chosen before SELECT says anything, from 0.
    pub(super) select: usize,
    /// The same for ENABLE: false for node 0, true for node 1.
    pub(super) enable: Option<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            channels: 1,
            select: 0,
            enable: None,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), OptionError> {
        if self.channels == 0 {
            return Err(OptionError::value("channels", "must be 1 at least"));
        }
        let chosen = self.enable.map_or(self.select, usize::from);
        if chosen < self.channels {
            Ok(())
        } else {
            let option = if self.enable.is_some() { "enable" } else { "select" };
            let problem = format!("chooses node {chosen}, but there are {} from 0 on", self.channels);
            Err(OptionError::value(option, problem))
        }
    }
}

#[derive(Debug)]
pub(crate) struct SwitchDemux {
    options: Options,
    choice: Choice,
    channel: usize,
}

impl Calculator for SwitchDemux {
    const NAME: &'static str = "SwitchDemux";
    const DOC: &'static str = "Hands packets to one of several nodes at a time; the others learn that nothing comes. \
                               Outputs are numbered node by node: with two inputs, 0 and 1 go to the first node, 2 \
                               and 3 to the second. Made by SwitchContainer.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        choice_ports(Contract::default())
            .input(Port::any("").arity(Arity::Many).doc("what is handed on"))
            .output(
                Port::any("")
                    .arity(Arity::Many)
                    .doc("every input, once for each node"),
            )
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        options.check()
    }

    fn new(options: Options) -> Self {
        Self {
            channel: options.enable.map_or(options.select, usize::from),
            options,
            choice: Choice::default(),
        }
    }
}

impl Node for SwitchDemux {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.choice = Choice::find(ctx, self.options.channels)?;
        self.channel = self.choice.by_side_packet.unwrap_or(self.channel);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(channel) = chosen(ctx, &self.choice, self.options.channels)? {
            self.channel = channel;
        }
        for (place, input) in self.choice.others.clone().enumerate() {
            let packet = ctx.take(input);
            if !packet.is_empty() {
                ctx.send(self.channel * self.choice.others.len() + place, packet);
            }
        }
        Ok(Flow::Continue)
    }
}
