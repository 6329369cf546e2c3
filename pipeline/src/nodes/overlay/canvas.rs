//! Lines, dots and letters in an RGB frame. What lies outside isn't drawn.

use crate::detection::{Point, Rect};
use crate::frame::Frame;
use crate::nodes::overlay::font;

pub(super) struct Canvas<'a> {
    width: i64,
    height: i64,
    data: &'a mut [u8],
}

impl<'a> Canvas<'a> {
    pub(super) fn new(frame: &'a mut Frame) -> Self {
        Self {
            width: frame.width() as i64,
            height: frame.height() as i64,
            data: frame.data_mut(),
        }
    }

    pub(super) fn outline(&mut self, rect: &Rect, line: usize, color: [u8; 3]) {
        let (left, top) = (pixel(rect.x), pixel(rect.y));
        let (right, bottom) = (pixel(rect.right()), pixel(rect.bottom()));
        let line = line as i64;
        self.fill(left, top, right, top + line, color);
        self.fill(left, bottom - line, right, bottom, color);
        self.fill(left, top, left + line, bottom, color);
        self.fill(right - line, top, right, bottom, color);
    }

    pub(super) fn dot(&mut self, at: Point, size: usize, color: [u8; 3]) {
        let (x, y, half) = (pixel(at.x), pixel(at.y), size as i64 / 2);
        self.fill(x - half, y - half, x + half + 1, y + half + 1, color);
    }

    pub(super) fn write(&mut self, text: &str, x: f32, y: f32, scale: usize, color: [u8; 3]) {
        let (mut x, y, scale) = (pixel(x), pixel(y), scale as i64);
        for letter in text.chars() {
            for (row, dots) in font::rows(letter).into_iter().enumerate() {
                for column in 0..font::WIDTH {
                    if dots >> (font::WIDTH - 1 - column) & 1 == 1 {
                        let (left, top) = (x + column as i64 * scale, y + row as i64 * scale);
                        self.fill(left, top, left + scale, top + scale, color);
                    }
                }
            }
            x += (font::WIDTH as i64 + 1) * scale;
            if x >= self.width {
                return;
            }
        }
    }

    /// Fills from one corner up to the other, which isn't part of it.
    fn fill(&mut self, left: i64, top: i64, right: i64, bottom: i64, color: [u8; 3]) {
        let (left, right) = (left.clamp(0, self.width), right.clamp(0, self.width));
        for y in top.clamp(0, self.height)..bottom.clamp(0, self.height) {
            let (from, to) = ((y * self.width + left) * 3, (y * self.width + right) * 3);
            if let Some(row) = self.data.get_mut(from as usize..to.max(from) as usize) {
                row.chunks_exact_mut(3)
                    .for_each(|pixel| pixel.copy_from_slice(&color));
            }
        }
    }
}

/// Far enough outside of any frame, and near enough that sums stay in range.
const FAR: i64 = 1 << 40;

fn pixel(place: f32) -> i64 {
    // `as` keeps to the range of the type, also for what is no number.
    (place.round() as i64).clamp(-FAR, FAR)
}
