//! Frame to tensor: crop, resize, choose channels, normalise, in one pass over the pixels.

mod convert;
mod fit;
mod options;
mod rows;

use std::sync::Arc;

use crate::buffers::Buffers;
use crate::contract::{Arity, Contract, Port};
use crate::frame::Frame;
use crate::mapping::Mapping;
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::image_to_tensor::convert::Converter;
use crate::nodes::image_to_tensor::fit::Placement;
pub(crate) use crate::nodes::image_to_tensor::options::Options;
use crate::options::OptionError;
use crate::packet::{Packet, Payload};
use crate::tensor::{Tensor, TensorData};

#[derive(Debug)]
pub(crate) struct ImageToTensor {
    options: Options,
    buffers: Buffers<Tensor>,
    /// Made for the size and format of the last frame.
    converter: Option<Converter>,
    mapping: Option<usize>,
}

/// Tensors that are kept for use again.
const TENSORS: usize = 16;

impl Calculator for ImageToTensor {
    const NAME: &'static str = "ImageToTensor";
    const DOC: &'static str = "Turns a frame into a tensor of shape 1×channels×height×width, or with the channels last: \
                               cropped, resized (bilinear), each value (pixel / 255 · white - mean) / std.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .stateless()
            .input(Port::of::<Frame>("").doc("frames of any size, gray, rgb or nv12"))
            .output(Port::of::<Tensor>("").doc("one frame as a batch of 1"))
            .output(
                Port::of::<Mapping>("MAPPING")
                    .arity(Arity::Optional)
                    .doc("where the tensor's pixels lie in the frame"),
            )
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        options.check()
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            buffers: Buffers::new(TENSORS),
            converter: None,
            mapping: None,
        }
    }
}

impl Node for ImageToTensor {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.mapping = ctx.output_index("MAPPING", 0);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let packet = ctx.take(0);
        if packet.is_empty() {
            return Ok(Flow::Continue);
        }
        let (tensor, mapping) = self.convert(packet.get::<Frame>()?)?;
        ctx.send(
            0,
            Packet::from_payload(Payload::shared(tensor), packet.timestamp()),
        );
        if let Some(output) = self.mapping {
            ctx.send(
                output,
                Packet::from_payload(Payload::shared(mapping), packet.timestamp()),
            );
        }
        Ok(Flow::Continue)
    }
}

impl ImageToTensor {
    fn convert(&mut self, frame: &Frame) -> Result<(Arc<Tensor>, Arc<Mapping>), NodeError> {
        let converter = match &mut self.converter {
            Some(converter) if converter.suits(frame) => converter,
            converter => {
                let placement = Placement::new(&self.options, frame.width(), frame.height())?;
                converter.insert(Converter::new(&self.options, placement, frame))
            }
        };
        let shape = converter.shape();
        let element = self.options.element.of_tensor();
        let tensor = self.buffers.lend(
            || Tensor::zeros(shape.to_vec(), element),
            |tensor| {
                if tensor.shape() != shape {
                    *tensor = Tensor::zeros(shape.to_vec(), element);
                }
                match tensor.data_mut() {
                    TensorData::F32(data) => converter.run(frame, data),
                    TensorData::U8(data) => converter.run(frame, data),
                    TensorData::I8(data) => converter.run(frame, data),
                    TensorData::I32(_) | TensorData::I64(_) => {}
                }
                Ok::<(), NodeError>(())
            },
        )?;
        Ok((tensor, converter.mapping()))
    }
}

#[cfg(test)]
mod tests;
