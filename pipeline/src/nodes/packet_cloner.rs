//! Repeats the newest packets at each tick.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, count};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::pass_through::pass_headers;
use crate::packet::Packet;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Ignores ticks until every input has brought a packet.
    output_only_when_all_inputs_received: bool,
    /// The same, but whoever reads the outputs is told that these ticks bring nothing.
    output_packets_only_when_all_inputs_received: bool,
}

#[derive(Debug)]
pub(crate) struct PacketCloner {
    options: Options,
    tick: usize,
    newest: Vec<Option<Packet>>,
}

impl Calculator for PacketCloner {
    const NAME: &'static str = "PacketCloner";
    const DOC: &'static str = "At each packet of TICK (or of the last input, when there is no TICK) sends the newest \
                               packet of every other input, at the tick's time.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("").arity(Arity::Many).doc("what is repeated"))
            .input(
                Port::any("TICK")
                    .arity(Arity::Optional)
                    .doc("when it is repeated"),
            )
            .output(
                Port::same_as("", "")
                    .arity(Arity::Any)
                    .doc("the input of the same number, repeated"),
            )
            .process_bounds()
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        let ticks = usize::from(count(&given.inputs, "TICK") == 0);
        let (inputs, outputs) = (count(&given.inputs, ""), count(&given.outputs, ""));
        if inputs == outputs + ticks {
            return Ok(Self::contract(options));
        }
        let wanted = inputs.saturating_sub(ticks);
        Err(PortsError::new(format!(
            "repeats {wanted} inputs but has {outputs} outputs; write one for each"
        )))
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            tick: 0,
            newest: Vec::new(),
        }
    }
}

impl Node for PacketCloner {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.tick = ctx.input_index("TICK", 0).unwrap_or(ctx.output_count());
        self.newest.resize(ctx.output_count(), None);
        pass_headers(ctx);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        for (input, newest) in self.newest.iter_mut().enumerate() {
            if !ctx.input(input).is_empty() {
                *newest = Some(ctx.take(input));
            }
        }
        let tick = ctx.input(self.tick);
        let all = self.newest.iter().all(Option::is_some);
        let silent = self.options.output_packets_only_when_all_inputs_received;
        let waits = !all && (self.options.output_only_when_all_inputs_received || silent);
        if !tick.is_empty() && !waits {
            for (output, newest) in self.newest.iter().enumerate() {
                if let Some(packet) = newest {
                    ctx.send(output, packet.at(tick.timestamp()));
                }
            }
        }
        if tick.timestamp() == ctx.timestamp() && (!waits || silent) {
            let bound = ctx.timestamp().next_allowed_in_stream();
            (0..self.newest.len()).for_each(|output| ctx.raise_bound(output, bound));
        }
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    const GRAPH: &str = "inputStreams: [a, b, t]\noutputStreams: [x, y]\nnodes:\n- {calculator: PacketCloner, inputs: \
                         [a, b, 'TICK:t'], outputs: [x, y]}\n";
    const FEED: &str = "a@1=1 b@3 t@1=0 a@2 t@2=0 a@5=5 b@4=4 t@5=0 b@6 t@6=0";

    #[test]
    fn newest_at_each_tick() {
        assert_eq!(play(GRAPH, FEED), "x: 1=1 2=1 5=5 6=5 |\ny: 5=4 6=4 |\n");
        let last = GRAPH.replace("'TICK:t'", "t");
        assert_eq!(play(&last, FEED), play(GRAPH, FEED));
    }

    #[test]
    fn may_wait_for_all_inputs() {
        let graph = GRAPH.replace(
            "outputs:",
            "options: {outputOnlyWhenAllInputsReceived: true}, outputs:",
        );
        assert_eq!(play(&graph, FEED), "x: 5=5 6=5 |\ny: 5=4 6=4 |\n");
    }

    #[test]
    fn an_output_for_each_input() {
        let graph = GRAPH.replace("[x, y]", "[x]");
        assert!(problem(&graph).contains("repeats 2 inputs but has 1 outputs"));
    }
}
