//! Tells at each time whether there was a packet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct PacketPresence;

impl Calculator for PacketPresence {
    const NAME: &'static str = "PacketPresence";
    const DOC: &'static str =
        "Sends true for each packet, and false for each time that is settled without one.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("PACKET").doc("anything"))
            .output(Port::of::<bool>("PRESENCE").doc("whether there was a packet"))
            .offset(0)
            .process_bounds()
    }

    fn new(_options: Options) -> Self {
        Self
    }
}

impl Node for PacketPresence {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let present = !ctx.input(0).is_empty();
        ctx.send_value(0, present);
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::play;

    #[test]
    fn bounds_are_absences() {
        let graph = "inputStreams: [a]\noutputStreams: [p]\nnodes:\n- {calculator: PacketPresence, inputs: \
                     ['PACKET:a'], outputs: ['PRESENCE:p']}\n";
        assert_eq!(play(graph, "a@1=7 a@5 a@9=1"), "p: 1=true 4=false 9=true |\n");
    }
}
