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
use crate::video_header::VideoHeader;

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
        if options.format.bytes(options.width, options.height).is_none() {
            let (width, height) = (options.width, options.height);
            let problem = format!("nv12 isn't possible at {width}×{height}; it needs even sides");
            return Err(OptionError::value("format", problem));
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
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        let header = VideoHeader {
            width: self.options.width,
            height: self.options.height,
            frame_rate: self.options.fps,
        };
        ctx.set_header(0, Payload::new(header));
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
    let (width, height) = (options.width, options.height);
    let across = |x: usize| (x * 255 / width) as u8;
    let down = |y: usize| (y * 255 / height) as u8;
    let mut data = Vec::with_capacity(options.format.bytes(width, height).unwrap_or(0));
    for y in 0..height {
        for x in 0..width {
            match options.format {
                PixelFormat::Gray | PixelFormat::Nv12 => data.push(across(x)),
                PixelFormat::Rgb => {
                    data.extend([across(x), down(y), ((x + y) * 255 / (width + height)) as u8]);
                }
            }
        }
    }
    if options.format == PixelFormat::Nv12 {
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                data.extend([down(y), across(x)]);
            }
        }
    }
    Frame::new(width, height, options.format, data).map_err(|error| NodeError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_every_format() {
        for format in [PixelFormat::Gray, PixelFormat::Rgb, PixelFormat::Nv12] {
            let options = Options {
                width: 6,
                height: 4,
                format,
                ..Options::default()
            };
            let frame = gradient(&options).unwrap();
            assert_eq!(frame.data().len(), format.bytes(6, 4).unwrap());
        }
    }

    #[test]
    fn sides_must_suit_the_format() {
        let options = Options {
            width: 5,
            format: PixelFormat::Nv12,
            ..Options::default()
        };
        assert!(
            Generator::check(&options)
                .unwrap_err()
                .to_string()
                .contains("even")
        );
    }
}
