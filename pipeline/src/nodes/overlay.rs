//! Draws what was found into the frame.

mod canvas;
mod font;

use std::fmt::Write as _;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buffers::Buffers;
use crate::contract::{Arity, Contract, Port};
use crate::detection::{Counts, Detection, Detections};
use crate::frame::{Frame, PixelFormat};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::overlay::canvas::Canvas;
use crate::options::OptionError;
use crate::packet::{Packet, Payload};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Width of lines in pixels.
    line_width: usize,
    /// Size of letters: pixels per dot of the font, whose letters are 5 dots high.
    text_scale: usize,
    /// Writes name, number and score at each box.
    labels: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            line_width: 2,
            text_scale: 2,
            labels: true,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Overlay {
    options: Options,
    detections: Option<usize>,
    counts: Option<usize>,
    buffers: Buffers<Frame>,
}

/// Frames that are kept for use again.
const FRAMES: usize = 8;

impl Calculator for Overlay {
    const NAME: &'static str = "Overlay";
    const DOC: &'static str = "Draws boxes, landmarks and labels, and counts in a corner, into an RGB frame. A frame that \
                               somebody else holds too is copied first; else it is drawn into as it is.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .stateless()
            .input(Port::of::<Frame>("FRAME").doc("rgb or gray frames"))
            .input(
                Port::of::<Detections>("DETECTIONS")
                    .arity(Arity::Optional)
                    .doc("boxes to draw"),
            )
            .input(
                Port::of::<Counts>("COUNTS")
                    .arity(Arity::Any)
                    .doc("counts to write"),
            )
            .output(Port::of::<Frame>("").doc("frames of rgb with drawings"))
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        for (option, value) in [
            ("lineWidth", options.line_width),
            ("textScale", options.text_scale),
        ] {
            if !(1..=64).contains(&value) {
                return Err(OptionError::value(
                    option,
                    format!("{value} isn't possible; use 1 to 64"),
                ));
            }
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            detections: None,
            counts: None,
            buffers: Buffers::new(FRAMES),
        }
    }
}

impl Node for Overlay {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.detections = ctx.input_index("DETECTIONS", 0);
        self.counts = ctx.input_index("COUNTS", 0);
        if let Some(header) = ctx.header(0).cloned() {
            ctx.set_header(0, header);
        }
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let packet = ctx.take(0);
        if packet.is_empty() {
            return Ok(Flow::Continue);
        }
        let at = packet.timestamp();
        let found = match self.detections {
            Some(input) => ctx.get::<Detections>(input)?,
            None => None,
        };
        let first = self.counts.unwrap_or(ctx.input_count());
        let counts = (first..ctx.input_count()).map(|input| ctx.get::<Counts>(input));
        let counts: Vec<&Counts> = counts
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect();
        let boxes = found.map_or(&[][..], |found| &found.found);
        let payload = self.drawn(packet, boxes, &counts)?;
        ctx.send(0, Packet::from_payload(payload, at));
        Ok(Flow::Continue)
    }
}

impl Overlay {
    fn drawn(
        &mut self,
        packet: Packet,
        boxes: &[Detection],
        counts: &[&Counts],
    ) -> Result<Payload, NodeError> {
        let options = self.options.clone();
        let draw = |frame: &mut Frame| {
            let mut canvas = Canvas::new(frame);
            for detection in boxes {
                draw_detection(&mut canvas, detection, &options);
            }
            draw_counts(&mut canvas, counts, &options);
        };
        let shared = match packet.into_value::<Frame>()? {
            Ok(mut alone) if alone.format() == PixelFormat::Rgb => {
                draw(&mut alone);
                return Ok(Payload::new(alone));
            }
            Ok(alone) => Arc::new(alone),
            Err(shared) => shared,
        };
        let copy = self.buffers.lend(Frame::empty, |copy| {
            copy_as_rgb(&shared, copy)?;
            draw(copy);
            Ok::<(), NodeError>(())
        })?;
        Ok(Payload::shared(copy))
    }
}

fn draw_detection(canvas: &mut Canvas<'_>, detection: &Detection, options: &Options) {
    let key = detection.track.unwrap_or(detection.class as u64);
    let color = color(key);
    canvas.outline(&detection.rect, options.line_width, color);
    for point in &detection.landmarks {
        canvas.dot(*point, options.line_width + 1, color);
    }
    if options.labels {
        let mut text = detection.label.clone().unwrap_or_default();
        if let Some(track) = detection.track {
            // Writing to a string can't fail.
            let _ = write!(text, " #{track}");
        }
        let _ = write!(text, " {:.0}%", detection.score * 100.0);
        let height = (font::HEIGHT * options.text_scale) as f32;
        // Above the box, or inside where there is no room above.
        let above = detection.rect.y - height - 2.0;
        let y = if above >= 0.0 {
            above
        } else {
            detection.rect.y + options.line_width as f32 + 1.0
        };
        canvas.write(text.trim(), detection.rect.x, y, options.text_scale, color);
    }
}

fn draw_counts(canvas: &mut Canvas<'_>, counts: &[&Counts], options: &Options) {
    let line = (font::HEIGHT + 2) * options.text_scale;
    for (index, counts) in counts.iter().enumerate() {
        let Counts {
            name,
            forward,
            backward,
            inside,
        } = counts;
        let text = format!("{name} +{forward} -{backward} ={inside}");
        let y = (options.text_scale * 2 + index * line) as f32;
        canvas.write(
            text.trim(),
            (options.text_scale * 2) as f32,
            y,
            options.text_scale,
            [255, 255, 255],
        );
    }
}

/// Colours that are easy to tell apart, the same for the same thing in every frame.
fn color(key: u64) -> [u8; 3] {
    const COLORS: [[u8; 3]; 8] = [
        [255, 64, 64],
        [64, 224, 64],
        [80, 144, 255],
        [255, 208, 0],
        [224, 80, 255],
        [0, 224, 224],
        [255, 144, 32],
        [176, 255, 96],
    ];
    let place = usize::try_from(key % COLORS.len() as u64).unwrap_or(0);
    COLORS.get(place).copied().unwrap_or([255; 3])
}

fn copy_as_rgb(from: &Frame, to: &mut Frame) -> Result<(), NodeError> {
    let failed = |problem: String| NodeError::Failed(problem);
    let bytes = to
        .reshape(from.width(), from.height(), PixelFormat::Rgb)
        .map_err(|error| failed(error.to_string()))?;
    match from.format() {
        PixelFormat::Rgb => bytes.copy_from_slice(from.data()),
        PixelFormat::Gray => {
            for (pixel, value) in bytes.chunks_exact_mut(3).zip(from.data()) {
                pixel.fill(*value);
            }
        }
        PixelFormat::Nv12 => return Err(failed("draws into rgb and gray frames, not nv12".to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
