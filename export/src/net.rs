//! Blocks as ONNX nodes, in the order of [`search::space::Layer`].

use search::space::{Activation, BlockKey, BlockKind, Convolution, Layer};

use crate::graph::{Builder, float, int, ints};
use crate::weights::Weights;

/// Name of every file's input.
pub const INPUT: &str = "input";
/// Name of every file's output.
pub const OUTPUT: &str = "scores";

/// Weights of files that are only measured: zero would let some kernels skip work, tiny ones be denormal.
const CONSTANT: f32 = 0.01;

/// Where weights come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// All the same number, made by the runtime.
    Constant,
    /// Folded ones of a trained network.
    Trained(&'a Weights),
}

/// The ONNX bytes of these blocks in a row.
pub(crate) fn write(blocks: &[BlockKey], about: &str, source: Source<'_>) -> Vec<u8> {
    let mut writer = Writer {
        builder: Builder::default(),
        source,
        index: 0,
    };
    let mut value = INPUT.to_owned();
    for (index, block) in blocks.iter().enumerate() {
        writer.index = index;
        value = writer.block(block, &value);
    }
    let input = blocks
        .first()
        .map_or([1, 1, 1, 1], |b| [1, b.inputs, b.resolution, b.resolution]);
    let output = blocks.last().map_or(Vec::new(), output_shape);
    writer.builder.finish(about, (INPUT, &input), (OUTPUT, &output))
}

fn output_shape(block: &BlockKey) -> Vec<u32> {
    match block.kind {
        BlockKind::Head | BlockKind::LightHead => vec![1, block.outputs],
        BlockKind::Stem | BlockKind::Separable | BlockKind::InvertedResidual => {
            vec![
                1,
                block.outputs,
                block.output_resolution(),
                block.output_resolution(),
            ]
        }
    }
}

struct Writer<'a> {
    builder: Builder,
    source: Source<'a>,
    /// Of the block in hand: prefix of its names.
    index: usize,
}

impl Writer<'_> {
    /// Writes a block that reads `input`; hands back the name of its output.
    fn block(&mut self, block: &BlockKey, input: &str) -> String {
        let mut value = input.to_owned();
        for layer in block.layers() {
            value = match layer {
                Layer::Convolution(conv) => self.convolution(&conv, &value),
                Layer::SqueezeExcite {
                    channels, squeezed, ..
                } => self.squeeze_excite(channels, squeezed, &value),
                Layer::Pool { .. } => self.pool(&value),
                Layer::Linear {
                    name,
                    inputs,
                    outputs,
                    activation,
                } => {
                    let value = self.linear(name, inputs, outputs, &value);
                    self.activation(activation, &value)
                }
            };
        }
        if block.residual() {
            let sum = self.name("sum");
            value = self.builder.node("Add", &[&value, input], &sum, Vec::new());
        }
        value
    }

    fn convolution(&mut self, conv: &Convolution, input: &str) -> String {
        let Convolution {
            name,
            inputs,
            outputs,
            kernel,
            stride,
            groups,
            ..
        } = *conv;
        let shape = [outputs, inputs / groups, kernel, kernel].map(|size| size as usize);
        let (weight, bias) = self.parameters(name, &shape);
        let attributes = vec![
            ints("kernel_shape", &[kernel; 2]),
            ints("strides", &[stride; 2]),
            ints("pads", &[conv.padding(); 4]),
            int("group", i64::from(groups)),
        ];
        let output = self.name(name);
        let value = self
            .builder
            .node("Conv", &[input, &weight, &bias], &output, attributes);
        self.activation(conv.activation, &value)
    }

    fn squeeze_excite(&mut self, channels: u32, squeezed: u32, input: &str) -> String {
        let (c, s) = (channels as usize, squeezed as usize);
        let names = ["mean", "reduce", "reduced", "expand_se", "gate", "scaled"].map(|name| self.name(name));
        let [mean, reduce, reduced, expand, gate, scaled] = names.each_ref().map(String::as_str);
        self.builder.node("GlobalAveragePool", &[input], mean, Vec::new());
        let (weight, bias) = self.parameters("reduce", &[s, c, 1, 1]);
        self.builder
            .node("Conv", &[mean, &weight, &bias], reduce, Vec::new());
        self.builder.node("Relu", &[reduce], reduced, Vec::new());
        let (weight, bias) = self.parameters("expand_se", &[c, s, 1, 1]);
        self.builder
            .node("Conv", &[reduced, &weight, &bias], expand, Vec::new());
        let slope = vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
        self.builder.node("HardSigmoid", &[expand], gate, slope);
        self.builder.node("Mul", &[input, gate], scaled, Vec::new())
    }

    fn pool(&mut self, input: &str) -> String {
        let (mean, flat) = (self.name("pool"), self.name("flat"));
        self.builder
            .node("GlobalAveragePool", &[input], &mean, Vec::new());
        self.builder
            .node("Flatten", &[&mean], &flat, vec![int("axis", 1)])
    }

    fn linear(&mut self, name: &str, inputs: u32, outputs: u32, input: &str) -> String {
        let (weight, bias) = self.parameters(name, &[outputs as usize, inputs as usize]);
        let output = self.name(name);
        self.builder
            .node("Gemm", &[input, &weight, &bias], &output, vec![int("transB", 1)])
    }

    fn activation(&mut self, activation: Option<Activation>, input: &str) -> String {
        let Some(activation) = activation else {
            return input.to_owned();
        };
        let output = format!("{input}.act");
        match activation {
            Activation::Relu => self.builder.node("Relu", &[input], &output, Vec::new()),
            Activation::Relu6 => {
                self.builder.scalar("zero", 0.0);
                self.builder.scalar("six", 6.0);
                self.builder
                    .node("Clip", &[input, "zero", "six"], &output, Vec::new())
            }
            Activation::HardSwish => self.builder.node("HardSwish", &[input], &output, Vec::new()),
        }
    }

    /// Writes a layer's weight and bias; hands back their names.
    fn parameters(&mut self, layer: &str, shape: &[usize]) -> (String, String) {
        let name = self.name(layer);
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        for (name, shape) in [(&weight, shape), (&bias, &shape[..1])] {
            match self.source {
                Source::Constant => self.builder.filled(name, shape, CONSTANT),
                Source::Trained(weights) => {
                    // `fold` has put every tensor of the blocks there.
                    let data = weights.0.get(name).map_or(&[][..], |tensor| &tensor.data);
                    self.builder.floats(name, shape, data);
                }
            }
        }
        (weight, bias)
    }

    fn name(&self, layer: &str) -> String {
        format!("{}.{layer}", self.index)
    }
}
