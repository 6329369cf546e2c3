//! Runs a model. Which runtime does it was decided when the graph started.

mod batch;
mod quantize;
mod sessions;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend::any_size::with_any_size;
use crate::backend::{BackendError, Model};
use crate::buffers::Buffers;
use crate::contract::{Arity, Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::inference::batch::{join, part};
use crate::nodes::inference::quantize::{Quantization, to_float, to_integer};
use crate::nodes::inference::sessions::{Shared, shared};
use crate::options::OptionError;
use crate::packet::{Packet, Payload};
use crate::sync::lock;
use crate::tensor::{ElementType, Tensor};
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Threads for one run of the model, in place of what the device gives it.
    threads: Option<usize>,
    /// Nodes with the same model and threads use one copy of it in memory, and take turns.
    share_session: bool,
    /// Lets the model take batches and pictures of other sizes than its file says: for networks of convolutions.
    any_size: bool,
    /// How f32 becomes the integers of a quantised model's inputs.
    quantize: Option<Quantization>,
    /// How the integers of a quantised model's outputs become f32.
    dequantize: Option<Quantization>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: None,
            share_session: true,
            any_size: false,
            quantize: None,
            dequantize: None,
        }
    }
}

pub(crate) struct Inference {
    options: Options,
    session: Option<Arc<Shared>>,
    /// Frames that a set can hold: the node's inputs by the model's.
    groups: usize,
    /// Streams that one frame has of the node's outputs.
    used_outputs: usize,
    packets: Vec<Packet>,
    outputs: Vec<Tensor>,
    /// Per output of the model.
    buffers: Vec<Buffers<Tensor>>,
}

/// Tensors per output that are kept for use again.
const TENSORS: usize = 16;

impl Calculator for Inference {
    const NAME: &'static str = "Inference";
    const DOC: &'static str = "Runs a model on its input tensors. The model comes as side packet MODEL: one of the \
                               pipeline's models by name. Input 0 is the model's first input, output 0 its first \
                               output, and so on. With twice or n times as many inputs and outputs, n frames go \
                               through the model at once, as one batch where it takes one.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .stateless()
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
        if let Some(threads) = options.threads.filter(|threads| !(1..=64).contains(threads)) {
            return Err(OptionError::value(
                "threads",
                format!("{threads} isn't possible; use 1 to 64"),
            ));
        }
        for (option, quantization) in [
            ("quantize", &options.quantize),
            ("dequantize", &options.dequantize),
        ] {
            if quantization.is_some_and(|quantization| !quantization.makes_sense()) {
                return Err(OptionError::value(option, "its scale must be above 0"));
            }
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            session: None,
            groups: 1,
            used_outputs: 0,
            packets: Vec::new(),
            outputs: Vec::new(),
            buffers: Vec::new(),
        }
    }
}

impl Node for Inference {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        let mut model = ctx.side::<Model>("MODEL")?.clone();
        model.threads = self.options.threads.unwrap_or(model.threads).max(1);
        let load = || {
            let mut model = model.clone();
            if self.options.any_size {
                let failed = |problem: String| BackendError::Load {
                    model: model.name.clone(),
                    problem,
                };
                let bytes = with_any_size(&model.bytes).map_err(|error| failed(error.to_string()))?;
                model.bytes = Arc::from(bytes);
            }
            ctx.backend().load(&model)
        };
        let session = if self.options.share_session {
            shared(
                ctx.backend(),
                &model,
                self.options.any_size,
                (ctx.copy(), ctx.is_after_stuck()),
                load,
            )?
        } else {
            Arc::new(Shared::new(
                ctx.backend(),
                &model,
                self.options.any_size,
                ctx.copy(),
                load()?,
            ))
        };
        self.count_groups(&model.name, &session, ctx)?;
        self.buffers = session.io.outputs.iter().map(|_| Buffers::new(TENSORS)).collect();
        session.warm_up(&mut self.outputs);
        self.session = Some(session);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let Some(session) = self.session.clone() else {
            return Ok(Flow::Stop);
        };
        self.packets.clear();
        self.packets
            .extend((0..ctx.input_count()).map(|input| ctx.take(input)));
        let inputs = session.io.inputs.len().max(1);
        // The model needs all inputs of a frame at one time.
        let complete = |group: &usize| {
            let packets = self.packets.iter().skip(group * inputs).take(inputs);
            packets.clone().all(|packet| !packet.is_empty())
        };
        let frames: Vec<usize> = (0..self.groups).filter(complete).collect();
        if frames.len() > 1 && session.takes_batches() && self.run_batch(&session, &frames, ctx)? {
            return Ok(Flow::Continue);
        }
        for frame in frames {
            let start = frame * inputs;
            let packets = self.packets.get(start..start + inputs).unwrap_or_default();
            let at = packets.first().map_or(ctx.timestamp(), Packet::timestamp);
            let tensors = packets
                .iter()
                .map(Packet::get::<Tensor>)
                .collect::<Result<Vec<_>, _>>()?;
            run(&session, &self.options, &tensors, &mut self.outputs)?;
            self.send(frame, at, ctx)?;
        }
        Ok(Flow::Continue)
    }
}

impl Inference {
    fn count_groups(&mut self, model: &str, session: &Shared, ctx: &Context<'_>) -> Result<(), NodeError> {
        let (inputs, outputs) = (session.io.inputs.len(), session.io.outputs.len());
        let (given, taken) = (ctx.input_count(), ctx.output_count());
        self.groups = given / inputs.max(1);
        self.used_outputs = taken / self.groups.max(1);
        let fits = self.groups > 0 && self.groups * inputs == given;
        if fits && self.groups * self.used_outputs == taken && self.used_outputs <= outputs {
            return Ok(());
        }
        Err(NodeError::Failed(format!(
            "model {model} has {inputs} inputs and {outputs} outputs, but the node {given} and {taken}; write one \
             stream for each",
        )))
    }

    /// Runs all frames at once; false where their sizes differ.
    fn run_batch(
        &mut self,
        session: &Shared,
        frames: &[usize],
        ctx: &mut Context<'_>,
    ) -> Result<bool, NodeError> {
        let inputs = session.io.inputs.len();
        let mut joined = Vec::with_capacity(inputs);
        for input in 0..inputs {
            let of_frame = |frame: &usize| {
                self.packets
                    .get(frame * inputs + input)
                    .map(Packet::get::<Tensor>)
            };
            let tensors = frames
                .iter()
                .filter_map(of_frame)
                .collect::<Result<Vec<_>, _>>()?;
            match join(&tensors) {
                Some(tensor) => joined.push(tensor),
                None => return Ok(false),
            }
        }
        let counts: Vec<usize> = frames
            .iter()
            .filter_map(|frame| {
                self.packets
                    .get(frame * inputs)?
                    .get::<Tensor>()
                    .ok()?
                    .shape()
                    .first()
                    .copied()
            })
            .collect();
        run(
            session,
            &self.options,
            &joined.iter().collect::<Vec<_>>(),
            &mut self.outputs,
        )?;
        let whole = std::mem::take(&mut self.outputs);
        let mut first = 0;
        for (frame, count) in frames.iter().zip(counts) {
            let parts = whole
                .iter()
                .map(|tensor| part(tensor, first, count))
                .collect::<Option<Vec<_>>>();
            self.outputs = parts.ok_or_else(|| {
                NodeError::Failed(
                    "the model's outputs have fewer entries than the batch it was given".to_owned(),
                )
            })?;
            first += count;
            let at = self
                .packets
                .get(frame * inputs)
                .map_or(ctx.timestamp(), Packet::timestamp);
            self.send(*frame, at, ctx)?;
        }
        Ok(true)
    }

    fn send(&mut self, frame: usize, at: Timestamp, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        let outputs = self
            .outputs
            .iter_mut()
            .zip(&mut self.buffers)
            .take(self.used_outputs);
        for (index, (tensor, buffers)) in outputs.enumerate() {
            // The buffer's old memory is what the next run writes to.
            let lent = buffers.lend(
                || Tensor::zeros(Vec::new(), ElementType::F32),
                |buffer| {
                    std::mem::swap(buffer, tensor);
                    Ok::<(), NodeError>(())
                },
            )?;
            let output = frame * self.used_outputs + index;
            ctx.send(output, Packet::from_payload(Payload::shared(lent), at));
        }
        Ok(())
    }
}

fn run(
    session: &Shared,
    options: &Options,
    tensors: &[&Tensor],
    outputs: &mut Vec<Tensor>,
) -> Result<(), NodeError> {
    let mut made = Vec::new();
    if let Some(quantization) = &options.quantize {
        let ports = session.io.inputs.iter().zip(tensors);
        made.extend(ports.map(|(port, tensor)| to_integer(tensor, port.element, *quantization)));
    }
    let quantized = made
        .iter()
        .zip(tensors)
        .map(|(made, given)| made.as_ref().unwrap_or(given));
    let inputs: Vec<&Tensor> = if made.is_empty() {
        tensors.to_vec()
    } else {
        quantized.collect()
    };
    lock(&session.session).run(&inputs, outputs)?;
    if let Some(quantization) = &options.dequantize {
        for tensor in outputs {
            if let Some(float) = to_float(tensor, *quantization) {
                *tensor = float;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
