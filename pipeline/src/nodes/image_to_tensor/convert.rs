//! The pass over the pixels: two rows of the frame at a time, so that nothing of the frame is copied as a whole.

use std::sync::Arc;

use crate::frame::{Frame, PixelFormat};
use crate::mapping::Mapping;
use crate::nodes::image_to_tensor::fit::{Placement, Tap};
use crate::nodes::image_to_tensor::options::{Channels, Layout, Options};
use crate::nodes::image_to_tensor::rows;

/// Made once per size and format of frames.
#[derive(Debug)]
pub(super) struct Converter {
    frame: (usize, usize, PixelFormat),
    placement: Placement,
    /// Made once, as it is sent with every frame.
    mapping: Arc<Mapping>,
    channels: Channels,
    layout: Layout,
    columns: Vec<Tap>,
    lines: Vec<Tap>,
    /// Every tensor pixel shows exactly one frame pixel of its column.
    straight: bool,
    /// Per channel: a pixel times the first plus the second.
    scaling: Vec<(f32, f32)>,
    border: f32,
    /// The frame's two rows in use, with their numbers, and the row between them.
    near: [(usize, Vec<f32>); 2],
    mixed: Vec<f32>,
}

impl Converter {
    pub(super) fn new(options: &Options, placement: Placement, frame: &Frame) -> Self {
        let channels = options.channels.count();
        let columns = placement.across.taps(frame.width());
        let straight = columns.iter().all(|tap| tap.weight == 0.0);
        let scaling = (0..channels).map(|channel| {
            let (mean, std) = (
                of_channel(&options.mean, channel),
                of_channel(&options.std, channel),
            );
            (options.white / 255.0 / std, -mean / std)
        });
        let row = vec![0.0; frame.width() * channels];
        Self {
            frame: (frame.width(), frame.height(), frame.format()),
            channels: options.channels,
            layout: options.layout,
            lines: placement.down.taps(frame.height()),
            columns,
            straight,
            scaling: scaling.collect(),
            border: f32::from(options.border),
            near: [(usize::MAX, row.clone()), (usize::MAX, row.clone())],
            mixed: row,
            mapping: Arc::new(placement.mapping()),
            placement,
        }
    }

    pub(super) fn suits(&self, frame: &Frame) -> bool {
        self.frame == (frame.width(), frame.height(), frame.format())
    }

    pub(super) fn shape(&self) -> [usize; 4] {
        let (channels, height, width) = (self.channels.count(), self.placement.height, self.placement.width);
        match self.layout {
            Layout::Nchw => [1, channels, height, width],
            Layout::Nhwc => [1, height, width, channels],
        }
    }

    pub(super) fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&self.mapping)
    }

    pub(super) fn run<T: Number>(&mut self, frame: &Frame, tensor: &mut [T]) {
        self.fill_border(tensor);
        self.near.iter_mut().for_each(|(number, _)| *number = usize::MAX);
        for line in 0..self.lines.len() {
            self.prepare(frame, line);
            self.write(line, tensor);
        }
    }

    fn fill_border<T: Number>(&self, tensor: &mut [T]) {
        let whole = self.columns.len() == self.placement.width && self.lines.len() == self.placement.height;
        if whole {
            return;
        }
        let border = |(factor, add): &(f32, f32)| T::of(self.border * factor + add);
        match self.layout {
            Layout::Nchw => {
                let plane = (self.placement.width * self.placement.height).max(1);
                for (plane, scaling) in tensor.chunks_exact_mut(plane).zip(&self.scaling) {
                    plane.fill(border(scaling));
                }
            }
            Layout::Nhwc => {
                for pixel in tensor.chunks_exact_mut(self.channels.count()) {
                    for (value, scaling) in pixel.iter_mut().zip(&self.scaling) {
                        *value = border(scaling);
                    }
                }
            }
        }
    }

    /// Puts the frame's row of a tensor line into `mixed`, between two rows of the frame where it lies there.
    fn prepare(&mut self, frame: &Frame, line: usize) {
        let Some(tap) = self.lines.get(line).copied() else {
            return;
        };
        let [first, second] = &mut self.near;
        // The rows move downwards: what was the second is often the first now.
        if first.0 != tap.first {
            if second.0 == tap.first {
                std::mem::swap(first, second);
            } else {
                rows::read(frame, tap.first, self.channels, &mut first.1);
                first.0 = tap.first;
            }
        }
        if tap.weight == 0.0 {
            self.mixed.copy_from_slice(&first.1);
            return;
        }
        if second.0 != tap.second {
            rows::read(frame, tap.second, self.channels, &mut second.1);
            second.0 = tap.second;
        }
        for ((mixed, first), second) in self.mixed.iter_mut().zip(&first.1).zip(&second.1) {
            *mixed = first + (second - first) * tap.weight;
        }
    }

    fn write<T: Number>(&self, line: usize, tensor: &mut [T]) {
        let placement = &self.placement;
        let (width, height, channels) = (placement.width, placement.height, self.channels.count());
        let row = (placement.down.to + line) * width + placement.across.to;
        let planes = self
            .mixed
            .chunks_exact(self.frame.0.max(1))
            .zip(&self.scaling)
            .enumerate();
        for (channel, (plane, (factor, add))) in planes {
            let (start, step) = match self.layout {
                Layout::Nchw => (channel * width * height + row, 1),
                Layout::Nhwc => (row * channels + channel, channels),
            };
            let Some(values) = tensor.get_mut(start..) else {
                return;
            };
            let values = values.iter_mut().step_by(step);
            if self.straight {
                let first = self.columns.first().map_or(0, |tap| tap.first);
                let one_each = self
                    .columns
                    .last()
                    .is_some_and(|tap| tap.first == first + self.columns.len() - 1);
                if let (true, Some(pixels)) = (one_each, plane.get(first..first + self.columns.len())) {
                    values
                        .zip(pixels)
                        .for_each(|(value, pixel)| *value = T::of(pixel * factor + add));
                    continue;
                }
            }
            let pixel = |index: usize| plane.get(index).copied().unwrap_or(0.0);
            for (value, tap) in values.zip(&self.columns) {
                let (left, right) = (pixel(tap.first), pixel(tap.second));
                *value = T::of((left + (right - left) * tap.weight) * factor + add);
            }
        }
    }
}

/// What a tensor holds.
pub(super) trait Number: Copy {
    fn of(value: f32) -> Self;
}

impl Number for f32 {
    fn of(value: f32) -> Self {
        value
    }
}

// `as` keeps to the range of the smaller type.
impl Number for u8 {
    fn of(value: f32) -> Self {
        value.round() as Self
    }
}

impl Number for i8 {
    fn of(value: f32) -> Self {
        value.round() as Self
    }
}

fn of_channel(values: &[f32], channel: usize) -> f32 {
    values.get(channel).or(values.first()).copied().unwrap_or(0.0)
}
