//! Of detections of the same thing, the surest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::detection::{Detection, Detections};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::options::OptionError;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Boxes whose shared part is at least this part of both together are of the same thing: 0 to 1.
    min_overlap: f32,
    /// Boxes of different classes are never of the same thing.
    per_class: bool,
    /// Detections to keep at most.
    max_detections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            min_overlap: 0.3,
            per_class: true,
            max_detections: 100,
        }
    }
}

#[derive(Debug)]
pub(crate) struct NonMaxSuppression {
    options: Options,
}

impl Calculator for NonMaxSuppression {
    const NAME: &'static str = "NonMaxSuppression";
    const DOC: &'static str = "Keeps, of detections that overlap, the surest one.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .stateless()
            .input(Port::of::<Detections>("").doc("what was found, several times maybe"))
            .output(Port::of::<Detections>("").doc("each thing once, the surest first"))
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        if (0.0..=1.0).contains(&options.min_overlap) {
            return Ok(());
        }
        let problem = format!("{} isn't possible; use 0 to 1", options.min_overlap);
        Err(OptionError::value("minOverlap", problem))
    }

    fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Node for NonMaxSuppression {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(detections) = ctx.get::<Detections>(0)? {
            let found = self.suppress(&detections.found);
            ctx.send_value(0, Detections { found });
        }
        Ok(Flow::Continue)
    }
}

impl NonMaxSuppression {
    fn suppress(&self, found: &[Detection]) -> Vec<Detection> {
        let mut ranked: Vec<&Detection> = found.iter().collect();
        // Stable: of two that are as sure, the first.
        ranked.sort_by(|left, right| right.score.total_cmp(&left.score));
        let mut kept: Vec<&Detection> = Vec::new();
        for detection in ranked {
            if kept.len() == self.options.max_detections {
                break;
            }
            let known = kept.iter().any(|other| {
                (other.class == detection.class || !self.options.per_class)
                    && other.rect.overlap(&detection.rect) >= self.options.min_overlap.max(f32::MIN_POSITIVE)
            });
            if !known {
                kept.push(detection);
            }
        }
        kept.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detection::Rect;

    fn detection(x: f32, score: f32, class: usize) -> Detection {
        Detection {
            rect: Rect {
                x,
                y: 0.0,
                width: 10.0,
                height: 10.0,
            },
            score,
            class,
            ..Detection::default()
        }
    }

    fn kept(options: Options, found: &[Detection]) -> Vec<f32> {
        let kept = NonMaxSuppression::new(options).suppress(found);
        kept.iter().map(|detection| detection.score).collect()
    }

    #[test]
    fn the_surest_of_each_thing() {
        let found = [
            detection(0.0, 0.6, 0),
            detection(2.0, 0.9, 0),
            detection(30.0, 0.7, 0),
            detection(1.0, 0.5, 1),
        ];
        assert_eq!(kept(Options::default(), &found), [0.9, 0.7, 0.5]);
        let any_class = Options {
            per_class: false,
            ..Options::default()
        };
        assert_eq!(kept(any_class, &found), [0.9, 0.7]);
        let one = Options {
            max_detections: 1,
            ..Options::default()
        };
        assert_eq!(kept(one, &found), [0.9]);
    }

    prop_compose! {
        fn any_detection()(x in 0.0_f32..40.0, y in 0.0_f32..40.0, width in 0.0_f32..20.0, height in 0.0_f32..20.0,
                           score in 0.0_f32..1.0, class in 0_usize..3) -> Detection {
            Detection { rect: Rect { x, y, width, height }, score, class, ..Detection::default() }
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_apart_and_what_is_not_overlaps_a_surer_one(
            found in prop::collection::vec(any_detection(), 0..30),
            min_overlap in 0.05_f32..1.0,
            per_class: bool,
        ) {
            let node = NonMaxSuppression::new(Options { min_overlap, per_class, max_detections: usize::MAX });
            let kept = node.suppress(&found);
            let same = |a: &Detection, b: &Detection| {
                (a.class == b.class || !per_class) && a.rect.overlap(&b.rect) >= min_overlap
            };
            for (index, one) in kept.iter().enumerate() {
                prop_assert!(kept[index + 1..].iter().all(|other| !same(one, other) && one.score >= other.score));
            }
            for gone in found.iter().filter(|detection| !kept.contains(detection)) {
                prop_assert!(kept.iter().any(|other| same(other, gone) && other.score >= gone.score));
            }
            prop_assert_eq!(node.suppress(&kept), kept);
        }
    }
}
