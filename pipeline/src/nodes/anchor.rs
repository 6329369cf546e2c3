//! Points in options, and the point of a box that counts as its place.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detection::{Point, Rect};

/// A point in pixels of the frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) x: f32,
    pub(super) y: f32,
}

impl From<Place> for Point {
    fn from(place: Place) -> Self {
        Self {
            x: place.x,
            y: place.y,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Anchor {
    #[default]
    Center,
    Foot,
}

impl Anchor {
    pub(super) fn of(self, rect: &Rect) -> Point {
        match self {
            Self::Center => rect.center(),
            Self::Foot => rect.foot(),
        }
    }
}
