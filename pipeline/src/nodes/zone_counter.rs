//! Counts what is in an area.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::detection::{Counts, Detections, Point};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::anchor::{Anchor, Place};
use crate::options::OptionError;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// How results call the area.
    name: String,
    /// The area's corners in order, `{x, y}` in pixels; the last one is joined to the first.
    area: Vec<Place>,
    /// The point of a box that must be inside: its `center`, or its `foot`, the middle of its lower edge.
    anchor: Anchor,
    /// Frames without it after which a thing has left.
    keep_for_frames: u64,
}

#[derive(Debug)]
pub(crate) struct ZoneCounter {
    options: Options,
    counts: Counts,
    /// Tracks in the area, and the frame each was seen in last.
    inside: BTreeMap<u64, u64>,
    frame: u64,
}

/// A polygon of more corners is a mistake.
const MOST_CORNERS: usize = 256;

impl Calculator for ZoneCounter {
    const NAME: &'static str = "ZoneCounter";
    const DOC: &'static str = "Counts tracked things in an area: how many are in it now, have entered and have left. \
                               Needs a Tracker before it.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::of::<Detections>("").doc("tracked things"))
            .output(Port::of::<Counts>("").doc("the counts, at every frame"))
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        let corners = options.area.len();
        if (3..=MOST_CORNERS).contains(&corners) {
            return Ok(());
        }
        Err(OptionError::value(
            "area",
            format!("has {corners} corners; give 3 to {MOST_CORNERS}"),
        ))
    }

    fn new(options: Options) -> Self {
        Self {
            counts: Counts {
                name: options.name.clone(),
                ..Counts::default()
            },
            options,
            inside: BTreeMap::new(),
            frame: 0,
        }
    }
}

impl Node for ZoneCounter {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(detections) = ctx.get::<Detections>(0)? {
            self.count(detections);
            ctx.send_value(0, self.counts.clone());
        }
        Ok(Flow::Continue)
    }
}

impl ZoneCounter {
    fn count(&mut self, detections: &Detections) {
        self.frame += 1;
        for detection in &detections.found {
            let Some(track) = detection.track else { continue };
            if self.holds(self.options.anchor.of(&detection.rect)) {
                if self.inside.insert(track, self.frame).is_none() {
                    self.counts.forward += 1;
                }
            } else if self.inside.remove(&track).is_some() {
                self.counts.backward += 1;
            }
        }
        let before = self.inside.len();
        let oldest = self.frame.saturating_sub(self.options.keep_for_frames);
        self.inside.retain(|_, seen| *seen >= oldest);
        self.counts.backward += (before - self.inside.len()) as u64;
        self.counts.inside = self.inside.len() as u64;
    }

    /// Whether a ray from the point to the right meets the border an odd number of times.
    fn holds(&self, point: Point) -> bool {
        let corners = &self.options.area;
        let others = corners.iter().cycle().skip(1);
        let crossings = corners.iter().zip(others).filter(|(a, b)| {
            let spans = (a.y > point.y) != (b.y > point.y);
            spans && point.x < a.x + (point.y - a.y) / (b.y - a.y) * (b.x - a.x)
        });
        crossings.count() % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::{Detection, Rect};

    fn counter(keep: u64) -> ZoneCounter {
        // An L: the square of 10 without its upper right quarter.
        let corners = [
            (0.0, 0.0),
            (5.0, 0.0),
            (5.0, 5.0),
            (10.0, 5.0),
            (10.0, 10.0),
            (0.0, 10.0),
        ];
        ZoneCounter::new(Options {
            area: corners.map(|(x, y)| Place { x, y }).to_vec(),
            keep_for_frames: keep,
            ..Options::default()
        })
    }

    fn at(things: &[(u64, f32, f32)]) -> Detections {
        let thing = |(track, x, y): &(u64, f32, f32)| Detection {
            rect: Rect {
                x: *x,
                y: *y,
                width: 0.0,
                height: 0.0,
            },
            track: Some(*track),
            ..Detection::default()
        };
        Detections {
            found: things.iter().map(thing).collect(),
        }
    }

    #[test]
    fn corners_and_notches() {
        let counter = counter(0);
        let holds = [(2.0, 2.0), (7.0, 7.0), (7.0, 2.0), (-1.0, 5.0), (2.0, 12.0)];
        assert_eq!(
            holds.map(|(x, y)| counter.holds(Point { x, y })),
            [true, true, false, false, false]
        );
    }

    #[test]
    fn enters_leaves_and_vanishes() {
        let mut counter = counter(2);
        let frames = [
            at(&[(1, 2.0, 2.0), (2, 7.0, 2.0)]),
            at(&[(1, 7.0, 2.0), (2, 7.0, 7.0)]),
            at(&[]),
            at(&[]),
            at(&[]),
        ];
        let mut told = Vec::new();
        for frame in &frames {
            counter.count(frame);
            told.push((
                counter.counts.inside,
                counter.counts.forward,
                counter.counts.backward,
            ));
        }
        assert_eq!(told, [(1, 1, 0), (1, 2, 1), (1, 2, 1), (1, 2, 1), (0, 2, 2)]);
    }
}
