//! Computes for a given time: a stand-in for a stage of known cost.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::options::OptionError;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Milliseconds per packet, or a list of {afterMs, forMs}: the cost from that time of the run on.
    for_ms: Cost,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            for_ms: Cost::Always(10.0),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be milliseconds, or a list of {afterMs, forMs}")]
enum Cost {
    Always(f64),
    Changing(Vec<Change>),
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    after_ms: f64,
    for_ms: f64,
}

#[derive(Debug)]
pub(crate) struct Busy {
    cost: Cost,
    /// Microseconds, when the node was opened.
    opened: i64,
}

const LONGEST_MS: f64 = 3_600_000.0;

impl Calculator for Busy {
    const NAME: &'static str = "Busy";
    const DOC: &'static str = "Keeps a core busy for a while per packet and hands the packet on: a stand-in for a \
                               stage of known cost.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .stateless()
            .input(Port::any("").arity(Arity::Many).doc("anything"))
            .output(
                Port::same_as("", "")
                    .arity(Arity::Any)
                    .doc("what came on the input of the same number"),
            )
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        let spans: Vec<f64> = match &options.for_ms {
            Cost::Always(span) => vec![*span],
            Cost::Changing(changes) => changes
                .iter()
                .flat_map(|change| [change.after_ms, change.for_ms])
                .collect(),
        };
        match spans.iter().find(|span| !(0.0..=LONGEST_MS).contains(*span)) {
            Some(span) => Err(OptionError::value(
                "forMs",
                format!("{span} isn't possible; use 0 to {LONGEST_MS}"),
            )),
            None => Ok(()),
        }
    }

    fn new(options: Options) -> Self {
        Self {
            cost: options.for_ms,
            opened: 0,
        }
    }
}

impl Node for Busy {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.opened = ctx.now();
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        ctx.spend(self.cost_at((ctx.now() - self.opened) as f64 / 1e3));
        for index in 0..ctx.output_count() {
            let packet = ctx.take(index);
            if !packet.is_empty() {
                ctx.send(index, packet);
            }
        }
        Ok(Flow::Continue)
    }
}

impl Busy {
    fn cost_at(&self, run_ms: f64) -> Duration {
        let millis = match &self.cost {
            Cost::Always(span) => *span,
            Cost::Changing(changes) => {
                let begun = changes.iter().filter(|change| change.after_ms <= run_ms);
                begun
                    .max_by(|a, b| a.after_ms.total_cmp(&b.after_ms))
                    .map_or(0.0, |change| change.for_ms)
            }
        };
        Duration::from_secs_f64(millis / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_changes_during_the_run() {
        let options: Options = serde_json::from_str(
            r#"{"forMs": [{"afterMs": 100, "forMs": 30}, {"afterMs": 0, "forMs": 10}]}"#,
        )
        .unwrap();
        let busy = Busy::new(options);
        let costs: Vec<u128> = [0.0, 99.0, 100.0].map(|at| busy.cost_at(at).as_millis()).to_vec();
        assert_eq!(costs, [10, 10, 30]);
    }
}
