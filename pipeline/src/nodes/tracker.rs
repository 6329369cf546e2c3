//! Follows things from frame to frame.

mod assignment;
mod kalman;
mod tracks;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::detection::Detections;
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::tracker::tracks::Tracks;
use crate::options::OptionError;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Surer detections are looked at first, and only they begin a track.
    high_score: f32,
    /// Detections below this are left out.
    low_score: f32,
    /// How much a detection must overlap the place where a track is expected.
    min_overlap: f32,
    /// The same for the unsure detections, which are taken only by tracks that found nothing better.
    min_overlap_unsure: f32,
    /// Milliseconds that a track goes on without a detection.
    keep_for_ms: f64,
    /// Detections that a track needs before it is told, so that a single mistake makes none.
    confirm_after: u32,
    /// Tracks of different classes never take each other's detections.
    per_class: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            high_score: 0.6,
            low_score: 0.1,
            min_overlap: 0.2,
            min_overlap_unsure: 0.5,
            keep_for_ms: 1_000.0,
            confirm_after: 2,
            per_class: true,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Tracker {
    tracks: Tracks,
}

impl Calculator for Tracker {
    const NAME: &'static str = "Tracker";
    const DOC: &'static str = "Gives the same number to the same thing in every frame: ByteTrack (Zhang et al. 2022), \
                               with a Kalman filter for each thing's way and the Hungarian method for who is who. It \
                               goes by the frames' times, so frames may be missing.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::of::<Detections>("").doc("what was found, unsure detections too"))
            .output(
                Port::of::<Detections>("")
                    .doc("what is followed and was found in this frame, with its number"),
            )
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        let parts = [
            ("highScore", options.high_score),
            ("lowScore", options.low_score),
            ("minOverlap", options.min_overlap),
            ("minOverlapUnsure", options.min_overlap_unsure),
        ];
        if let Some((option, value)) = parts.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(OptionError::value(
                option,
                format!("{value} isn't possible; use 0 to 1"),
            ));
        }
        if !(0.0..=3_600_000.0).contains(&options.keep_for_ms) {
            let problem = format!("{} isn't possible; use 0 to 3600000", options.keep_for_ms);
            return Err(OptionError::value("keepForMs", problem));
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            tracks: Tracks::new(options),
        }
    }
}

impl Node for Tracker {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let packet = ctx.take(0);
        if !packet.is_empty() {
            let seconds = packet.timestamp().micros() as f64 / 1e6;
            let found = self.tracks.follow(packet.get::<Detections>()?, seconds);
            ctx.send_value(0, Detections { found });
        }
        Ok(Flow::Continue)
    }
}
