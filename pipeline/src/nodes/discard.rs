//! The end of streams that nobody needs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct Discard;

impl Calculator for Discard {
    const NAME: &'static str = "Discard";
    const DOC: &'static str =
        "Takes packets and forgets them; a place to measure a stream that nothing else reads.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default().input(Port::any("").arity(Arity::Many).doc("anything"))
    }

    fn new(_options: Options) -> Self {
        Self
    }
}

impl Node for Discard {
    fn process(&mut self, _ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        Ok(Flow::Continue)
    }
}
