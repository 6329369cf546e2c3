//! Hands every packet on as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct PassThrough;

impl Calculator for PassThrough {
    const NAME: &'static str = "PassThrough";
    const DOC: &'static str =
        "Hands every packet on as it is: input 0 to output 0, input 1 to output 1, and so on.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("").arity(Arity::Many).doc("anything"))
            .output(
                Port::same_as("", "")
                    .arity(Arity::Many)
                    .doc("what came on the input of the same number"),
            )
            .offset(0)
    }

    fn new(_options: Options) -> Self {
        Self
    }
}

impl Node for PassThrough {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        for index in 0..ctx.output_count() {
            let packet = ctx.take(index);
            if !packet.is_empty() {
                ctx.send(index, packet);
            }
        }
        Ok(Flow::Continue)
    }
}
