//! Several streams to one as they come; what is older than the last packet is dropped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::packet::Packet;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// A settled time of the inputs settles the outputs too, and later packets before it are dropped.
    process_timestamp_bounds: bool,
}

#[derive(Debug)]
pub(crate) struct ImmediateMux {
    options: Options,
    bound: Timestamp,
}

impl Calculator for ImmediateMux {
    const NAME: &'static str = "ImmediateMux";
    const DOC: &'static str = "Sends each packet of its inputs that is newer than the last one it sent, and drops the \
                               others. Output 1, where used, gets true for every packet that came, dropped or not. \
                               Made for input policy `immediate`, after a RoundRobinDemux.";
    type Options = Options;

    fn contract(options: &Options) -> Contract {
        let contract = Contract::default()
            .input(Port::any("").arity(Arity::Many).doc("anything"))
            .output(
                Port::any("")
                    .arity(Arity::Many)
                    .doc("0: what was newer; 1: true for each packet"),
            );
        if options.process_timestamp_bounds {
            contract.process_bounds()
        } else {
            contract.offset(0)
        }
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        match given.outputs.len() {
            1 | 2 => Ok(Self::contract(options)),
            outputs => Err(PortsError::new(format!(
                "has {outputs} outputs; write one or two"
            ))),
        }
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            bound: Timestamp::PRE_STREAM,
        }
    }
}

impl Node for ImmediateMux {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let mut came = false;
        for input in 0..ctx.input_count() {
            if ctx.input(input).is_empty() {
                continue;
            }
            came = true;
            let packet = ctx.take(input);
            let at = packet.timestamp();
            if at >= self.bound {
                ctx.send(0, packet);
                self.bound = at.next_allowed_in_stream();
            } else {
                ctx.dropped(DropReason::Late, at);
            }
            if ctx.output_count() > 1 && !ctx.output_is_closed(1) {
                let at = ctx.timestamp().max(ctx.output_bound(1));
                ctx.send(1, Packet::new(true, at));
            }
        }
        if !came && self.options.process_timestamp_bounds && ctx.timestamp() >= self.bound {
            self.settle(ctx);
        }
        Ok(Flow::Continue)
    }
}

impl ImmediateMux {
    fn settle(&mut self, ctx: &mut Context<'_>) {
        let at = ctx.timestamp();
        for output in 0..ctx.output_count() {
            if at >= Timestamp::MAX {
                ctx.close_output(output);
            } else {
                ctx.raise_bound(output, at.next_allowed_in_stream());
            }
        }
        self.bound = at.next_allowed_in_stream();
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    const GRAPH: &str = "inputStreams: [a, b]\noutputStreams: [out, n]\nnodes:\n- {calculator: ImmediateMux, inputs: \
                         [a, b], outputs: [out, n], inputPolicy: {immediate: {}}}\n";

    #[test]
    fn older_is_dropped_and_still_counted_as_come() {
        let feed = "a@2=2 b@1=10 b@3=30 a@3=3 a@4=4";
        assert_eq!(
            play(GRAPH, feed),
            "out: 2=2 3=30 4=4 |\nn: 2=true 3=true 4=true 5=true 6=true |\n"
        );
    }

    #[test]
    fn one_or_two_outputs() {
        assert!(
            problem(&GRAPH.replace("outputs: [out, n]", "outputs: [out, n, m]")).contains("has 3 outputs")
        );
    }
}
