//! Runs a model. Which runtime does it was decided when the graph started.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend::{Model, Session, TensorPort};
use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::options::OptionError;
use crate::tensor::Tensor;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Threads for one run of the model, in place of what the device gives it.
    threads: Option<usize>,
}

pub(crate) struct Inference {
    options: Options,
    session: Option<Box<dyn Session>>,
    outputs: Vec<Tensor>,
}

impl Calculator for Inference {
    const NAME: &'static str = "Inference";
    const DOC: &'static str = "Runs a model on its input tensors. The model comes as side packet MODEL: one of the \
                               pipeline's models by name. Input 0 is the model's first input, output 0 its first \
                               output, and so on.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(
                Port::of::<Tensor>("")
                    .arity(Arity::Many)
                    .doc("the model's inputs, in its order"),
            )
            .output(
                Port::of::<Tensor>("")
                    .arity(Arity::Many)
                    .doc("the model's outputs, in its order"),
            )
            .side_input(Port::of::<Model>("MODEL").doc("the model"))
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        match options.threads {
            Some(threads) if !(1..=64).contains(&threads) => Err(OptionError::value(
                "threads",
                format!("{threads} isn't possible; use 1 to 64"),
            )),
            _ => Ok(()),
        }
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            session: None,
            outputs: Vec::new(),
        }
    }
}

impl Node for Inference {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        let mut model = ctx.side::<Model>("MODEL")?.clone();
        model.threads = self.options.threads.unwrap_or(model.threads).max(1);
        let mut session = ctx.backend().load(&model)?;
        let io = session.io();
        if io.outputs.len() < ctx.output_count() || io.inputs.len() != ctx.input_count() {
            return Err(NodeError::Failed(format!(
                "model {} has {} inputs and {} outputs, but the node {} and {}; write one stream for each",
                model.name,
                io.inputs.len(),
                io.outputs.len(),
                ctx.input_count(),
                ctx.output_count(),
            )));
        }
        // The first run prepares memory and threads: better now than on the first frame. A model with free
        // dimensions may not like the example; then the first frame tells.
        let examples: Vec<Tensor> = session.io().inputs.iter().map(TensorPort::example).collect();
        let _ = session.run(&examples.iter().collect::<Vec<_>>(), &mut self.outputs);
        self.session = Some(session);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let Some(session) = &mut self.session else {
            return Ok(Flow::Stop);
        };
        let mut inputs: Vec<&Tensor> = Vec::with_capacity(ctx.input_count());
        for index in 0..ctx.input_count() {
            match ctx.get::<Tensor>(index)? {
                Some(tensor) => inputs.push(tensor),
                // The model needs all of its inputs at one time.
                None => return Ok(Flow::Continue),
            }
        }
        session.run(&inputs, &mut self.outputs)?;
        for (index, tensor) in self.outputs.drain(..).enumerate().take(ctx.output_count()) {
            ctx.send_value(index, tensor);
        }
        Ok(Flow::Continue)
    }
}
