//! SELECT and ENABLE, as the entrance and the exit of a switch both read them.

use std::ops::Range;

use crate::contract::{Arity, Contract, Port};
use crate::node::{Context, NodeError};

/// Where a node's choice comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    pub(super) input: Option<usize>,
    pub(super) by_side_packet: Option<usize>,
    /// Places of the inputs without a tag.
    pub(super) others: Range<usize>,
}

/// The ports of a choice stand before all others.
pub(super) fn choice_ports(contract: Contract) -> Contract {
    contract
        .input(
            Port::of::<i64>("SELECT")
                .arity(Arity::Optional)
                .doc("the number of the chosen node, from 0, until the next one"),
        )
        .input(
            Port::of::<bool>("ENABLE")
                .arity(Arity::Optional)
                .doc("false: node 0, true: node 1"),
        )
        .side_input(
            Port::of::<i64>("SELECT")
                .arity(Arity::Optional)
                .doc("the number of the chosen node"),
        )
        .side_input(
            Port::of::<bool>("ENABLE")
                .arity(Arity::Optional)
                .doc("false: node 0, true: node 1"),
        )
}

impl Choice {
    pub(super) fn find(ctx: &Context<'_>, channels: usize) -> Result<Self, NodeError> {
        let select = ctx
            .side_packet("SELECT", 0)
            .and_then(|packet| packet.get::<i64>());
        let enable = ctx
            .side_packet("ENABLE", 0)
            .and_then(|packet| packet.get::<bool>());
        let by_side_packet = match (select, enable) {
            (Some(select), _) => Some(in_range(*select, channels)?),
            (None, Some(enable)) => Some(in_range(i64::from(*enable), channels)?),
            (None, None) => None,
        };
        let first = ctx.input_index("", 0).unwrap_or(0);
        Ok(Self {
            input: ctx
                .input_index("SELECT", 0)
                .or_else(|| ctx.input_index("ENABLE", 0)),
            by_side_packet,
            others: first..ctx.input_count(),
        })
    }
}

/// The node that the set at hand chooses; none where it says nothing.
pub(super) fn chosen(
    ctx: &Context<'_>,
    choice: &Choice,
    channels: usize,
) -> Result<Option<usize>, NodeError> {
    let Some(input) = choice.input else {
        return Ok(None);
    };
    let packet = ctx.input(input);
    let Some(payload) = packet.payload() else {
        return Ok(None);
    };
    match (payload.get::<i64>(), payload.get::<bool>()) {
        (Some(select), _) => in_range(*select, channels).map(Some),
        (None, Some(enable)) => in_range(i64::from(*enable), channels).map(Some),
        (None, None) => Err(NodeError::Failed(format!(
            "SELECT takes i64 and ENABLE takes bool, not {}",
            payload.type_info()
        ))),
    }
}

fn in_range(select: i64, channels: usize) -> Result<usize, NodeError> {
    let channel = usize::try_from(select).ok().filter(|channel| *channel < channels);
    channel.ok_or_else(|| {
        NodeError::Failed(format!(
            "node {select} is chosen, but there are {channels} from 0 on"
        ))
    })
}
