//! Where a tensor's pixels lie in the frame it was made from.

use crate::detection::{Point, Rect};

/// From a tensor's pixels to the frame's: times the scale, plus the offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mapping {
    pub scale_x: f32,
    pub scale_y: f32,
    pub offset_x: f32,
    pub offset_y: f32,
}

impl Mapping {
    /// Where both have the same pixels.
    pub const SAME: Self = Self {
        scale_x: 1.0,
        scale_y: 1.0,
        offset_x: 0.0,
        offset_y: 0.0,
    };

    pub fn point(&self, point: Point) -> Point {
        Point {
            x: point.x * self.scale_x + self.offset_x,
            y: point.y * self.scale_y + self.offset_y,
        }
    }

    pub fn rect(&self, rect: Rect) -> Rect {
        let corner = self.point(Point { x: rect.x, y: rect.y });
        Rect {
            x: corner.x,
            y: corner.y,
            width: rect.width * self.scale_x,
            height: rect.height * self.scale_y,
        }
    }
}
