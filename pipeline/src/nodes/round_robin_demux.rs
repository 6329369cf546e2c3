//! Deals a stream out to several, so that a slow part of the graph can be there several times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug, Default)]
pub(crate) struct RoundRobinDemux {
    next: usize,
    select: Option<usize>,
}

impl Calculator for RoundRobinDemux {
    const NAME: &'static str = "RoundRobinDemux";
    const DOC: &'static str = "Sends its packets to OUTPUT:0, OUTPUT:1 and so on in turn, and on SELECT the number of \
                               the output. A Mux puts the results into order again.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("").doc("anything"))
            .output(
                Port::any("OUTPUT")
                    .arity(Arity::Many)
                    .doc("a share of the packets"),
            )
            .output(
                Port::of::<i64>("SELECT")
                    .arity(Arity::Optional)
                    .doc("which output has the packet"),
            )
            .offset(0)
    }

    fn new(_options: Options) -> Self {
        Self::default()
    }
}

impl Node for RoundRobinDemux {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.select = ctx.output_index("SELECT", 0);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let outputs = ctx.output_count() - usize::from(self.select.is_some());
        let packet = ctx.take(0);
        ctx.send(self.next, packet);
        if let Some(select) = self.select {
            ctx.send_value(select, self.next as i64);
        }
        self.next = (self.next + 1) % outputs.max(1);
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::play;

    #[test]
    fn in_turn() {
        let graph = "inputStreams: [a]\noutputStreams: [x, y, s]\nnodes:\n- {calculator: RoundRobinDemux, inputs: [a], \
                     outputs: ['OUTPUT:0:x', 'OUTPUT:1:y', 'SELECT:s']}\n";
        assert_eq!(
            play(graph, "a@1=1 a@2=2 a@5=5"),
            "x: 1=1 5=5 |\ny: 2=2 |\ns: 1=0 2=1 5=0 |\n"
        );
    }

    #[test]
    fn a_mux_puts_them_into_order_again() {
        let graph = "inputStreams: [a]\noutputStreams: [out]\nnodes:\n\
                     - {calculator: RoundRobinDemux, inputs: [a], outputs: ['OUTPUT:0:x', 'OUTPUT:1:y', 'SELECT:s']}\n\
                     - {calculator: PassThrough, inputs: [x], outputs: [px]}\n\
                     - {calculator: PassThrough, inputs: [y], outputs: [py]}\n\
                     - {calculator: Mux, inputs: ['INPUT:0:px', 'INPUT:1:py', 'SELECT:s'], outputs: ['OUTPUT:out']}\n";
        assert_eq!(play(graph, "a@1=1 a@2=2 a@5=5"), "out: 1=1 2=2 5=5 |\n");
    }
}
