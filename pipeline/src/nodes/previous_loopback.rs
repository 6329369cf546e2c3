//! Feeds a result back to the next frame.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::packet::Packet;
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct PreviousLoopback {
    main: usize,
    looped: usize,
    /// Times of MAIN that wait for their answer, and what LOOP had to say at the main packet before.
    waiting: VecDeque<Awaited>,
    /// News of LOOP that no main packet has taken yet, in time order.
    results: VecDeque<Packet>,
    newest_main: Timestamp,
    newest_main_packet: Timestamp,
    newest_result: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Awaited {
    main: Timestamp,
    /// Unset for a time without a main packet: nothing is looked for.
    result: Timestamp,
}

impl Calculator for PreviousLoopback {
    const NAME: &'static str = "PreviousLoopback";
    const DOC: &'static str = "Pairs each packet of MAIN with what LOOP had at the time of the main packet before. \
                               LOOP is a back edge. At the first main packet there is nothing, which is told at once.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("MAIN").doc("what comes in"))
            .input(Port::any("LOOP").doc("what was made of it, at the same times; a back edge"))
            .output(
                Port::same_as("PREV_LOOP", "LOOP").doc("the previous result, at the time of the main packet"),
            )
            .immediate()
            .process_bounds()
    }

    fn new(_options: Options) -> Self {
        Self {
            main: 0,
            looped: 1,
            waiting: VecDeque::new(),
            results: VecDeque::new(),
            newest_main: Timestamp::UNSTARTED,
            newest_main_packet: Timestamp::UNSTARTED,
            // Below Unstarted, so that the first, empty, news of LOOP counts: it answers the first main packet.
            newest_result: Timestamp::UNSET,
        }
    }
}

impl Node for PreviousLoopback {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.main = ctx.input_index("MAIN", 0).unwrap_or(0);
        self.looped = ctx.input_index("LOOP", 0).unwrap_or(1);
        if let Some(header) = ctx.header(self.looped).cloned() {
            ctx.set_header(0, header);
        }
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let main = ctx.take(self.main);
        if self.newest_main < main.timestamp() {
            self.newest_main = main.timestamp();
            let result = if main.is_empty() {
                Timestamp::UNSET
            } else {
                std::mem::replace(&mut self.newest_main_packet, main.timestamp())
            };
            self.waiting.push_back(Awaited {
                main: main.timestamp(),
                result,
            });
        }
        let result = ctx.take(self.looped);
        if self.newest_result < result.timestamp() {
            self.newest_result = result.timestamp();
            self.results.push_back(result);
        }
        self.answer(ctx);
        Ok(Flow::Continue)
    }
}

impl PreviousLoopback {
    fn answer(&mut self, ctx: &mut Context<'_>) {
        while let (Some(awaited), Some(result)) = (self.waiting.front().copied(), self.results.front()) {
            if awaited.result > result.timestamp() {
                // No main packet asks for it any more.
                self.results.pop_front();
                continue;
            }
            self.waiting.pop_front();
            let found = awaited.result == result.timestamp();
            let packet = if found { self.results.pop_front() } else { None };
            if let Some(packet) = packet.filter(|packet| !packet.is_empty()) {
                ctx.send(0, packet.at(awaited.main));
            } else {
                let next = awaited.main.shifted(1);
                ctx.raise_bound(0, next.unwrap_or(awaited.main.next_allowed_in_stream()));
            }
            if awaited.main == Timestamp::MAX {
                // The last time there can be.
                ctx.close_output(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::play;

    /// What the loop makes of a main packet: itself, if the gate lets it through.
    const GRAPH: &str = "inputStreams: [a, allow]\noutputStreams: [before, made]\nnodes:\n\
                         - {calculator: PreviousLoopback, inputs: ['MAIN:a', 'LOOP:made'], outputs: \
                         ['PREV_LOOP:before'], backEdges: [LOOP]}\n\
                         - {calculator: PassThrough, inputs: [a, before], outputs: [again, unused]}\n\
                         - {calculator: Gate, inputs: [again, 'ALLOW:allow'], outputs: [made]}\n";

    #[test]
    fn the_result_before_at_the_time_of_the_next() {
        let feed = "a@1=1 allow@1=true a@4=4 allow@4=true a@6=6 allow@6=true";
        assert_eq!(play(GRAPH, feed), "before: 4=1 6=4 |\nmade: 1=1 4=4 6=6 |\n");
    }

    #[test]
    fn no_result_is_told_and_nobody_waits() {
        let feed = "a@1=1 allow@1=true a@4=4 allow@4=false a@6=6 allow@6=true a@8 a@9=9 allow@9=true";
        assert_eq!(play(GRAPH, feed), "before: 4=1 9=6 |\nmade: 1=1 6=6 9=9 |\n");
    }
}
