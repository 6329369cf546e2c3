//! Scores to labels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::label::{Label, Labels};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::options::OptionError;
use crate::tensor::Tensor;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Names of the classes, in the model's order; without them labels carry the index only.
    labels: Vec<String>,
    /// How many classes to report.
    top_k: usize,
    /// Turn scores into probabilities; switch off for a model that already gives them.
    softmax: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            top_k: 1,
            softmax: true,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Classify {
    options: Options,
}

impl Calculator for Classify {
    const NAME: &'static str = "Classify";
    const DOC: &'static str = "Names the most probable classes of a classifier's scores, the best first.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .stateless()
            .input(Port::of::<Tensor>("").doc("f32, one score per class"))
            .output(Port::of::<Labels>("").doc("the best classes with their probability"))
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        if options.top_k == 0 {
            return Err(OptionError::value("topK", "0 isn't possible; use 1 or more"));
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Node for Classify {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(scores) = ctx.get::<Tensor>(0)? {
            let labels = self.classify(scores)?;
            ctx.send_value(0, labels);
        }
        Ok(Flow::Continue)
    }
}

impl Classify {
    fn classify(&self, tensor: &Tensor) -> Result<Labels, NodeError> {
        let scores = tensor.as_f32().ok_or_else(|| {
            NodeError::Failed(format!("scores are {}, but Classify takes f32", tensor.element()))
        })?;
        let names = self.options.labels.len();
        if names > 0 && names != scores.len() {
            let problem = format!("has {names} names, but the model gives {} scores", scores.len());
            return Err(NodeError::Option {
                option: "labels",
                problem,
            });
        }
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // Against the highest score, so that no exponent overflows.
        let sum: f32 = scores.iter().map(|score| (score - highest).exp()).sum();
        let mut ranked: Vec<(usize, f32)> = scores.iter().copied().enumerate().collect();
        ranked.sort_by(|(left_index, left), (right_index, right)| {
            right.total_cmp(left).then(left_index.cmp(right_index))
        });
        let top = ranked
            .into_iter()
            .take(self.options.top_k)
            .map(|(index, score)| Label {
                index,
                label: self.options.labels.get(index).cloned(),
                score: if self.options.softmax {
                    (score - highest).exp() / sum
                } else {
                    score
                },
            });
        Ok(Labels { top: top.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(options: Options, scores: &[f32]) -> Result<Labels, NodeError> {
        Classify::new(options).classify(&Tensor::f32(vec![1, scores.len()], scores.to_vec()).unwrap())
    }

    #[test]
    fn best_first_with_probability() {
        let options = Options {
            labels: ["cup", "plate", "fork"].map(str::to_owned).to_vec(),
            top_k: 2,
            ..Options::default()
        };
        let labels = classify(options, &[0.0, 1000.0, 999.0]).unwrap();
        let found: Vec<_> = labels
            .top
            .iter()
            .map(|label| (label.index, label.label.as_deref()))
            .collect();
        assert_eq!(found, [(1, Some("plate")), (2, Some("fork"))]);
        assert!((labels.top[0].score - 0.731).abs() < 0.001, "{labels:?}");
    }

    #[test]
    fn wrong_number_of_names_is_named() {
        let options = Options {
            labels: vec!["cup".to_owned()],
            ..Options::default()
        };
        let error = classify(options, &[0.0, 1.0]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "option labels: has 1 names, but the model gives 2 scores"
        );
    }

    #[test]
    fn probabilities_stay_as_they_are_without_softmax() {
        let labels = classify(
            Options {
                softmax: false,
                ..Options::default()
            },
            &[0.25, 0.75],
        )
        .unwrap();
        assert_eq!(
            labels.top,
            [Label {
                index: 1,
                label: None,
                score: 0.75
            }]
        );
    }
}
