//! The start of a for-each: a list to its items.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::given::{GivenPorts, PortsError, count};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::list;
use crate::packet::Packet;
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {}

#[derive(Debug)]
pub(crate) struct BeginLoop {
    iterable: usize,
    item: usize,
    batch_end: usize,
    /// Inputs and outputs of the same number under CLONE.
    clones: Vec<(usize, usize)>,
    /// The time of the next item: times inside a loop are its own.
    next: Timestamp,
}

impl Calculator for BeginLoop {
    const NAME: &'static str = "BeginLoop";
    const DOC: &'static str = "Sends the items of a list one by one, for the part of the graph up to EndLoop. Times in \
                               between are counted from 0; BATCH_END tells EndLoop the list's own. Inputs under CLONE \
                               are repeated for every item.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::one_of("ITERABLE", list::types()).doc("lists"))
            .input(
                Port::any("TICK")
                    .arity(Arity::Optional)
                    .doc("not needed: bounds are enough"),
            )
            .input(
                Port::any("CLONE")
                    .arity(Arity::Any)
                    .doc("what every item comes with"),
            )
            .output(Port::any("ITEM").doc("the items"))
            .output(Port::of::<Timestamp>("BATCH_END").doc("with a list's last item, its time"))
            .output(
                Port::same_as("CLONE", "CLONE")
                    .arity(Arity::Any)
                    .doc("the input of the same number"),
            )
            .process_bounds()
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        let (inputs, outputs) = (count(&given.inputs, "CLONE"), count(&given.outputs, "CLONE"));
        if inputs == outputs {
            return Ok(Self::contract(options));
        }
        Err(PortsError::new(format!(
            "has {inputs} inputs CLONE but {outputs} such outputs; write one for each"
        )))
    }

    fn new(_options: Options) -> Self {
        Self {
            iterable: 0,
            item: 0,
            batch_end: 1,
            clones: Vec::new(),
            next: Timestamp::clamped(0),
        }
    }
}

impl Node for BeginLoop {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.iterable = ctx.input_index("ITERABLE", 0).unwrap_or(0);
        self.item = ctx.output_index("ITEM", 0).unwrap_or(0);
        self.batch_end = ctx.output_index("BATCH_END", 0).unwrap_or(1);
        let clone = |index| {
            Some((
                ctx.input_index("CLONE", index)?,
                ctx.output_index("CLONE", index)?,
            ))
        };
        self.clones = (0..).map_while(clone).collect();
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let first = self.next;
        let iterable = ctx.take(self.iterable);
        if let Some(payload) = iterable.payload() {
            for item in list::items(payload)? {
                ctx.send(self.item, Packet::from_payload(item, self.next));
                for (input, output) in &self.clones {
                    let clone = ctx.input(*input);
                    if !clone.is_empty() {
                        ctx.send(*output, clone.at(self.next));
                    }
                }
                self.advance();
            }
        }
        if self.next == first {
            // An empty list, or none: it takes a time of its own, so that EndLoop hears of it.
            self.advance();
            (0..ctx.output_count()).for_each(|output| {
                if output != self.batch_end {
                    ctx.raise_bound(output, self.next);
                }
            });
        }
        let at = self.next.shifted(-1).unwrap_or(first);
        ctx.send(self.batch_end, Packet::new(ctx.timestamp(), at));
        Ok(Flow::Continue)
    }
}

impl BeginLoop {
    fn advance(&mut self) {
        self.next = self.next.shifted(1).unwrap_or(Timestamp::MAX);
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::play;

    const LOOP: &str = "inputStreams: [a, c]\noutputStreams: [out, k]\nnodes:\n\
                        - {calculator: BeginLoop, inputs: ['ITERABLE:a', 'CLONE:c'], outputs: ['ITEM:i', 'CLONE:k', \
                        'BATCH_END:e']}\n\
                        - {calculator: PassThrough, inputs: [i], outputs: [j]}\n\
                        - {calculator: EndLoop, inputs: ['ITEM:j', 'BATCH_END:e'], outputs: ['ITERABLE:out']}\n";

    #[test]
    fn lists_go_through_at_their_times() {
        let feed = "a@0=[0,1] c@0=7 a@1=[] c@1=8 a@2=[2,\"x\",true] c@2=9";
        assert_eq!(
            play(LOOP, feed),
            "out: 0=[0,1] 2=[2,\"x\",true] |\nk: 0=7 1=7 3=9 4=9 5=9 |\n"
        );
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert!(play(LOOP, "a@0={\"b\":1} c@0=1").contains("not a list"));
    }
}
