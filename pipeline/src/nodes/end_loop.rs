//! The end of a for-each: items to a list.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::list;
use crate::packet::{Packet, Payload};
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug, Default)]
pub(crate) struct EndLoop {
    items: Vec<Payload>,
}

impl Calculator for EndLoop {
    const NAME: &'static str = "EndLoop";
    const DOC: &'static str = "Gathers the items of a loop until BATCH_END, and sends them as a list at the time that \
                               it names. No items: no list, and whoever waits is told.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any("ITEM").doc("what the loop made of each item"))
            .input(Port::of::<Timestamp>("BATCH_END").doc("from BeginLoop"))
            .output(Port::one_of("ITERABLE", list::types()).doc("lists: of detections, or JSON"))
    }

    fn new(_options: Options) -> Self {
        Self::default()
    }
}

impl Node for EndLoop {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Some(item) = ctx.take(0).payload() {
            self.items.push(item.clone());
        }
        if let Some(at) = ctx.get::<Timestamp>(1)?.copied() {
            if self.items.is_empty() {
                ctx.raise_bound(0, at.next_allowed_in_stream());
            } else {
                let list = list::of(&std::mem::take(&mut self.items))?;
                ctx.send(0, Packet::from_payload(list, at));
            }
        }
        Ok(Flow::Continue)
    }
}
