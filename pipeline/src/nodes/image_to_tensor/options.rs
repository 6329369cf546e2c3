//! The options of ImageToTensor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::OptionError;
use crate::tensor::ElementType;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Width of the tensor; the frame's (after `crop`) when not given.
    pub(super) width: Option<usize>,
    /// Height of the tensor; the frame's (after `crop`) when not given.
    pub(super) height: Option<usize>,
    /// Part of the frame that is taken: `x`, `y`, `width` and `height`, each 0 to 1 of the frame's sides.
    pub(super) crop: Option<Crop>,
    /// When the sides have another ratio. `stretch`: fill the tensor; `cover`: cut off what is too much; `letterbox`:
    /// keep all and fill the rest with `border`.
    pub(super) fit: Fit,
    /// The pixel value, 0 to 255, around a letterboxed picture.
    pub(super) border: u8,
    /// `gray`: one plane; `rgb`: three; `bgr`: three, in the order of OpenCV.
    pub(super) channels: Channels,
    /// `nchw`: plane after plane; `nhwc`: pixel after pixel.
    pub(super) layout: Layout,
    /// Type of the numbers. `u8` and `i8` are rounded and kept in range: set `white`, `mean` and `std` accordingly.
    pub(super) element: Element,
    /// What the brightest pixel counts as: 1, or 255 for models that take bytes.
    pub(super) white: f32,
    /// Subtracted from the pixel (0 to `white`) before the division by `std`: one number, or one per channel.
    pub(super) mean: Vec<f32>,
    /// One number, or one per channel.
    pub(super) std: Vec<f32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            width: None,
            height: None,
            crop: None,
            fit: Fit::Stretch,
            border: 0,
            channels: Channels::Rgb,
            layout: Layout::Nchw,
            element: Element::F32,
            white: 1.0,
            mean: vec![0.0],
            std: vec![1.0],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Crop {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Fit {
    Stretch,
    Cover,
    Letterbox,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Channels {
    Gray,
    Rgb,
    Bgr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Layout {
    Nchw,
    Nhwc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Element {
    F32,
    U8,
    I8,
}

impl Element {
    pub(super) fn of_tensor(self) -> ElementType {
        match self {
            Self::F32 => ElementType::F32,
            Self::U8 => ElementType::U8,
            Self::I8 => ElementType::I8,
        }
    }
}

impl Channels {
    pub(super) fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb | Self::Bgr => 3,
        }
    }
}

/// No model takes more, and a wrong number must not ask for all memory.
const LARGEST_SIDE: usize = 8_192;

impl Options {
    pub(super) fn check(&self) -> Result<(), OptionError> {
        for (option, side) in [("width", self.width), ("height", self.height)] {
            if let Some(side) = side.filter(|side| !(1..=LARGEST_SIDE).contains(side)) {
                let problem = format!("{side} isn't possible; use 1 to {LARGEST_SIDE}");
                return Err(OptionError::value(option, problem));
            }
        }
        if let Some(crop) = &self.crop {
            let inside = |start: f32, size: f32| start >= 0.0 && size > 0.0 && start + size <= 1.0;
            if !inside(crop.x, crop.width) || !inside(crop.y, crop.height) {
                return Err(OptionError::value(
                    "crop",
                    "must lie within 0 to 1 and not be empty",
                ));
            }
        }
        if !(self.white > 0.0 && self.white.is_finite()) {
            return Err(OptionError::value("white", "must be above 0"));
        }
        let channels = self.channels.count();
        for (option, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != 1 && values.len() != channels {
                let problem = format!(
                    "has {} numbers; give 1 or {channels}, one per channel",
                    values.len()
                );
                return Err(OptionError::value(option, problem));
            }
        }
        if self.std.iter().any(|std| *std <= 0.0 || !std.is_finite()) {
            return Err(OptionError::value("std", "must be above 0"));
        }
        Ok(())
    }
}
