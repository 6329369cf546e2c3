//! Frame to tensor: resize, choose channels, normalise, planes one after the other (NCHW).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::frame::{Frame, PixelFormat};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::options::OptionError;
use crate::tensor::Tensor;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Width of the tensor; the frame's when not given.
    width: Option<usize>,
    /// Height of the tensor; the frame's when not given.
    height: Option<usize>,
    /// `gray`: one plane; `rgb`: three.
    channels: PixelFormat,
    /// Subtracted from the pixel (0 to 1) before the division by `std`: one number, or one per channel.
    mean: Vec<f32>,
    /// One number, or one per channel.
    std: Vec<f32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            width: None,
            height: None,
            channels: PixelFormat::Rgb,
            mean: vec![0.0],
            std: vec![1.0],
        }
    }
}

#[derive(Debug)]
pub(crate) struct ImageToTensor {
    options: Options,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    /// Size of the frame that the taps were made for.
    taps_for: (usize, usize),
}

/// Two neighbouring pixels and the weight of the second.
#[derive(Debug, Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

const LARGEST_SIDE: usize = 8_192;

impl Calculator for ImageToTensor {
    const NAME: &'static str = "ImageToTensor";
    const DOC: &'static str = "Turns a frame into a tensor of shape 1×channels×height×width: resized (bilinear), \
                               each value (pixel / 255 - mean) / std.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::of::<Frame>("").doc("frames of any size"))
            .output(Port::of::<Tensor>("").doc("f32, 1×channels×height×width"))
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        for (option, side) in [("width", options.width), ("height", options.height)] {
            if let Some(side) = side.filter(|side| !(1..=LARGEST_SIDE).contains(side)) {
                return Err(OptionError::value(
                    option,
                    format!("{side} isn't possible; use 1 to {LARGEST_SIDE}"),
                ));
            }
        }
        let channels = options.channels.channels();
        for (option, values) in [("mean", &options.mean), ("std", &options.std)] {
            if values.len() != 1 && values.len() != channels {
                let problem = format!(
                    "has {} numbers; give 1 or {channels}, one per channel",
                    values.len()
                );
                return Err(OptionError::value(option, problem));
            }
        }
        if options.std.iter().any(|std| *std <= 0.0 || !std.is_finite()) {
            return Err(OptionError::value("std", "must be above 0"));
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            columns: Vec::new(),
            rows: Vec::new(),
            taps_for: (0, 0),
        }
    }
}

impl Node for ImageToTensor {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(frame) = ctx.get::<Frame>(0)? {
            let tensor = self.convert(frame)?;
            ctx.send_value(0, tensor);
        }
        Ok(Flow::Continue)
    }
}

impl ImageToTensor {
    fn convert(&mut self, frame: &Frame) -> Result<Tensor, NodeError> {
        let width = self.options.width.unwrap_or(frame.width());
        let height = self.options.height.unwrap_or(frame.height());
        if self.taps_for != (frame.width(), frame.height()) {
            self.columns = taps(frame.width(), width);
            self.rows = taps(frame.height(), height);
            self.taps_for = (frame.width(), frame.height());
        }
        let planes = self.options.channels.channels();
        let mut data = Vec::with_capacity(planes * width * height);
        for plane in 0..planes {
            let (mean, std) = (
                of_channel(&self.options.mean, plane),
                of_channel(&self.options.std, plane),
            );
            let (scale, shift) = (1.0 / (255.0 * std), -mean / std);
            for row in &self.rows {
                let pixels = Row { frame, row: *row };
                data.extend(self.columns.iter().map(|column| {
                    pixels
                        .value(*column, plane, self.options.channels)
                        .mul_add(scale, shift)
                }));
            }
        }
        Tensor::f32(vec![1, planes, height, width], data)
            .map_err(|error| NodeError::Failed(error.to_string()))
    }
}

/// A row between two rows of a frame.
struct Row<'a> {
    frame: &'a Frame,
    row: Tap,
}

impl Row<'_> {
    fn value(&self, column: Tap, plane: usize, wanted: PixelFormat) -> f32 {
        let across = |y| {
            let left = self.pixel(column.first, y, plane, wanted);
            left + (self.pixel(column.second, y, plane, wanted) - left) * column.weight
        };
        let top = across(self.row.first);
        if self.row.weight == 0.0 {
            top
        } else {
            top + (across(self.row.second) - top) * self.row.weight
        }
    }

    fn pixel(&self, x: usize, y: usize, plane: usize, wanted: PixelFormat) -> f32 {
        let start = y * self.frame.width() + x;
        let byte = |index: usize| f32::from(self.frame.data().get(index).copied().unwrap_or(0));
        match (self.frame.format(), wanted) {
            (PixelFormat::Gray, _) => byte(start),
            (PixelFormat::Rgb, PixelFormat::Rgb) => byte(start * 3 + plane),
            // The brightness of BT.601, as cameras and encoders weigh it.
            (PixelFormat::Rgb, PixelFormat::Gray) => {
                0.299 * byte(start * 3) + 0.587 * byte(start * 3 + 1) + 0.114 * byte(start * 3 + 2)
            }
        }
    }
}

/// Where each of `to` pixels lies among `from` pixels, centres on centres.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f32 / to as f32;
    let last = from.saturating_sub(1);
    let tap = |index: usize| {
        let at = ((index as f32 + 0.5) * scale - 0.5).clamp(0.0, last as f32);
        let first = at as usize;
        Tap {
            first,
            second: (first + 1).min(last),
            weight: at - first as f32,
        }
    };
    (0..to).map(tap).collect()
}

fn of_channel(values: &[f32], channel: usize) -> f32 {
    values.get(channel).or(values.first()).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(options: Options, frame: &Frame) -> Vec<f32> {
        ImageToTensor::check(&options).unwrap();
        ImageToTensor::new(options)
            .convert(frame)
            .unwrap()
            .as_f32()
            .unwrap()
            .to_vec()
    }

    fn close(found: &[f32], wanted: &[f32]) {
        let near = found
            .iter()
            .zip(wanted)
            .all(|(found, wanted)| (found - wanted).abs() < 1e-5);
        assert!(near && found.len() == wanted.len(), "{found:?} is not {wanted:?}");
    }

    #[test]
    fn planes_one_after_the_other_and_normalised() {
        let frame = Frame::new(2, 1, PixelFormat::Rgb, vec![255, 0, 51, 0, 255, 102]).unwrap();
        let options = Options {
            mean: vec![0.0, 0.5, 0.0],
            std: vec![1.0, 0.5, 1.0],
            ..Options::default()
        };
        close(&convert(options, &frame), &[1.0, 0.0, -1.0, 1.0, 0.2, 0.4]);
    }

    #[test]
    fn gray_of_a_colour_and_colour_of_a_gray() {
        let rgb = Frame::new(1, 1, PixelFormat::Rgb, vec![255, 0, 0]).unwrap();
        close(
            &convert(
                Options {
                    channels: PixelFormat::Gray,
                    ..Options::default()
                },
                &rgb,
            ),
            &[0.299],
        );
        let gray = Frame::new(1, 1, PixelFormat::Gray, vec![51]).unwrap();
        close(&convert(Options::default(), &gray), &[0.2, 0.2, 0.2]);
    }

    #[test]
    fn resizes_between_neighbours() {
        let frame = Frame::new(2, 2, PixelFormat::Gray, vec![0, 255, 0, 255]).unwrap();
        let options = |width| Options {
            width: Some(width),
            height: Some(1),
            channels: PixelFormat::Gray,
            ..Options::default()
        };
        close(&convert(options(4), &frame), &[0.0, 0.25, 0.75, 1.0]);
        close(&convert(options(1), &frame), &[0.5]);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let wrong = [
            Options {
                width: Some(0),
                ..Options::default()
            },
            Options {
                mean: vec![0.5, 0.5],
                ..Options::default()
            },
            Options {
                std: vec![0.0],
                ..Options::default()
            },
        ];
        for options in wrong {
            assert!(ImageToTensor::check(&options).is_err(), "{options:?}");
        }
    }
}
