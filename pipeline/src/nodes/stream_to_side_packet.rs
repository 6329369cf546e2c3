//! A stream's only packet as a side packet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::packet::SidePacket;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct StreamToSidePacket;

impl Calculator for StreamToSidePacket {
    const NAME: &'static str = "StreamToSidePacket";
    const DOC: &'static str = "Gives the packet of a stream out as a side packet: nodes that take it open then. A \
                               second packet is an error.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("").doc("one packet"))
            .side_output(Port::any("").doc("its value"))
    }

    fn new(_options: Options) -> Self {
        Self
    }
}

impl Node for StreamToSidePacket {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(payload) = ctx.take(0).payload() {
            ctx.send_side("", 0, SidePacket::from_payload(payload.clone()))?;
        }
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::play;

    const GRAPH: &str = "inputStreams: [s, a]\noutputStreams: [out]\nnodes:\n- {calculator: StreamToSidePacket, inputs: \
                         [s], outputSidePackets: {'0': pass}}\n- {calculator: Gate, inputs: [a], outputs: [out], \
                         sidePackets: {ALLOW: pass}}\n";

    #[test]
    fn whoever_takes_it_waits_for_it() {
        assert_eq!(play(GRAPH, "a@1=1 s@7=true a@2=2"), "out: 1=1 2=2 |\n");
        assert_eq!(play(GRAPH, "a@1=1 s@7=false a@2=2"), "out: |\n");
    }

    #[test]
    fn once_only() {
        assert!(play(GRAPH, "s@1=true s@2=true").starts_with("error: "));
    }
}
