//! Makes frames, so that a graph can run without a camera.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::frame::{Frame, PixelFormat};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::pace::{Pace, check_fps};
use crate::options::OptionError;
use crate::packet::{Packet, Payload};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Frames per second; 0: as fast as they are taken.
    fps: f64,
    /// Frames to make; endless when not given.
    count: Option<u64>,
    width: usize,
    height: usize,
    format: PixelFormat,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fps: 30.0,
            count: None,
            width: 640,
            height: 480,
            format: PixelFormat::Rgb,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Generator {
    options: Options,
    pace: Pace,
    made: u64,
    /// One picture for all frames: they are shared, never written again.
    picture: Option<Arc<Frame>>,
}

/// No camera has more, and a wrong number must not ask for all memory.
const LARGEST_SIDE: usize = 8_192;

impl Calculator for Generator {
    const NAME: &'static str = "Generator";
    const DOC: &'static str = "Makes frames at a steady rate, stamped with the time they were made. Always the same \
                               picture, a gradient.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default().output(Port::of::<Frame>("").doc("the frames"))
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        check_fps(options.fps)?;
        for (option, side) in [("width", options.width), ("height", options.height)] {
            if !(1..=LARGEST_SIDE).contains(&side) {
                return Err(OptionError::value(
                    option,
                    format!("{side} isn't possible; use 1 to {LARGEST_SIDE}"),
                ));
            }
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            pace: Pace::new(options.fps),
            options,
            made: 0,
            picture: None,
        }
    }
}

impl Node for Generator {
    fn open(&mut self, _ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.picture = Some(Arc::new(gradient(&self.options)?));
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let (Some(picture), true) = (
            &self.picture,
            self.options.count.is_none_or(|count| self.made < count),
        ) else {
            return Ok(Flow::Stop);
        };
        self.made += 1;
        let stamp = ctx.stamp(0);
        ctx.send(
            0,
            Packet::from_payload(Payload::shared(Arc::clone(picture)), stamp),
        );
        if Some(self.made) == self.options.count {
            return Ok(Flow::Stop);
        }
        if let Some(at) = self.pace.next(ctx.now()) {
            ctx.wake_at(at);
        }
        Ok(Flow::Continue)
    }
}

fn gradient(options: &Options) -> Result<Frame, NodeError> {
    let (width, height, channels) = (options.width, options.height, options.format.channels());
    let mut data = Vec::with_capacity(width * height * channels);
    for y in 0..height {
        for x in 0..width {
            data.extend((0..channels).map(|channel| match channel {
                0 => (x * 255 / width) as u8,
                1 => (y * 255 / height) as u8,
                _ => ((x + y) * 255 / (width + height)) as u8,
            }));
        }
    }
    Frame::new(width, height, options.format, data).map_err(|error| NodeError::Failed(error.to_string()))
}
