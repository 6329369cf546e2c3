//! Several streams to one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct Merge;

impl Calculator for Merge {
    const NAME: &'static str = "Merge";
    const DOC: &'static str = "Sends at each time the packet of the first input that has one.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("").arity(Arity::Many).doc("anything"))
            .output(Port::same_as("", "").doc("what the first input with a packet had"))
            .offset(0)
    }

    fn new(_options: Options) -> Self {
        Self
    }
}

impl Node for Merge {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        for index in 0..ctx.input_count() {
            let packet = ctx.take(index);
            if !packet.is_empty() {
                ctx.send(0, packet);
                break;
            }
        }
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::play;

    #[test]
    fn first_input_wins() {
        let graph = "inputStreams: [a, b]\noutputStreams: [m]\nnodes:\n- {calculator: Merge, inputs: [a, b], outputs: \
                     [m]}\n";
        assert_eq!(play(graph, "a@1=1 b@1=10 b@2=20 a@3=3"), "m: 1=1 2=20 3=3 |\n");
    }
}
