//! Fewer packets: one in a period.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::changed_options::changed;
use crate::options::OptionError;
use crate::packet::{Packet, Payload};
use crate::timestamp::Timestamp;
use crate::video_header::VideoHeader;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// ASYNC: after a packet nothing for a period. SYNC: in each period, counted from startTime, the packet nearest
    /// to its middle.
    thinner_type: Kind,
    /// Microseconds.
    period: i64,
    /// Earlier packets are dropped; 0 for SYNC when not given.
    start_time: Option<i64>,
    /// Packets from here on are dropped, and the output closes.
    end_time: Option<i64>,
    /// SYNC: packets get the time of their period's middle.
    sync_output_timestamps: bool,
    /// Puts the rate that is left into the stream's header.
    update_frame_rate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            thinner_type: Kind::Async,
            period: 1,
            start_time: None,
            end_time: None,
            sync_output_timestamps: true,
            update_frame_rate: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Async,
    Sync,
}

#[derive(Debug)]
pub(crate) struct PacketThinner {
    options: Options,
    start: Timestamp,
    end: Timestamp,
    /// ASYNC: nothing passes before this.
    next_valid: Timestamp,
    /// SYNC: the best packet of the period so far.
    saved: Option<Packet>,
}

impl Calculator for PacketThinner {
    const NAME: &'static str = "PacketThinner";
    const DOC: &'static str = "Thins a stream out to at most one packet in a period.";
    type Options = Options;

    fn contract(options: &Options) -> Contract {
        let contract = Contract::default()
            .input(Port::any("").doc("anything"))
            .output(Port::same_as("", "").doc("what is left"))
            .side_input(Port::of::<i64>("PERIOD").arity(Arity::Optional).doc("period, µs"))
            .side_input(
                Port::of::<Value>("OPTIONS")
                    .arity(Arity::Optional)
                    .doc("options as an object"),
            );
        match options.thinner_type {
            Kind::Async => contract.offset(0),
            Kind::Sync => contract,
        }
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        if options.period < 1 {
            let problem = format!("{} isn't possible; use 1 or more microseconds", options.period);
            return Err(OptionError::value("period", problem));
        }
        for (option, time) in [("startTime", options.start_time), ("endTime", options.end_time)] {
            if let Some(Err(error)) = time.map(Timestamp::from_micros) {
                return Err(OptionError::value(option, error.to_string()));
            }
        }
        let (start, end) = limits(options);
        if start >= end {
            return Err(OptionError::value("endTime", "must be after startTime"));
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            start: Timestamp::MIN,
            end: Timestamp::MAX,
            next_valid: Timestamp::MIN,
            saved: None,
        }
    }
}

impl Node for PacketThinner {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if ctx.side_packet("OPTIONS", 0).is_some() {
            let kind = self.options.thinner_type;
            self.options = changed::<Self>(&self.options, ctx.side::<Value>("OPTIONS")?)?;
            if kind != self.options.thinner_type {
                return Err(NodeError::Failed(
                    "OPTIONS: thinnerType can't be changed there".to_owned(),
                ));
            }
        }
        if ctx.side_packet("PERIOD", 0).is_some() {
            self.options.period = *ctx.side::<i64>("PERIOD")?;
            Self::check(&self.options).map_err(|error| NodeError::Failed(format!("PERIOD: {error}")))?;
        }
        (self.start, self.end) = limits(&self.options);
        self.next_valid = self.start;
        ctx.raise_bound(0, self.start);
        if let Some(header) = ctx.header(0).cloned() {
            let updated = header
                .get::<VideoHeader>()
                .filter(|_| self.options.update_frame_rate);
            let updated = updated.map(|video| Payload::new(self.thinned(*video)));
            ctx.set_header(0, updated.unwrap_or(header));
        }
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let at = ctx.timestamp();
        if at >= self.end {
            ctx.close_output(0);
        } else if at >= self.start {
            let packet = ctx.take(0);
            match self.options.thinner_type {
                Kind::Async => self.pass(packet, ctx),
                Kind::Sync => self.choose(packet, ctx),
            }
        }
        Ok(Flow::Continue)
    }

    fn close(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if let Some(saved) = self.saved.take() {
            self.emit(&saved, ctx);
        }
        Ok(())
    }
}

impl PacketThinner {
    fn pass(&mut self, packet: Packet, ctx: &mut Context<'_>) {
        let at = packet.timestamp();
        if at >= self.next_valid {
            ctx.send(0, packet);
            self.next_valid = at.shifted(self.options.period).unwrap_or(Timestamp::MAX);
            ctx.raise_bound(0, self.next_valid);
        }
    }

    fn choose(&mut self, packet: Packet, ctx: &mut Context<'_>) {
        let at = packet.timestamp();
        let middle = self.middle(at);
        let bound = if self.options.sync_output_timestamps {
            middle
        } else {
            at
        };
        match self.saved.take() {
            Some(saved) if self.middle(saved.timestamp()) == middle => {
                // Of two that are as near, the newer one.
                let distance = |time: Timestamp| time.since(middle).unwrap_or(0).abs();
                let nearer = distance(at) <= distance(saved.timestamp());
                self.saved = Some(if nearer { packet } else { saved });
            }
            before => {
                if let Some(saved) = before {
                    self.emit(&saved, ctx);
                }
                ctx.raise_bound(0, bound);
                self.saved = Some(packet);
            }
        }
    }

    fn emit(&self, packet: &Packet, ctx: &mut Context<'_>) {
        let at = packet.timestamp();
        let at = if self.options.sync_output_timestamps {
            self.middle(at)
        } else {
            at
        };
        ctx.send(0, packet.at(at));
    }

    /// The middle of the period that a time falls into.
    fn middle(&self, at: Timestamp) -> Timestamp {
        // Wide, so that no time of the range overflows.
        let (at, start, period) = (
            i128::from(at.micros()),
            i128::from(self.start.micros()),
            i128::from(self.options.period),
        );
        let middle = (at - start + period / 2) / period * period + start;
        Timestamp::clamped(i64::try_from(middle).unwrap_or(i64::MAX))
    }

    fn thinned(&self, header: VideoHeader) -> VideoHeader {
        let period = self.options.period as f64 / 1e6;
        let frame_rate = match self.options.thinner_type {
            Kind::Async => header.frame_rate / (header.frame_rate * period).ceil().max(1.0),
            Kind::Sync => header.frame_rate.min(1.0 / period),
        };
        VideoHeader { frame_rate, ..header }
    }
}

fn limits(options: &Options) -> (Timestamp, Timestamp) {
    let first = match options.thinner_type {
        Kind::Async => Timestamp::MIN,
        Kind::Sync => Timestamp::clamped(0),
    };
    (
        options.start_time.map_or(first, Timestamp::clamped),
        options.end_time.map_or(Timestamp::MAX, Timestamp::clamped),
    )
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    fn graph(options: &str) -> String {
        format!(
            "inputStreams: [a]\noutputStreams: [out]\nnodes:\n- {{calculator: PacketThinner, inputs: [a], outputs: \
             [out], options: {{{options}}}}}\n"
        )
    }

    const FEED: &str = "a@2=2 a@3=3 a@5=5 a@7=7 a@11=11 a@13=13 a@17=17 a@19=19 a@23=23";

    #[test]
    fn a_pause_after_each_packet() {
        assert_eq!(play(&graph("period: 5"), FEED), "out: 2=2 7=7 13=13 19=19 |\n");
        let limited = graph("period: 5, startTime: 4, endTime: 17");
        assert_eq!(play(&limited, FEED), "out: 5=5 11=11 | |\n".replace(" | |", " |"));
    }

    #[test]
    fn the_nearest_to_each_tick() {
        let sync = "thinnerType: SYNC, period: 5, startTime: 2";
        assert_eq!(play(&graph(sync), FEED), "out: 2=2 7=7 12=13 17=17 22=23 |\n");
        let own = format!("{sync}, syncOutputTimestamps: false");
        assert_eq!(play(&graph(&own), FEED), "out: 2=2 7=7 13=13 17=17 23=23 |\n");
    }

    #[test]
    fn periods_and_limits_make_sense() {
        for (options, problem_part) in [
            ("period: 0", "period: 0 isn't possible"),
            ("startTime: 5, endTime: 5", "must be after startTime"),
            ("thinnerType: sync", "thinnerType"),
        ] {
            assert!(problem(&graph(options)).contains(problem_part), "{options}");
        }
    }
}
