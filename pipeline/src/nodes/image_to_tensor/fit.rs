//! Which part of the frame goes to which part of the tensor.

use crate::mapping::Mapping;
use crate::node::NodeError;
use crate::nodes::image_to_tensor::options::{Crop, Fit, Options};

/// Sizes and places, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placement {
    pub(super) width: usize,
    pub(super) height: usize,
    /// The picture's part of the tensor; the rest is border.
    pub(super) across: Span,
    pub(super) down: Span,
}

/// Along one side: `count` pixels of the tensor from `to` on show the frame from `from` on, `step` frame pixels each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) to: usize,
    pub(super) count: usize,
    pub(super) from: f32,
    pub(super) step: f32,
}

impl Placement {
    pub(super) fn new(options: &Options, frame_width: usize, frame_height: usize) -> Result<Self, NodeError> {
        if frame_width == 0 || frame_height == 0 {
            return Err(NodeError::Failed(
                "a frame without pixels makes no tensor".to_owned(),
            ));
        }
        let whole = Crop {
            x: 0.0,
            y: 0.0,
            width: 1.0,
            height: 1.0,
        };
        let crop = options.crop.unwrap_or(whole);
        let part = |start: f32, size: f32, side: usize| {
            let size = (size * side as f32).max(1.0);
            (start * side as f32, size)
        };
        let (left, source_width) = part(crop.x, crop.width, frame_width);
        let (top, source_height) = part(crop.y, crop.height, frame_height);
        let width = options.width.unwrap_or(source_width.round() as usize);
        let height = options.height.unwrap_or(source_height.round() as usize);
        let (step_x, step_y) = (source_width / width as f32, source_height / height as f32);
        let placement = match options.fit {
            Fit::Stretch => (Span::all(width, left, step_x), Span::all(height, top, step_y)),
            Fit::Cover => {
                let step = step_x.min(step_y);
                let middle = |from: f32, source: f32, count: usize| {
                    Span::all(count, from + (source - count as f32 * step) / 2.0, step)
                };
                (
                    middle(left, source_width, width),
                    middle(top, source_height, height),
                )
            }
            Fit::Letterbox => {
                let step = step_x.max(step_y);
                let boxed = |from: f32, source: f32, side: usize| {
                    let count = ((source / step).round() as usize).clamp(1, side);
                    Span {
                        to: (side - count) / 2,
                        count,
                        from,
                        step: source / count as f32,
                    }
                };
                (
                    boxed(left, source_width, width),
                    boxed(top, source_height, height),
                )
            }
        };
        Ok(Self {
            width,
            height,
            across: placement.0,
            down: placement.1,
        })
    }

    pub(super) fn mapping(&self) -> Mapping {
        let offset = |span: &Span| span.from - span.to as f32 * span.step;
        Mapping {
            scale_x: self.across.step,
            scale_y: self.down.step,
            offset_x: offset(&self.across),
            offset_y: offset(&self.down),
        }
    }
}

impl Span {
    fn all(count: usize, from: f32, step: f32) -> Self {
        Self {
            to: 0,
            count,
            from,
            step,
        }
    }

    /// Per pixel of the tensor, the two neighbours among the frame's `side` pixels, centres on centres.
    pub(super) fn taps(&self, side: usize) -> Vec<Tap> {
        let last = side.saturating_sub(1);
        let tap = |index: usize| {
            let at = (self.from + (index as f32 + 0.5) * self.step - 0.5).clamp(0.0, last as f32);
            let first = at as usize;
            Tap {
                first,
                second: (first + 1).min(last),
                weight: at - first as f32,
            }
        };
        (0..self.count).map(tap).collect()
    }
}

/// Two neighbouring pixels and the weight of the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tap {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) weight: f32,
}
