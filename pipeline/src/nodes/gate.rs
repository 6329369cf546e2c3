//! Lets packets through or not, as another stream, a side packet or an option says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, count};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::pass_through::pass_headers;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Lets packets through at times without a packet on ALLOW or DISALLOW.
    empty_packets_as_allow: bool,
    /// What holds where there is neither an ALLOW nor a DISALLOW.
    allow: bool,
    /// What the first decision is compared with for STATE_CHANGE; by default it is no change.
    initial_gate_state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum State {
    /// Any first decision is a change.
    Unspecified,
    #[default]
    GateUninitialized,
    GateAllow,
    GateDisallow,
}

#[derive(Debug)]
pub(crate) struct Gate {
    options: Options,
    /// Set by a side packet, for the whole run.
    fixed: Option<bool>,
    allow: Option<usize>,
    disallow: Option<usize>,
    state_change: Option<usize>,
    state: State,
    data: usize,
}

impl Calculator for Gate {
    const NAME: &'static str = "Gate";
    const DOC: &'static str = "Lets the packets of its inputs through while ALLOW is true (or DISALLOW false) at \
                               their time. ALLOW or DISALLOW is a stream or a side packet; without both the option \
                               `allow` decides.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("").arity(Arity::Any).doc("anything"))
            .input(
                Port::of::<bool>("ALLOW")
                    .arity(Arity::Optional)
                    .doc("true: let through"),
            )
            .input(
                Port::of::<bool>("DISALLOW")
                    .arity(Arity::Optional)
                    .doc("true: keep back"),
            )
            .output(
                Port::same_as("", "")
                    .arity(Arity::Any)
                    .doc("what was let through of the input of the same number"),
            )
            .output(
                Port::of::<bool>("STATE_CHANGE")
                    .arity(Arity::Optional)
                    .doc("the decision, at times where it changes"),
            )
            .side_input(
                Port::of::<bool>("ALLOW")
                    .arity(Arity::Optional)
                    .doc("true: let through"),
            )
            .side_input(
                Port::of::<bool>("DISALLOW")
                    .arity(Arity::Optional)
                    .doc("true: keep back"),
            )
            .offset(0)
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        let deciding =
            [&given.inputs, &given.side_inputs].map(|ports| count(ports, "ALLOW") + count(ports, "DISALLOW"));
        if deciding.iter().sum::<usize>() > 1 {
            return Err(PortsError::new(
                "takes one of ALLOW and DISALLOW, as a stream or as a side packet",
            ));
        }
        let (inputs, outputs) = (count(&given.inputs, ""), count(&given.outputs, ""));
        if inputs != outputs {
            return Err(PortsError::new(format!(
                "has {inputs} inputs without a tag but {outputs} such outputs; write one for each"
            )));
        }
        Ok(Self::contract(options))
    }

    fn new(options: Options) -> Self {
        Self {
            state: options.initial_gate_state,
            options,
            fixed: None,
            allow: None,
            disallow: None,
            state_change: None,
            data: 0,
        }
    }
}

impl Node for Gate {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.allow = ctx.input_index("ALLOW", 0);
        self.disallow = ctx.input_index("DISALLOW", 0);
        self.state_change = ctx.output_index("STATE_CHANGE", 0);
        self.data = ctx.output_count() - usize::from(self.state_change.is_some());
        if ctx.side_packet("ALLOW", 0).is_some() {
            self.fixed = Some(*ctx.side::<bool>("ALLOW")?);
        } else if ctx.side_packet("DISALLOW", 0).is_some() {
            self.fixed = Some(!*ctx.side::<bool>("DISALLOW")?);
        }
        pass_headers(ctx);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let allowed = self.decide(ctx)?;
        let state = if allowed {
            State::GateAllow
        } else {
            State::GateDisallow
        };
        if let Some(output) = self.state_change
            && self.state != State::GateUninitialized
            && self.state != state
        {
            ctx.send_value(output, allowed);
        }
        self.state = state;
        for index in 0..self.data {
            if allowed {
                let packet = ctx.take(index);
                if !packet.is_empty() {
                    ctx.send(index, packet);
                }
            } else if self.fixed.is_some() {
                // Nothing will ever pass: whoever reads it need not wait.
                ctx.close_output(index);
            }
        }
        Ok(Flow::Continue)
    }
}

impl Gate {
    fn decide(&self, ctx: &Context<'_>) -> Result<bool, NodeError> {
        if let Some(fixed) = self.fixed {
            return Ok(fixed);
        }
        let empty = self.options.empty_packets_as_allow;
        Ok(match (self.allow, self.disallow) {
            (Some(input), _) => ctx.get::<bool>(input)?.copied().unwrap_or(empty),
            (None, Some(input)) => ctx.get::<bool>(input)?.map_or(empty, |disallow| !disallow),
            (None, None) => self.options.allow,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    const GATE: &str = "inputStreams: [a, c]\noutputStreams: [out, change]\nnodes:\n- {calculator: Gate, inputs: [a, \
                        'ALLOW:c'], outputs: [out, 'STATE_CHANGE:change']}\n";

    #[test]
    fn follows_the_stream_and_takes_silence_as_no() {
        let feed = "a@1=1 c@1=true a@2=2 c@2=false a@3=3 c@4=true a@5=5 c@5=true";
        assert_eq!(play(GATE, feed), "out: 1=1 5=5 |\nchange: 2=false 4=true |\n");
    }

    #[test]
    fn silence_can_mean_yes() {
        let graph = GATE.replace(
            "calculator: Gate",
            "calculator: Gate, options: {emptyPacketsAsAllow: true}",
        );
        let feed = "a@1=1 c@1=false a@2=2 c@3=true";
        assert_eq!(play(&graph, feed), "out: 2=2 |\nchange: 2=true |\n");
    }

    #[test]
    fn first_decision_is_a_change_from_a_known_state() {
        let graph = GATE.replace(
            "calculator: Gate",
            "calculator: Gate, options: {initialGateState: GATE_DISALLOW}",
        );
        assert_eq!(play(&graph, "a@1=1 c@1=true"), "out: 1=1 |\nchange: 1=true |\n");
    }

    #[test]
    fn disallow_is_the_opposite() {
        let graph = GATE.replace("ALLOW:c", "DISALLOW:c");
        assert_eq!(
            play(&graph, "a@1=1 c@1=true a@2=2 c@2=false"),
            "out: 2=2 |\nchange: 2=true |\n"
        );
    }

    #[test]
    fn a_side_packet_or_an_option_decides_for_good() {
        let graph = "inputStreams: [a]\noutputStreams: [out]\nnodes:\n- {calculator: Gate, inputs: [a], outputs: \
                     [out], sidePackets: {ALLOW: pass}}\n";
        assert_eq!(play(graph, "side:pass=true a@1=1 a@2=2"), "out: 1=1 2=2 |\n");
        assert_eq!(play(graph, "side:pass=false a@1=1 a@2=2"), "out: |\n");
        let graph = graph.replace("sidePackets: {ALLOW: pass}", "options: {allow: true}");
        assert_eq!(play(&graph, "a@1=1"), "out: 1=1 |\n");
    }

    #[test]
    fn refuses_ports_that_contradict() {
        let both = GATE.replace("outputs: [out", "sidePackets: {DISALLOW: d}, outputs: [out");
        assert!(problem(&both).contains("takes one of ALLOW and DISALLOW"));
        let unpaired = GATE.replace("[a, 'ALLOW:c']", "[a, c]");
        assert!(problem(&unpaired).contains("has 2 inputs without a tag but 1 such outputs"));
    }
}
