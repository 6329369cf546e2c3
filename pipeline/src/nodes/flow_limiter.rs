//! Keeps the number of frames under way in a part of the graph small, by letting frames go.

mod allowed;

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, check_pairs};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::changed_options::changed;
use crate::nodes::flow_limiter::allowed::Allowed;
use crate::nodes::pass_through::pass_headers;
use crate::options::OptionError;
use crate::packet::Packet;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Frames under way at once.
    max_in_flight: i64,
    /// Frames that wait for their turn; more are dropped, the oldest first.
    max_in_queue: i64,
    /// A frame is given up when one so many microseconds newer arrives, counted in their times; 0: never.
    in_flight_timeout: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_in_flight: 1,
            max_in_queue: 0,
            in_flight_timeout: 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct FlowLimiter {
    options: Options,
    finished: usize,
    live_options: Option<usize>,
    allow: Option<usize>,
    /// Per data input what waits; the first is the main one.
    queues: Vec<VecDeque<Packet>>,
    in_flight: VecDeque<Timestamp>,
    decisions: Allowed,
}

impl Calculator for FlowLimiter {
    const NAME: &'static str = "FlowLimiter";
    const DOC: &'static str = "Lets a frame in when fewer than maxInFlight are under way, and drops what waits too \
                               long for that. FINISHED, a back edge, tells by a packet or a bound which frames are \
                               through. Further inputs pass at the times that the first one was allowed. For \
                               MediaPipe's graphs; a node's `freshness` and `inFlight` do the same without wiring.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(
                Port::any("")
                    .arity(Arity::Many)
                    .doc("the frames, and what belongs to them"),
            )
            .input(Port::any("FINISHED").doc("something at or after the time of a frame that is through"))
            .input(
                Port::of::<Value>("OPTIONS")
                    .arity(Arity::Optional)
                    .doc("options as an object, in force from then on"),
            )
            .output(
                Port::same_as("", "")
                    .arity(Arity::Many)
                    .doc("the frames that were let in"),
            )
            .output(
                Port::of::<bool>("ALLOW")
                    .arity(Arity::Optional)
                    .doc("at each frame's time: whether it was let in"),
            )
            .side_input(
                Port::of::<Value>("OPTIONS")
                    .arity(Arity::Optional)
                    .doc("options as an object"),
            )
            .side_input(
                Port::of::<i64>("MAX_IN_FLIGHT")
                    .arity(Arity::Optional)
                    .doc("maxInFlight"),
            )
            .immediate()
            .process_bounds()
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        check_pairs(given)?;
        Ok(Self::contract(options))
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        let values = [
            ("maxInFlight", options.max_in_flight),
            ("maxInQueue", options.max_in_queue),
            ("inFlightTimeout", options.in_flight_timeout),
        ];
        match values.iter().find(|(_, value)| *value < 0) {
            Some((option, value)) => Err(OptionError::value(
                option,
                format!("{value} isn't possible; use 0 or more"),
            )),
            None => Ok(()),
        }
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            finished: 0,
            live_options: None,
            allow: None,
            queues: Vec::new(),
            in_flight: VecDeque::new(),
            decisions: Allowed::new(),
        }
    }
}

impl Node for FlowLimiter {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if ctx.side_packet("OPTIONS", 0).is_some() {
            self.options = changed::<Self>(&self.options, ctx.side::<Value>("OPTIONS")?)?;
        }
        if ctx.side_packet("MAX_IN_FLIGHT", 0).is_some() {
            self.options.max_in_flight = *ctx.side::<i64>("MAX_IN_FLIGHT")?;
        }
        self.finished = ctx.input_index("FINISHED", 0).unwrap_or(0);
        self.live_options = ctx.input_index("OPTIONS", 0);
        self.allow = ctx.output_index("ALLOW", 0);
        let streams = ctx.output_count() - usize::from(self.allow.is_some());
        self.queues.resize(streams, VecDeque::new());
        pass_headers(ctx);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(input) = self.live_options
            && let Some(changes) = ctx.get::<Value>(input)?
        {
            self.options = changed::<Self>(&self.options, changes)?;
        }
        self.take_finished(&ctx.input(self.finished), ctx.timestamp());
        for (input, queue) in self.queues.iter_mut().enumerate() {
            if !ctx.input(input).is_empty() {
                queue.push_back(ctx.take(input));
            }
        }
        self.give_up(ctx);
        self.let_in(ctx);
        self.drop_surplus(ctx);
        self.raise_bounds(ctx);
        self.pass_others(ctx);
        let oldest = (0..self.queues.len()).map(|input| self.next_of(input, ctx)).min();
        self.decisions.forget_before(oldest.unwrap_or(Timestamp::DONE));
        Ok(Flow::Continue)
    }
}

impl FlowLimiter {
    fn take_finished(&mut self, finished: &Packet, now: Timestamp) {
        // Otherwise it is old news, shown beside another input's.
        if finished.timestamp() == now {
            while self.in_flight.front().is_some_and(|frame| *frame <= now) {
                self.in_flight.pop_front();
            }
        }
    }

    /// Forgets frames that are under way for too long, by the time of the newest frame.
    fn give_up(&mut self, ctx: &Context<'_>) {
        let newest = ctx.input(0).timestamp();
        let timeout = self.options.in_flight_timeout;
        if timeout == 0 || newest != ctx.timestamp() || newest >= Timestamp::MAX {
            return;
        }
        while self
            .in_flight
            .front()
            .and_then(|frame| newest.since(*frame))
            .is_some_and(|age| age > timeout)
        {
            self.in_flight.pop_front();
        }
    }

    fn let_in(&mut self, ctx: &mut Context<'_>) {
        while (self.in_flight.len() as i64) < self.options.max_in_flight {
            let Some(packet) = self.queues.first_mut().and_then(VecDeque::pop_front) else {
                return;
            };
            let at = packet.timestamp();
            ctx.send(0, packet);
            self.decide(true, at, ctx);
            self.in_flight.push_back(at);
        }
    }

    fn drop_surplus(&mut self, ctx: &mut Context<'_>) {
        let most = usize::try_from(self.options.max_in_queue).unwrap_or(usize::MAX);
        while let Some(queue) = self.queues.first_mut().filter(|queue| queue.len() > most) {
            let Some(packet) = queue.pop_front() else { return };
            ctx.dropped(DropReason::Limited, packet.timestamp());
            self.decide(false, packet.timestamp(), ctx);
        }
    }

    fn decide(&mut self, allowed: bool, at: Timestamp, ctx: &mut Context<'_>) {
        if let Some(output) = self.allow {
            ctx.send(output, Packet::new(allowed, at));
        }
        self.decisions.decide(at, allowed);
    }

    fn raise_bounds(&self, ctx: &mut Context<'_>) {
        let bound = self.next_of(0, ctx);
        raise_or_close(0, bound, ctx);
        let waits = self.queues.first().is_some_and(|queue| !queue.is_empty());
        if let (Some(output), false) = (self.allow, waits) {
            raise_or_close(output, bound, ctx);
        }
    }

    /// Passes or drops the other inputs' packets as far as the main input is decided.
    fn pass_others(&mut self, ctx: &mut Context<'_>) {
        let decided = ctx.output_bound(0);
        for input in 1..self.queues.len() {
            while let Some(packet) = self.pop_before(input, decided) {
                if self.decisions.allows(packet.timestamp()) {
                    ctx.send(input, packet);
                } else {
                    ctx.dropped(DropReason::Limited, packet.timestamp());
                }
            }
            raise_or_close(input, self.next_of(input, ctx), ctx);
        }
    }

    fn pop_before(&mut self, input: usize, limit: Timestamp) -> Option<Packet> {
        let queue = self.queues.get_mut(input)?;
        let early = queue.front()?.timestamp() < limit;
        early.then(|| queue.pop_front()).flatten()
    }

    /// The earliest time that an input still has to bring or to give away.
    fn next_of(&self, input: usize, ctx: &Context<'_>) -> Timestamp {
        let head = self.queues.get(input).and_then(VecDeque::front);
        head.map_or_else(|| ctx.input_bound(input), Packet::timestamp)
    }
}

fn raise_or_close(output: usize, bound: Timestamp, ctx: &mut Context<'_>) {
    if bound > Timestamp::MAX {
        ctx.close_output(output);
    } else {
        ctx.raise_bound(output, bound);
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    fn graph(options: &str) -> String {
        format!(
            "inputStreams: [a, b, fin, opt]\noutputStreams: [in0, in1, allow]\nnodes:\n- {{calculator: FlowLimiter, \
             inputs: [a, b, 'FINISHED:fin', 'OPTIONS:opt'], outputs: [in0, in1, 'ALLOW:allow'], options: {{{options}}}}}\n"
        )
    }

    #[test]
    fn one_at_a_time_and_the_rest_is_dropped() {
        let feed = "a@1=1 a@2=2 fin@1=0 a@3=3 a@4=4 fin@3=0 a@5=5";
        assert_eq!(
            play(&graph(""), feed),
            "in0: 1=1 3=3 5=5 |\nin1: |\nallow: 1=true 2=false 3=true 4=false 5=true |\n"
        );
    }

    #[test]
    fn the_newest_waits_in_the_queue() {
        let feed = "a@1=1 a@2=2 a@3=3 fin@1=0 a@4=4 fin@3=0";
        assert_eq!(
            play(&graph("maxInQueue: 1"), feed),
            "in0: 1=1 3=3 4=4 |\nin1: |\nallow: 1=true 2=false 3=true 4=true |\n"
        );
    }

    #[test]
    fn a_bound_on_finished_frees_frames_too() {
        assert_eq!(
            play(&graph(""), "a@1=1 fin@2 a@2=2"),
            "in0: 1=1 2=2 |\nin1: |\nallow: 1=true 2=true |\n"
        );
    }

    #[test]
    fn a_lost_frame_is_given_up_by_time() {
        let feed = "a@0=0 a@5=5 a@11=11 a@15=15";
        assert_eq!(
            play(&graph("inFlightTimeout: 10"), feed),
            "in0: 0=0 11=11 |\nin1: |\nallow: 0=true 5=false 11=true 15=false |\n"
        );
    }

    #[test]
    fn other_inputs_pass_where_the_first_was_let_in() {
        let feed = "b@1=10 a@1=1 b@2=20 a@2=2 b@3=30 fin@1=0 a@3=3 b@4=40 a@4=4";
        let seen = play(&graph(""), feed);
        assert!(seen.contains("in1: 1=10 3=30 |"), "{seen}");
    }

    #[test]
    fn options_change_while_running() {
        let seen = play(
            &graph(""),
            r#"a@1=1 a@2=2 opt@3={"maxInFlight":3} a@4=4 a@5=5 a@6=6"#,
        );
        assert!(seen.starts_with("in0: 1=1 4=4 5=5 |"), "{seen}");
        let wrong = play(&graph(""), r#"opt@3={"maxInFlight":-3}"#);
        assert!(
            wrong.contains("OPTIONS: option maxInFlight: -3 isn't possible"),
            "{wrong}"
        );
    }

    #[test]
    fn the_number_can_come_as_a_side_packet() {
        let graph = graph("").replace(
            "outputs: [in0",
            "sidePackets: {MAX_IN_FLIGHT: most}, outputs: [in0",
        );
        let seen = play(&graph, "side:most=2 a@1=1 a@2=2 a@3=3");
        assert!(seen.starts_with("in0: 1=1 2=2 |"), "{seen}");
    }

    #[test]
    fn each_input_needs_its_output() {
        assert!(
            problem(
                &graph("")
                    .replace("[in0, in1,", "[in0,")
                    .replace("outputs: [a, ", "outputs: [")
            )
            .contains("2 inputs")
        );
    }
}
