//! What was found in a frame, and followed from frame to frame. All places are in pixels of the frame that went into
//! the detector, x to the right and y down; JSON has the same names.

use serde::{Deserialize, Serialize};

/// A rectangle with its sides along the axes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

/// A place in the frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// One thing found in one frame.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detection {
    pub rect: Rect,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Number of the class; 0 for detectors of one class.
    pub class: usize,
    /// Name of the class, where the node was given names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Marked places, in the detector's order; of a face the eyes, the nose and the corners of the mouth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub landmarks: Vec<Point>,
    /// The same for the same thing in every frame, given by a tracker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<u64>,
}

/// All that was found in one frame; none is a result too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detections {
    pub found: Vec<Detection>,
}

/// Things that passed a line, or are in an area, since the graph started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Name of the line or area.
    pub name: String,
    /// Passed from left to right (seen from the line's start to its end), or entered the area.
    pub forward: u64,
    /// Passed the other way, or left the area.
    pub backward: u64,
    /// In the area now; 0 for a line.
    pub inside: u64,
}

impl Rect {
    pub fn right(&self) -> f32 {
        self.x + self.width
    }

    pub fn bottom(&self) -> f32 {
        self.y + self.height
    }

    pub fn center(&self) -> Point {
        Point {
            x: self.x + self.width / 2.0,
            y: self.y + self.height / 2.0,
        }
    }

    /// The middle of the lower edge: where a standing thing touches the ground.
    pub fn foot(&self) -> Point {
        Point {
            x: self.x + self.width / 2.0,
            y: self.bottom(),
        }
    }

    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// The shared part of two rectangles.
    pub fn intersection(&self, other: &Self) -> f32 {
        let width = self.right().min(other.right()) - self.x.max(other.x);
        let height = self.bottom().min(other.bottom()) - self.y.max(other.y);
        width.max(0.0) * height.max(0.0)
    }

    /// Intersection over union: 0 for rectangles apart, 1 for the same; 0 where both are empty.
    pub fn overlap(&self, other: &Self) -> f32 {
        let shared = self.intersection(other);
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_of_rectangles() {
        let rect = |x, y, width, height| Rect { x, y, width, height };
        let square = rect(0.0, 0.0, 2.0, 2.0);
        for (other, wanted) in [
            (square, 1.0),
            (rect(1.0, 0.0, 2.0, 2.0), 1.0 / 3.0),
            (rect(5.0, 5.0, 2.0, 2.0), 0.0),
            (rect(1.0, 1.0, 0.0, 0.0), 0.0),
        ] {
            assert!((square.overlap(&other) - wanted).abs() < 1e-6, "{other:?}");
        }
        assert!(Rect::default().overlap(&Rect::default()).abs() < f32::EPSILON);
    }

    #[test]
    fn json_leaves_out_what_is_not_known() {
        let text = serde_json::to_string(&Detection::default()).unwrap();
        assert_eq!(
            text,
            r#"{"rect":{"x":0.0,"y":0.0,"width":0.0,"height":0.0},"score":0.0,"class":0}"#
        );
    }
}
