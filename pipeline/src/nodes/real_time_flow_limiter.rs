//! The forerunner of FlowLimiter: counts finished packets instead of looking at their times.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, check_pairs};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::pass_through::pass_headers;
use crate::packet::Packet;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct RealTimeFlowLimiter {
    finished: usize,
    allow: Option<usize>,
    max_in_flight: i64,
    in_flight: i64,
    /// Times that were let in on some input and may still come on another.
    let_in: BTreeSet<Timestamp>,
    last_dropped: Timestamp,
    /// Per data input.
    bounds: Vec<Timestamp>,
    /// ALLOW has no times of its own: its packets are numbered.
    changes: i64,
}

impl Calculator for RealTimeFlowLimiter {
    const NAME: &'static str = "RealTimeFlowLimiter";
    const DOC: &'static str = "Lets packets in while fewer than MAX_IN_FLIGHT are under way, and drops the others, on \
                               all inputs alike. Every packet let in must come out at FINISHED, a back edge: one that \
                               gets lost counts as under way for ever. FlowLimiter does better.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("").arity(Arity::Many).doc("anything"))
            .input(Port::any("FINISHED").doc("a packet for each that is through"))
            .output(Port::same_as("", "").arity(Arity::Many).doc("what was let in"))
            .output(
                Port::of::<bool>("ALLOW")
                    .arity(Arity::Optional)
                    .doc("whether there is room, each time that changes"),
            )
            .side_input(
                Port::of::<i64>("MAX_IN_FLIGHT")
                    .arity(Arity::Optional)
                    .doc("1 when not given"),
            )
            .immediate()
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        check_pairs(given)?;
        Ok(Self::contract(options))
    }

    fn new(_options: Options) -> Self {
        Self {
            finished: 0,
            allow: None,
            max_in_flight: 1,
            in_flight: 0,
            let_in: BTreeSet::new(),
            last_dropped: Timestamp::UNSET,
            bounds: Vec::new(),
            changes: 0,
        }
    }
}

impl Node for RealTimeFlowLimiter {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if ctx.side_packet("MAX_IN_FLIGHT", 0).is_some() {
            self.max_in_flight = *ctx.side::<i64>("MAX_IN_FLIGHT")?;
        }
        if self.max_in_flight < 1 {
            let problem = format!(
                "MAX_IN_FLIGHT: {} isn't possible; use 1 or more",
                self.max_in_flight
            );
            return Err(NodeError::Failed(problem));
        }
        self.finished = ctx.input_index("FINISHED", 0).unwrap_or(0);
        self.allow = ctx.output_index("ALLOW", 0);
        let streams = ctx.output_count() - usize::from(self.allow.is_some());
        self.bounds.resize(streams, Timestamp::UNSET);
        pass_headers(ctx);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let had_room = self.has_room();
        if !ctx.input(self.finished).is_empty() {
            if self.in_flight == 0 {
                let problem = "FINISHED brought a packet though none was under way";
                return Err(NodeError::Failed(problem.to_owned()));
            }
            self.in_flight -= 1;
        }
        for input in 0..self.bounds.len() {
            self.take(input, ctx);
        }
        let lowest = self.bounds.iter().min().copied().unwrap_or(Timestamp::DONE);
        self.let_in = self.let_in.split_off(&lowest);
        if let Some(output) = self.allow.filter(|_| had_room != self.has_room()) {
            self.changes += 1;
            ctx.send(
                output,
                Packet::new(self.has_room(), Timestamp::clamped(self.changes)),
            );
        }
        Ok(Flow::Continue)
    }
}

impl RealTimeFlowLimiter {
    fn has_room(&self) -> bool {
        self.in_flight < self.max_in_flight
    }

    fn take(&mut self, input: usize, ctx: &mut Context<'_>) {
        let seen = ctx.input(input);
        let at = seen.timestamp();
        if let Some(bound) = self.bounds.get_mut(input)
            && at.is_range_value()
            && *bound <= at
        {
            *bound = at.shifted(1).unwrap_or(Timestamp::MAX);
        }
        if seen.is_empty() {
            if ctx.input_is_done(input) {
                ctx.close_output(input);
            }
        } else if self.let_in.contains(&at) {
            // Its partner of another input is in already.
            ctx.send(input, seen);
        } else if self.has_room() && at > self.last_dropped {
            ctx.send(input, seen);
            self.let_in.insert(at);
            self.in_flight += 1;
        } else {
            self.last_dropped = self.last_dropped.max(at);
            ctx.dropped(DropReason::Limited, at);
        }
        if let Some(bound) = self.bounds.get(input) {
            ctx.raise_bound(input, *bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::play;

    const GRAPH: &str = "inputStreams: [a, b, fin]\noutputStreams: [x, y, allow]\nnodes:\n- {calculator: \
                         RealTimeFlowLimiter, inputs: [a, b, 'FINISHED:fin'], outputs: [x, y, 'ALLOW:allow']}\n";

    #[test]
    fn drops_on_all_inputs_alike() {
        let feed = "a@1=1 b@1=10 a@2=2 b@2=20 fin@1=0 b@3=30 a@3=3";
        assert_eq!(
            play(GRAPH, feed),
            "x: 1=1 3=3 |\ny: 1=10 3=30 |\nallow: 1=false 2=true 3=false |\n"
        );
    }

    #[test]
    fn a_finished_packet_too_many_is_an_error() {
        assert!(play(GRAPH, "fin@1=0").contains("none was under way"));
    }
}
