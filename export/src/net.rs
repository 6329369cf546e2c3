//! Blocks as ONNX nodes, in the order of [`search::space::Layer`].

use std::collections::BTreeMap;

use search::space::{Activation, BlockKey, BlockKind, Convolution, Layer};

use crate::graph::{Builder, float, int, ints};
use crate::quantize::{Range, Ranges, Scale, whole};
use crate::weights::{Tensor, Weights};

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
    /// The same as whole numbers, with the ranges of the values between the layers.
    Whole(&'a Weights, &'a Ranges),
}

/// What a layer hands on, and what it makes in between, under the names that [`Ranges`] has for them. A gate's own
/// range is known; scores stay floats.
pub fn value_names(layer: &Layer) -> Vec<String> {
    let activated = |name: &str, activation: Option<Activation>| match activation {
        // No kernel of 8 bits does both at once, so what is between needs whole numbers too.
        Some(Activation::HardSwish) => vec![format!("{name}.linear"), name.to_owned()],
        _ => vec![name.to_owned()],
    };
    match *layer {
        Layer::Convolution(conv) => activated(conv.name, conv.activation),
        Layer::SqueezeExcite { .. } => ["mean", "reduce", "expand_se", "scaled"]
            .map(str::to_owned)
            .to_vec(),
        Layer::Pool { .. } => vec!["pool".to_owned()],
        Layer::Linear { activation: None, .. } => Vec::new(),
        Layer::Linear { name, activation, .. } => activated(name, activation),
    }
}

/// The ONNX bytes of these blocks in a row.
pub(crate) fn write(blocks: &[BlockKey], about: &str, source: Source<'_>) -> Vec<u8> {
    let mut writer = Writer {
        builder: Builder::default(),
        source,
        scales: BTreeMap::new(),
        index: 0,
    };
    let mut value = match source {
        Source::Whole(..) => writer.whole_numbers(INPUT, Range::PIXELS.scale()),
        Source::Constant | Source::Trained(_) => INPUT.to_owned(),
    };
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
    /// Of values that are whole numbers.
    scales: BTreeMap<String, f32>,
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
                    match activation {
                        Some(_) => self.activated(name, activation, value),
                        None => value,
                    }
                }
            };
        }
        if block.residual() {
            let sum = self.name("sum");
            let sum = self.builder.node("Add", &[&value, input], &sum, Vec::new());
            value = self.handed_on("sum", sum);
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
        let (weight, bias) = self.parameters(name, &shape, input);
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
        self.activated(name, conv.activation, value)
    }

    fn squeeze_excite(&mut self, channels: u32, squeezed: u32, input: &str) -> String {
        let (c, s) = (channels as usize, squeezed as usize);
        let names = ["mean", "reduce", "reduced", "expand_se", "gate", "scaled"].map(|name| self.name(name));
        let [mean, reduce, reduced, expand, gate, scaled] = names.each_ref().map(String::as_str);
        let value = self.builder.node("GlobalAveragePool", &[input], mean, Vec::new());
        let value = self.handed_on("mean", value);
        let (weight, bias) = self.parameters("reduce", &[s, c, 1, 1], &value);
        self.builder
            .node("Conv", &[&value, &weight, &bias], reduce, Vec::new());
        let value = self.builder.node("Relu", &[reduce], reduced, Vec::new());
        let value = self.handed_on("reduce", value);
        let (weight, bias) = self.parameters("expand_se", &[c, s, 1, 1], &value);
        let value = self
            .builder
            .node("Conv", &[&value, &weight, &bias], expand, Vec::new());
        let value = self.handed_on("expand_se", value);
        let slope = vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
        let mut value = self.builder.node("HardSigmoid", &[&value], gate, slope);
        if matches!(self.source, Source::Whole(..)) {
            value = self.whole_numbers(&value, Range::GATE.scale());
        }
        let value = self.builder.node("Mul", &[input, &value], scaled, Vec::new());
        self.handed_on("scaled", value)
    }

    fn pool(&mut self, input: &str) -> String {
        let (mean, flat) = (self.name("pool"), self.name("flat"));
        let value = self
            .builder
            .node("GlobalAveragePool", &[input], &mean, Vec::new());
        let value = self.handed_on("pool", value);
        let value = self
            .builder
            .node("Flatten", &[&value], &flat, vec![int("axis", 1)]);
        self.handed_on("pool", value)
    }

    fn linear(&mut self, name: &str, inputs: u32, outputs: u32, input: &str) -> String {
        let (weight, bias) = self.parameters(name, &[outputs as usize, inputs as usize], input);
        let output = self.name(name);
        self.builder
            .node("Gemm", &[input, &weight, &bias], &output, vec![int("transB", 1)])
    }

    fn activated(&mut self, layer: &str, activation: Option<Activation>, value: String) -> String {
        let value = match activation {
            Some(Activation::HardSwish) => self.handed_on(&format!("{layer}.linear"), value),
            _ => value,
        };
        let value = self.activation(activation, &value);
        self.handed_on(layer, value)
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

    /// Writes the weight and bias of a layer that reads `input`; hands back their names.
    fn parameters(&mut self, layer: &str, shape: &[usize], input: &str) -> (String, String) {
        let name = self.name(layer);
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        match self.source {
            Source::Constant => {
                self.builder.filled(&weight, shape, CONSTANT);
                self.builder.filled(&bias, &shape[..1], CONSTANT);
            }
            // `fold` has put every tensor of the blocks there.
            Source::Trained(weights) => {
                for name in [&weight, &bias] {
                    if let Some(Tensor { shape, data }) = weights.0.get(name) {
                        self.builder.floats(name, shape, data);
                    }
                }
            }
            Source::Whole(weights, _) => {
                if let (Some(weights), Some(biases)) = (weights.0.get(&weight), weights.0.get(&bias)) {
                    self.whole_parameters((&weight, weights), (&bias, biases), input);
                }
            }
        }
        (weight, bias)
    }

    fn whole_parameters(
        &mut self,
        (weight_name, weight): (&str, &Tensor),
        (bias_name, bias): (&str, &Tensor),
        input: &str,
    ) {
        let found = whole(weight, bias, self.scales.get(input).copied().unwrap_or(1.0));
        let channels = found.scales.len();
        let axis = || vec![int("axis", 0)];
        let of = |name: &str, part: &str| format!("{name}.{part}");
        let (stored, scale) = (of(weight_name, "whole"), of(weight_name, "scale"));
        self.builder.bytes(&stored, &weight.shape, &found.weights);
        self.builder.floats(&scale, &[channels], &found.scales);
        let zeros = self.builder.zeros(channels);
        self.builder.node(
            "DequantizeLinear",
            &[&stored, &scale, &zeros],
            weight_name,
            axis(),
        );
        let (stored, scale) = (of(bias_name, "whole"), of(bias_name, "scale"));
        self.builder.integers(&stored, &[channels], &found.biases);
        self.builder.floats(&scale, &[channels], &found.bias_scales);
        self.builder
            .node("DequantizeLinear", &[&stored, &scale], bias_name, axis());
    }

    /// A value that others read: whole numbers where the file is of such, else as it is.
    fn handed_on(&mut self, layer: &str, value: String) -> String {
        let Source::Whole(_, ranges) = self.source else {
            return value;
        };
        // `check_ranges` has found one for every name.
        match ranges.0.get(&self.name(layer)) {
            Some(range) => self.whole_numbers(&value, range.scale()),
            None => value,
        }
    }

    /// Writes the pair of operators that runtimes take as the sign to compute with 8 bits.
    fn whole_numbers(&mut self, value: &str, Scale { scale, zero_point }: Scale) -> String {
        let names = ["scale", "zero", "whole", "back"].map(|part| format!("{value}.{part}"));
        let [scale_name, zero, stored, back] = names.each_ref().map(String::as_str);
        self.builder.scalar(scale_name, scale);
        self.builder.byte(zero, zero_point);
        self.builder
            .node("QuantizeLinear", &[value, scale_name, zero], stored, Vec::new());
        self.scales.insert(back.to_owned(), scale);
        self.builder
            .node("DequantizeLinear", &[stored, scale_name, zero], back, Vec::new())
    }

    fn name(&self, layer: &str) -> String {
        format!("{}.{layer}", self.index)
    }
}
