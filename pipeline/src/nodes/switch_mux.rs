//! The exit of a switch.

use std::collections::VecDeque;

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::switch_choice::{Choice, choice_ports, chosen};
use crate::nodes::switch_demux::Options;
use crate::options::OptionError;
use crate::packet::Packet;
use crate::timestamp::Timestamp;

/// Waits for the chosen node only: the others may be slow, or say nothing about what doesn't come.
#[derive(Debug)]
pub(crate) struct SwitchMux {
    options: Options,
    choice: Choice,
    /// From when on which node is chosen, oldest first; the first holds for all earlier times too.
    chosen: VecDeque<(Timestamp, usize)>,
    /// All times before this have been chosen for.
    decided: Timestamp,
    /// By input, SELECT and ENABLE included.
    waiting: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    packets: VecDeque<Packet>,
    bound: Timestamp,
}

impl Calculator for SwitchMux {
    const NAME: &'static str = "SwitchMux";
    const DOC: &'static str = "Hands on what one of several nodes gives at a time, in the order of time, and drops what \
                               the others give. Inputs are numbered node by node: with two outputs, 0 and 1 come from \
                               the first node, 2 and 3 from the second. Made by SwitchContainer.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        choice_ports(Contract::default())
            .input(
                Port::any("")
                    .arity(Arity::Many)
                    .doc("every output, once for each node"),
            )
            .output(Port::any("").arity(Arity::Many).doc("that of the chosen node"))
            .immediate()
            .process_bounds()
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        options.check()
    }

    fn new(options: Options) -> Self {
        let first = options.enable.map_or(options.select, usize::from);
        Self {
            options,
            choice: Choice::default(),
            chosen: VecDeque::from([(Timestamp::UNSET, first)]),
            decided: Timestamp::PRE_STREAM,
            waiting: Vec::new(),
        }
    }
}

impl Node for SwitchMux {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.choice = Choice::find(ctx, self.options.channels)?;
        if let Some(channel) = self.choice.by_side_packet {
            self.chosen = VecDeque::from([(Timestamp::UNSET, channel)]);
        }
        let streams = (0..ctx.input_count()).map(|_| Stream {
            packets: VecDeque::new(),
            bound: Timestamp::PRE_STREAM,
        });
        self.waiting = streams.collect();
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        self.gather(ctx)?;
        for output in 0..ctx.output_count() {
            self.hand_on(ctx, output);
        }
        let done = (0..ctx.output_count())
            .map(|output| ctx.output_bound(output))
            .min();
        let done = done.unwrap_or(Timestamp::DONE);
        while self.chosen.get(1).is_some_and(|(from, _)| *from <= done) {
            self.chosen.pop_front();
        }
        Ok(Flow::Continue)
    }
}

impl SwitchMux {
    /// Takes what the set brings.
    fn gather(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if let Some(channel) = chosen(ctx, &self.choice, self.options.channels)? {
            let from = self
                .choice
                .input
                .map_or(Timestamp::UNSET, |input| ctx.input(input).timestamp());
            self.chosen.push_back((from, channel));
        }
        self.decided = self
            .choice
            .input
            .map_or(Timestamp::DONE, |input| ctx.input_bound(input));
        for input in self.choice.others.clone() {
            let bound = ctx.input_bound(input);
            let packet = ctx.take(input);
            if let Some(stream) = self.waiting.get_mut(input) {
                stream.bound = stream.bound.max(bound);
                if !packet.is_empty() {
                    stream.packets.push_back(packet);
                }
            }
        }
        Ok(())
    }

    /// Sends an output's packets as far as it is known where they come from and that none is missing.
    fn hand_on(&mut self, ctx: &mut Context<'_>, output: usize) {
        let outputs = ctx.output_count();
        let others = self.choice.others.start;
        let spans = self.chosen.iter().enumerate().map(|(at, (_, channel))| {
            let end = self.chosen.get(at + 1).map_or(self.decided, |(from, _)| *from);
            (others + channel * outputs + output, end)
        });
        for (chosen, end) in spans.collect::<Vec<_>>() {
            let start = ctx.output_bound(output);
            if end <= start {
                continue;
            }
            let settled = self
                .waiting
                .get(chosen)
                .map_or(Timestamp::DONE, |stream| stream.bound);
            let until = settled.min(end);
            for channel in 0..self.options.channels {
                let input = others + channel * outputs + output;
                let Some(stream) = self.waiting.get_mut(input) else {
                    continue;
                };
                while stream
                    .packets
                    .front()
                    .is_some_and(|packet| packet.timestamp() < until)
                {
                    let packet = stream.packets.pop_front();
                    if let Some(packet) =
                        packet.filter(|packet| input == chosen && packet.timestamp() >= start)
                    {
                        ctx.send(output, packet);
                    }
                }
            }
            ctx.raise_bound(output, until.min(Timestamp::ONE_OVER_POST_STREAM));
            if until < end {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::replay::{Feed, Settings, run};
    use crate::run::Inputs;
    use crate::testing::graph;

    fn fed(choice: &str, contained: &str, lines: &str) -> String {
        let graph = graph(&format!(
            "inputStreams: [in, choice]
outputStreams: [out]
nodes:
- {{name: pick, calculator: SwitchContainer, inputs: ['{choice}:choice', in], outputs: [out],
   options: {{containedNode: [{contained}]}}}}"
        ));
        let feed = Feed::parse(lines, Path::new("")).unwrap();
        let mut records = Vec::new();
        for threads in [1, 2, 4] {
            let inputs = Inputs {
                threads: Some(threads),
                ..Inputs::default()
            };
            let record = run(&graph, &feed, inputs, &Settings::default()).unwrap();
            records.push(record.write(None).unwrap());
        }
        assert!(records.windows(2).all(|pair| pair[0] == pair[1]), "{records:#?}");
        records.remove(0)
    }

    fn packets(stream: &str, values: &[(i64, &str)]) -> String {
        let line =
            |(t, value): &(i64, &str)| format!("{{\"stream\":\"{stream}\",\"t\":{t},\"value\":{value}}}\n");
        values.iter().map(line).collect()
    }

    #[test]
    fn each_packet_goes_through_the_node_chosen_at_its_time() {
        let lines = packets("in", &[(1, "10"), (2, "20"), (3, "30"), (4, "40")])
            + &packets("choice", &[(2, "1"), (4, "0")]);
        let given = fed(
            "SELECT",
            "{calculator: PassThrough}, {calculator: Keep, options: {every: 2}}",
            &lines,
        );
        // Keep lets its first packet through, at 2, not its second, at 3.
        assert_eq!(
            given,
            packets("out", &[(1, "10"), (2, "20"), (4, "40")]) + "{\"status\":\"ok\"}\n"
        );
    }

    #[test]
    fn a_node_that_is_not_chosen_and_says_nothing_holds_nobody_up() {
        let lines = packets("choice", &[(0, "false")])
            + &packets("in", &[(1, "10"), (2, "20")])
            + "{\"stream\":\"choice\",\"bound\":9}\n{\"idle\":true}\n{\"cancel\":true}\n";
        let given = fed("ENABLE", "{calculator: PassThrough}, {calculator: Keep}", &lines);
        assert!(
            given.starts_with(&packets("out", &[(1, "10"), (2, "20")])),
            "{given}"
        );
    }

    #[test]
    fn a_choice_that_is_not_there_ends_the_run() {
        let lines = packets("choice", &[(1, "2")]) + &packets("in", &[(1, "10")]);
        let given = fed(
            "SELECT",
            "{calculator: PassThrough}, {calculator: PassThrough}",
            &lines,
        );
        assert!(
            given.contains("node 2 is chosen, but there are 2 from 0 on"),
            "{given}"
        );
    }
}
