//! Side packets as packets of a stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, count, tags};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::packet::Packet;
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct SidePacketToStream {
    when: When,
}

/// When the side packets are sent; the output's tag says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    At(Timestamp),
    /// At the time that side packet TIMESTAMP names.
    Named,
    Tick,
    FirstTick,
}

const TAGS: [(&str, When, &str); 6] = [
    (
        "AT_PRESTREAM",
        When::At(Timestamp::PRE_STREAM),
        "before all times",
    ),
    (
        "AT_POSTSTREAM",
        When::At(Timestamp::POST_STREAM),
        "after all times",
    ),
    ("AT_ZERO", When::At(Timestamp::clamped(0)), "at 0"),
    (
        "AT_TIMESTAMP",
        When::Named,
        "at the time of side packet TIMESTAMP",
    ),
    ("AT_TICK", When::Tick, "at each packet of TICK"),
    ("AT_FIRST_TICK", When::FirstTick, "at the first packet of TICK"),
];

impl Calculator for SidePacketToStream {
    const NAME: &'static str = "SidePacketToStream";
    const DOC: &'static str =
        "Sends side packets into streams, at the time that the outputs' tag says; one tag only.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        let contract = Contract::default()
            .input(
                Port::any("TICK")
                    .arity(Arity::Optional)
                    .doc("for AT_TICK and AT_FIRST_TICK"),
            )
            .side_input(
                Port::any("")
                    .arity(Arity::Many)
                    .doc("what is sent, one for each output"),
            )
            .side_input(
                Port::of::<i64>("TIMESTAMP")
                    .arity(Arity::Optional)
                    .doc("for AT_TIMESTAMP, µs"),
            );
        TAGS.iter().fold(contract, |contract, (tag, _, doc)| {
            contract.output(Port::any(tag).arity(Arity::Any).doc(doc))
        })
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        let used = tags(&given.outputs);
        let known = TAGS
            .iter()
            .find(|(tag, _, _)| used.len() == 1 && used.contains(tag));
        let Some((_, when, _)) = known else {
            let names: Vec<&str> = TAGS.iter().map(|(tag, _, _)| *tag).collect();
            return Err(PortsError::new(format!(
                "needs outputs under one of {}",
                names.join(", ")
            )));
        };
        let ticks = matches!(when, When::Tick | When::FirstTick);
        if ticks != (count(&given.inputs, "TICK") == 1) {
            return Err(PortsError::new(
                "needs input TICK for AT_TICK and AT_FIRST_TICK, and else none",
            ));
        }
        if (*when == When::Named) != (count(&given.side_inputs, "TIMESTAMP") == 1) {
            return Err(PortsError::new(
                "needs side packet TIMESTAMP for AT_TIMESTAMP, and else none",
            ));
        }
        let (inputs, outputs) = (count(&given.side_inputs, ""), given.outputs.len());
        if inputs != outputs {
            return Err(PortsError::new(format!(
                "has {inputs} side packets but {outputs} outputs; write one for each"
            )));
        }
        let contract = Self::contract(options);
        Ok(if ticks { contract.offset(0) } else { contract })
    }

    fn new(_options: Options) -> Self {
        Self { when: When::Tick }
    }
}

impl Node for SidePacketToStream {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        let used = TAGS.iter().find(|(tag, _, _)| ctx.output_index(tag, 0).is_some());
        self.when = used.map_or(When::Tick, |(_, when, _)| *when);
        if self.when == When::Named {
            let at = Timestamp::from_micros(*ctx.side::<i64>("TIMESTAMP")?);
            self.when = When::At(at.map_err(|error| NodeError::Failed(format!("TIMESTAMP: {error}")))?);
        }
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let When::At(_) = self.when {
            return Ok(Flow::Stop);
        }
        if !ctx.output_is_closed(0) {
            let at = ctx.timestamp();
            send_all(at, ctx);
            if self.when == When::FirstTick {
                (0..ctx.output_count()).for_each(|output| ctx.close_output(output));
            }
        }
        Ok(Flow::Continue)
    }

    fn close(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if let When::At(at) = self.when {
            send_all(at, ctx);
        }
        Ok(())
    }
}

fn send_all(at: Timestamp, ctx: &mut Context<'_>) {
    for output in 0..ctx.output_count() {
        if let Some(packet) = ctx.side_packet("", output).cloned() {
            ctx.send(output, Packet::from_payload(packet.payload().clone(), at));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    fn graph(tag: &str, rest: &str) -> String {
        let tick = if rest.contains("TICK:t") { "t" } else { "" };
        format!(
            "inputStreams: [{tick}]\noutputStreams: [out]\nnodes:\n- {{calculator: SidePacketToStream, sidePackets: \
             {{'0': s}}, outputs: ['{tag}:out']{rest}}}\n"
        )
    }

    #[test]
    fn once_at_a_fixed_time() {
        for (tag, at) in [
            ("AT_PRESTREAM", "PreStream"),
            ("AT_POSTSTREAM", "PostStream"),
            ("AT_ZERO", "0"),
        ] {
            assert_eq!(play(&graph(tag, ""), "side:s=7"), format!("out: {at}=7 |\n"));
        }
        let named = graph("AT_TIMESTAMP", "").replace("s}", "s, TIMESTAMP: at}");
        assert_eq!(play(&named, "side:s=7 side:at=123"), "out: 123=7 |\n");
    }

    #[test]
    fn at_ticks() {
        let rest = ", inputs: ['TICK:t']";
        assert_eq!(
            play(&graph("AT_TICK", rest), "side:s=7 t@1=0 t@5=0"),
            "out: 1=7 5=7 |\n"
        );
        assert_eq!(
            play(&graph("AT_FIRST_TICK", rest), "side:s=7 t@1=0 t@5=0"),
            "out: 1=7 |\n"
        );
    }

    #[test]
    fn tags_and_ports_must_fit() {
        assert!(problem(&graph("AT_TICK", "")).contains("needs input TICK"));
        assert!(problem(&graph("AT_TIMESTAMP", "")).contains("needs side packet TIMESTAMP"));
        assert!(
            problem(&graph("AT_ZERO", "").replace("'AT_ZERO:out'", "'AT_ZERO:out', 'AT_TICK:o'"))
                .contains("one of")
        );
    }
}
