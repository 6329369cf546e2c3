//! A steady rate from packets at any times.

mod grid;
mod jitter;
mod random;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, count};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::changed_options::changed;
use crate::nodes::packet_resampler::grid::Grid;
use crate::nodes::packet_resampler::jitter::Jitter;
use crate::options::OptionError;
use crate::packet::{Packet, Payload};
use crate::timestamp::Timestamp;
use crate::video_header::VideoHeader;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Packets per second on the output.
    frame_rate: f64,
    /// What becomes of the stream's header.
    output_header: OutputHeader,
    /// At the end sends the last packet even if its tick lies after it.
    flush_last_packet: bool,
    /// 0: a fixed grid. Up to 1: every period is longer or shorter by chance, by at most this part of it.
    jitter: f64,
    /// Keeps each packet within its own period.
    jitter_with_reflection: bool,
    /// The same, with periods counted from time 0, so that the same times are chosen wherever a stream begins.
    reproducible_sampling: bool,
    /// A time that lies on the grid; the first packet's when not given.
    base_timestamp: Option<i64>,
    /// Nothing is sent before it.
    start_time: Option<i64>,
    /// Nothing is sent from here on.
    end_time: Option<i64>,
    /// Widens startTime and endTime by half a period.
    round_limits: bool,
    /// Takes the rate from VIDEO_HEADER.
    use_input_frame_rate: bool,
    /// The highest rate, whatever is asked for; none when not above 0.
    max_frame_rate: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            frame_rate: -1.0,
            output_header: OutputHeader::None,
            flush_last_packet: true,
            jitter: 0.0,
            jitter_with_reflection: false,
            reproducible_sampling: false,
            base_timestamp: None,
            start_time: None,
            end_time: None,
            round_limits: false,
            use_input_frame_rate: false,
            max_frame_rate: -1.0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum OutputHeader {
    None,
    PassHeader,
    UpdateVideoHeader,
}

#[derive(Debug)]
pub(crate) struct PacketResampler {
    options: Options,
    data: usize,
    video_in: Option<usize>,
    out: usize,
    video_out: Option<usize>,
    rate: f64,
    header: VideoHeader,
    header_sent: bool,
    way: Option<Way>,
    last: Option<Packet>,
}

#[derive(Debug)]
enum Way {
    Grid(Grid),
    Jitter(Jitter),
}

impl Calculator for PacketResampler {
    const NAME: &'static str = "PacketResampler";
    const DOC: &'static str = "Sends packets at a steady rate: at each tick the one nearest to it in time, and in a \
                               gap the newest again. With jitter the ticks are moved by chance, from side packet SEED.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("").arity(Arity::Optional).doc("anything"))
            .input(
                Port::any("DATA")
                    .arity(Arity::Optional)
                    .doc("the same, with a tag"),
            )
            .input(
                Port::of::<VideoHeader>("VIDEO_HEADER")
                    .arity(Arity::Optional)
                    .doc("at PreStream: rate and size"),
            )
            .output(
                Port::same_as("", "")
                    .arity(Arity::Optional)
                    .doc("the same at a steady rate"),
            )
            .output(
                Port::same_as("DATA", "DATA")
                    .arity(Arity::Optional)
                    .doc("the same, with a tag"),
            )
            .output(
                Port::of::<VideoHeader>("VIDEO_HEADER")
                    .arity(Arity::Optional)
                    .doc("at PreStream: the new rate"),
            )
            .side_input(
                Port::of::<Value>("OPTIONS")
                    .arity(Arity::Optional)
                    .doc("options as an object"),
            )
            .side_input(
                Port::of::<String>("SEED")
                    .arity(Arity::Optional)
                    .doc("what chance starts from"),
            )
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        let data = |ports| count(ports, "") + count(ports, "DATA");
        if data(&given.inputs) != 1 || data(&given.outputs) != 1 {
            return Err(PortsError::new(
                "takes one input and one output, without a tag or as DATA",
            ));
        }
        if options.jitter > 0.0 && count(&given.side_inputs, "SEED") == 0 {
            return Err(PortsError::new("needs side packet SEED for its jitter"));
        }
        Ok(Self::contract(options))
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        if !(options.frame_rate > 0.0 && options.frame_rate <= 1e6) {
            let problem = format!(
                "{} isn't possible; use more than 0 and at most 1000000",
                options.frame_rate
            );
            return Err(OptionError::value("frameRate", problem));
        }
        if !(0.0..=1.0).contains(&options.jitter) {
            return Err(OptionError::value(
                "jitter",
                format!("{} isn't possible; use 0 to 1", options.jitter),
            ));
        }
        for (option, time) in [
            ("baseTimestamp", options.base_timestamp),
            ("startTime", options.start_time),
            ("endTime", options.end_time),
        ] {
            if let Some(Err(error)) = time.map(Timestamp::from_micros) {
                return Err(OptionError::value(option, error.to_string()));
            }
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            data: 0,
            video_in: None,
            out: 0,
            video_out: None,
            rate: 1.0,
            header: VideoHeader::default(),
            header_sent: false,
            way: None,
            last: None,
        }
    }
}

impl Node for PacketResampler {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        if ctx.side_packet("OPTIONS", 0).is_some() {
            self.options = changed::<Self>(&self.options, ctx.side::<Value>("OPTIONS")?)?;
        }
        self.data = ctx.input_index("", 0).or(ctx.input_index("DATA", 0)).unwrap_or(0);
        self.out = ctx
            .output_index("", 0)
            .or(ctx.output_index("DATA", 0))
            .unwrap_or(0);
        self.video_in = ctx.input_index("VIDEO_HEADER", 0);
        self.video_out = ctx.output_index("VIDEO_HEADER", 0);
        self.begin(self.options.frame_rate, ctx)?;
        self.pass_header(ctx);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(input) = self.video_in
            && let Some(header) = ctx.get::<VideoHeader>(input)?.copied()
        {
            self.header = header;
            if self.options.use_input_frame_rate {
                self.begin(header.frame_rate, ctx)?;
            }
            self.header.frame_rate = self.rate;
        }
        let packet = ctx.take(self.data);
        if packet.is_empty() {
            return Ok(Flow::Continue);
        }
        if !packet.timestamp().is_range_value() {
            let problem = format!("a packet at {} has no place in a steady rate", packet.timestamp());
            return Err(NodeError::Failed(problem));
        }
        if let Some(output) = self.video_out.filter(|_| !self.header_sent) {
            ctx.send(output, Packet::new(self.header, Timestamp::PRE_STREAM));
            self.header_sent = true;
        }
        let mut sent = Vec::new();
        let bound = match &mut self.way {
            Some(Way::Grid(grid)) => grid.take(&packet, self.last.as_ref(), &mut sent),
            Some(Way::Jitter(jitter)) => jitter.take(&packet, self.last.as_ref(), &mut sent),
            None => None,
        };
        self.send(sent, ctx);
        if let Some(bound) = bound {
            ctx.raise_bound(self.out, bound);
        }
        self.last = Some(packet);
        Ok(Flow::Continue)
    }

    fn close(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        let left = match &mut self.way {
            Some(Way::Grid(grid)) if self.options.flush_last_packet => grid.end(self.last.as_ref()),
            Some(Way::Jitter(jitter)) => jitter.end(),
            _ => None,
        };
        self.send(left.into_iter().collect(), ctx);
        Ok(())
    }
}

impl PacketResampler {
    fn begin(&mut self, rate: f64, ctx: &Context<'_>) -> Result<(), NodeError> {
        let most = self.options.max_frame_rate;
        self.rate = if most > 0.0 { rate.min(most) } else { rate };
        if !(self.rate > 0.0 && self.rate <= 1e6) {
            return Err(NodeError::Failed(format!(
                "a rate of {rate} frames per second isn't possible"
            )));
        }
        self.header.frame_rate = self.rate;
        self.way = Some(if self.options.jitter > 0.0 {
            let seed = ctx.side::<String>("SEED")?;
            let kind = jitter::Kind {
                jitter: self.options.jitter,
                reflect: self.options.jitter_with_reflection || self.options.reproducible_sampling,
                from_zero: self.options.reproducible_sampling,
            };
            Way::Jitter(Jitter::new(kind, self.rate, seed))
        } else {
            Way::Grid(Grid::new(
                self.rate,
                self.options.base_timestamp.map(Timestamp::clamped),
            ))
        });
        Ok(())
    }

    fn pass_header(&mut self, ctx: &mut Context<'_>) {
        let Some(header) = ctx.header(self.data).cloned() else {
            return;
        };
        match (self.options.output_header, header.get::<VideoHeader>()) {
            (OutputHeader::None, _) => {}
            (OutputHeader::UpdateVideoHeader, Some(video)) => {
                self.header = VideoHeader {
                    frame_rate: self.rate,
                    ..*video
                };
                ctx.set_header(self.out, Payload::new(self.header));
            }
            (OutputHeader::PassHeader | OutputHeader::UpdateVideoHeader, _) => {
                ctx.set_header(self.out, header);
            }
        }
    }

    fn send(&self, packets: Vec<Packet>, ctx: &mut Context<'_>) {
        let margin = if self.options.round_limits {
            (1e6 / self.rate) as i64 / 2
        } else {
            0
        };
        let limit = |time: Option<i64>, margin: i64, open: Timestamp| {
            time.map_or(open, |time| Timestamp::clamped(time.saturating_add(margin)))
        };
        let start = limit(self.options.start_time, -margin, Timestamp::MIN);
        let end = limit(self.options.end_time, margin, Timestamp::MAX);
        for packet in packets {
            if (start..end).contains(&packet.timestamp()) {
                ctx.send(self.out, packet);
            }
        }
    }
}

#[cfg(test)]
mod tests;
