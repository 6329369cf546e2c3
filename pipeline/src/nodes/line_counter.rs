//! Counts what passes a line.

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
    /// How results call the line.
    name: String,
    /// One end, `{x, y}` in pixels.
    from: Place,
    /// The other end. Seen from `from` to `to`, left to right counts as forward.
    to: Place,
    /// The point of a box that passes: its `center`, or its `foot`, the middle of its lower edge.
    anchor: Anchor,
}

#[derive(Debug)]
pub(crate) struct LineCounter {
    options: Options,
    counts: Counts,
    /// Per track its last place on either side of the line, and the frame it was seen in.
    seen: BTreeMap<u64, (Point, u64)>,
    frame: u64,
}

/// Frames after which a track that isn't seen is forgotten.
const FORGET_AFTER: u64 = 1_000;

impl Calculator for LineCounter {
    const NAME: &'static str = "LineCounter";
    const DOC: &'static str =
        "Counts tracked things that pass a line, in both directions. Needs a Tracker before it.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::of::<Detections>("").doc("tracked things"))
            .output(Port::of::<Counts>("").doc("the counts since the start, at every frame"))
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        if options.from == options.to {
            return Err(OptionError::value("to", "must be another point than `from`"));
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            counts: Counts {
                name: options.name.clone(),
                ..Counts::default()
            },
            options,
            seen: BTreeMap::new(),
            frame: 0,
        }
    }
}

impl Node for LineCounter {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(detections) = ctx.get::<Detections>(0)? {
            self.count(detections);
            ctx.send_value(0, self.counts.clone());
        }
        Ok(Flow::Continue)
    }
}

impl LineCounter {
    fn count(&mut self, detections: &Detections) {
        self.frame += 1;
        for detection in &detections.found {
            let Some(track) = detection.track else { continue };
            let here = self.options.anchor.of(&detection.rect);
            let side = self.side(here);
            // On the line itself: not passed yet. Its last place on one side stays.
            if side == 0.0 {
                continue;
            }
            if let Some((before, _)) = self.seen.insert(track, (here, self.frame))
                && self.side(before) * side < 0.0
                && self.is_between(before, here)
            {
                if side > 0.0 {
                    self.counts.forward += 1;
                } else {
                    self.counts.backward += 1;
                }
            }
        }
        let oldest = self.frame.saturating_sub(FORGET_AFTER);
        self.seen.retain(|_, (_, frame)| *frame >= oldest);
    }

    /// Above 0 to the right of the line, below to its left (y goes down).
    fn side(&self, point: Point) -> f32 {
        cross(self.options.from.into(), self.options.to.into(), point)
    }

    /// Whether the way from one point to another meets the line between its ends.
    fn is_between(&self, one: Point, other: Point) -> bool {
        let (from, to) = (
            cross(one, other, self.options.from.into()),
            cross(one, other, self.options.to.into()),
        );
        from * to <= 0.0
    }
}

/// Twice the area of a triangle, with the sign of its sense of rotation.
fn cross(a: Point, b: Point, c: Point) -> f32 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::{Detection, Rect};

    fn passes(way: &[(u64, f32, f32)]) -> (u64, u64) {
        // Upwards through x = 50, from y = 100 to 0.
        let options =
            serde_json::from_str(r#"{"from": {"x": 50, "y": 100}, "to": {"x": 50, "y": 0}}"#).unwrap();
        let mut counter = LineCounter::new(options);
        for (track, x, y) in way {
            let detection = Detection {
                rect: Rect {
                    x: *x - 5.0,
                    y: *y - 5.0,
                    width: 10.0,
                    height: 10.0,
                },
                track: Some(*track),
                ..Detection::default()
            };
            counter.count(&Detections {
                found: vec![detection],
            });
        }
        (counter.counts.forward, counter.counts.backward)
    }

    #[test]
    fn left_to_right_is_forward() {
        assert_eq!(passes(&[(1, 40.0, 50.0), (1, 60.0, 50.0)]), (1, 0));
        assert_eq!(passes(&[(1, 60.0, 50.0), (1, 40.0, 50.0)]), (0, 1));
    }

    #[test]
    fn standing_on_the_line_counts_once() {
        assert_eq!(
            passes(&[
                (1, 40.0, 50.0),
                (1, 50.0, 50.0),
                (1, 60.0, 50.0),
                (1, 50.0, 50.0),
                (1, 70.0, 50.0)
            ]),
            (1, 0)
        );
    }

    #[test]
    fn past_an_end_or_another_thing_is_no_passing() {
        assert_eq!(passes(&[(1, 40.0, 150.0), (1, 60.0, 150.0)]), (0, 0));
        assert_eq!(passes(&[(1, 40.0, 50.0), (2, 60.0, 50.0)]), (0, 0));
    }
}
