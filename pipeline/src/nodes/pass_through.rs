//! Hands every packet on as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, same_ports, static_tag, tags};
use crate::node::{Calculator, Context, Flow, Node, NodeError};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct PassThrough;

impl Calculator for PassThrough {
    const NAME: &'static str = "PassThrough";
    const DOC: &'static str = "Hands every packet on as it is: each input to the output of the same tag and index. \
                               Tags may be chosen freely. Side packets are handed on too where the node has outputs \
                               for them.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .stateless()
            .input(Port::any("").arity(Arity::Any).doc("anything"))
            .output(
                Port::same_as("", "")
                    .arity(Arity::Any)
                    .doc("what came on the input of the same tag and index"),
            )
            .side_input(Port::any("").arity(Arity::Any).doc("anything"))
            .side_output(
                Port::any("")
                    .arity(Arity::Any)
                    .doc("the side packet of the same tag and index"),
            )
            .offset(0)
    }

    fn contract_for(_options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        let differ = |what: &str| {
            PortsError::new(format!(
                "input and output {what} must have the same tags and indexes"
            ))
        };
        if !same_ports(&given.inputs, &given.outputs) {
            return Err(differ("streams"));
        }
        if !given.side_outputs.is_empty() && !same_ports(&given.side_inputs, &given.side_outputs) {
            return Err(differ("side packets"));
        }
        let tag = |tag| static_tag(tag).ok_or_else(|| PortsError::new("too many different tags were used"));
        let mut contract = Contract::default().stateless().offset(0);
        for name in tags(&given.inputs) {
            let name = tag(name)?;
            contract = contract
                .input(Port::any(name).arity(Arity::Many))
                .output(Port::same_as(name, name).arity(Arity::Many));
        }
        for name in tags(&given.side_inputs) {
            let name = tag(name)?;
            contract = contract
                .side_input(Port::any(name).arity(Arity::Many))
                .side_output(Port::any(name).arity(Arity::Any));
        }
        Ok(contract)
    }

    fn new(_options: Options) -> Self {
        Self
    }
}

impl Node for PassThrough {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        pass_headers(ctx);
        for (tag, index) in ctx.side_ports() {
            if let Some(packet) = ctx.side_packet(tag, index).cloned() {
                ctx.send_side(tag, index, packet)?;
            }
        }
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if ctx.input_count() == 0 {
            return Ok(Flow::Stop);
        }
        for index in 0..ctx.output_count() {
            let packet = ctx.take(index);
            if !packet.is_empty() {
                ctx.send(index, packet);
            }
        }
        Ok(Flow::Continue)
    }
}

/// In Open: hands the headers of the first inputs on to the outputs of the same number.
pub(crate) fn pass_headers(ctx: &mut Context<'_>) {
    for index in 0..ctx.output_count() {
        if let Some(header) = ctx.header(index).cloned() {
            ctx.set_header(index, header);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    const TAGGED: &str = "inputStreams: [a, b, c]\noutputStreams: [x, y, z]\nnodes:\n- {calculator: PassThrough, inputs: \
                          ['V:1:b', 'V:a', c], outputs: [z, 'V:0:x', 'V:1:y']}\n";

    #[test]
    fn by_tag_and_index() {
        assert_eq!(
            play(TAGGED, "a@1=1 b@1=2 c@1=3"),
            "x: 1=1 |\ny: 1=2 |\nz: 1=3 |\n"
        );
    }

    #[test]
    fn tags_and_indexes_must_match() {
        let must = "input and output streams must have the same tags and indexes";
        for (from, to) in [("'V:1:y'", "'W:y'"), (", 'V:1:y'", ""), ("[z,", "[z, w,")] {
            assert!(problem(&TAGGED.replace(from, to)).contains(must), "{from} {to}");
        }
    }

    #[test]
    fn side_packets_too() {
        let graph = "inputStreams: [a]\noutputStreams: [out]\nnodes:\n- {calculator: PassThrough, sidePackets: {A: given}, \
                     outputSidePackets: {A: passed}}\n- {calculator: Gate, inputs: [a], outputs: [out], sidePackets: \
                     {ALLOW: passed}}\n";
        assert_eq!(play(graph, "side:given=true a@1=1"), "out: 1=1 |\n");
        assert!(
            problem(&graph.replace("{A: passed}", "{B: passed}")).contains("side packets must have the same")
        );
    }
}
