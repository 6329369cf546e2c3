//! One of several streams, as another stream says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, count};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::spec::InputPolicy;
use crate::spec::policy::NoSettings;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug, Default)]
pub(crate) struct Mux {
    select: Option<usize>,
    fixed: i64,
    inputs: usize,
}

impl Calculator for Mux {
    const NAME: &'static str = "Mux";
    const DOC: &'static str = "At each packet of SELECT, a number n, sends what INPUT:n has at that time. SELECT can \
                               also be a side packet, for the whole run.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("INPUT").arity(Arity::Many).doc("anything"))
            // The policy looks for it in the last place.
            .input(
                Port::of::<i64>("SELECT")
                    .arity(Arity::Optional)
                    .doc("number of the input"),
            )
            .output(Port::same_as("OUTPUT", "INPUT").doc("what the chosen input had"))
            .side_input(
                Port::of::<i64>("SELECT")
                    .arity(Arity::Optional)
                    .doc("number of the input"),
            )
            .policy(InputPolicy::Mux(NoSettings {}))
            .offset(0)
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        let contract = Self::contract(options);
        match (
            count(&given.inputs, "SELECT"),
            count(&given.side_inputs, "SELECT"),
        ) {
            (0, 0) => Err(PortsError::new("needs SELECT, as a stream or as a side packet")),
            (0, _) => Ok(contract.policy(InputPolicy::default())),
            (_, 0) => Ok(contract),
            (_, _) => Err(PortsError::new(
                "takes SELECT as a stream or as a side packet, not both",
            )),
        }
    }

    fn new(_options: Options) -> Self {
        Self::default()
    }
}

impl Node for Mux {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.select = ctx.input_index("SELECT", 0);
        self.inputs = ctx.input_count() - usize::from(self.select.is_some());
        if self.select.is_none() {
            self.fixed = *ctx.side::<i64>("SELECT")?;
        }
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let selected = match self.select {
            None => self.fixed,
            Some(select) => match ctx.get::<i64>(select)? {
                Some(selected) => *selected,
                None => return Ok(Flow::Continue),
            },
        };
        let input = usize::try_from(selected)
            .ok()
            .filter(|input| *input < self.inputs);
        let input = input.ok_or_else(|| {
            let last = self.inputs.saturating_sub(1);
            NodeError::Failed(format!(
                "SELECT chose input {selected}, but there are 0 to {last}"
            ))
        })?;
        if !ctx.input(input).is_empty() {
            let packet = ctx.take(input);
            ctx.send(0, packet);
        }
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    const GRAPH: &str = "inputStreams: [a, b, s]\noutputStreams: [out]\nnodes:\n- {calculator: Mux, inputs: \
                         ['INPUT:0:a', 'INPUT:1:b', 'SELECT:s'], outputs: ['OUTPUT:out']}\n";

    #[test]
    fn the_chosen_input_at_that_time() {
        let feed = "a@1=1 b@1=10 s@1=1 a@2=2 b@2=20 s@2=0 s@3=0 a@4=4";
        assert_eq!(play(GRAPH, feed), "out: 1=10 2=2 |\n");
    }

    #[test]
    fn a_side_packet_chooses_for_good() {
        let graph = GRAPH
            .replace(", 'SELECT:s'", "")
            .replace("outputs: [", "sidePackets: {SELECT: n}, outputs: [");
        let graph = graph.replace("a, b, s]", "a, b]");
        assert_eq!(play(&graph, "side:n=1 a@1=1 b@1=10 a@2=2"), "out: 1=10 |\n");
        assert!(problem(&graph.replace("sidePackets: {SELECT: n}, ", "")).contains("needs SELECT"));
    }

    #[test]
    fn choosing_nothing_is_an_error() {
        assert!(play(GRAPH, "a@1=1 b@1=1 s@1=2").contains("SELECT chose input 2, but there are 0 to 1"));
    }
}
