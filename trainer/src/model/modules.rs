//! One layer in libtorch.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use search::space::{Activation, Convolution, Layer};
use tch::{Device, Kind, TchError, Tensor};

use super::{Named, Role};

const FLOAT_CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
/// Share of a batch in the running statistics.
const STATISTICS_MOMENTUM: f64 = 0.1;

#[derive(Debug)]
pub(super) enum Module {
    Convolution(Filter, Norm, Option<Activation>),
    SqueezeExcite { reduce: Affine, expand: Affine },
    Pool,
    Linear(Affine, Option<Activation>),
}

#[derive(Debug)]
pub(super) struct Filter {
    weight: Tensor,
    stride: i64,
    padding: i64,
    groups: i64,
}

#[derive(Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

#[derive(Debug)]
pub(super) struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Module {
    /// A fresh layer; its tensors are also entered into the list.
    pub(super) fn new(layer: &Layer, block: usize, fresh: &mut Fresh) -> Result<Self, TchError> {
        let mut list = List { block, fresh };
        Ok(match *layer {
            Layer::Convolution(conv) => Self::Convolution(
                Filter::new(&conv, &mut list)?,
                Norm::new(&conv, &mut list)?,
                conv.activation,
            ),
            Layer::SqueezeExcite {
                channels, squeezed, ..
            } => {
                let (channels, squeezed) = (i64::from(channels), i64::from(squeezed));
                Self::SqueezeExcite {
                    reduce: Affine::new("reduce", &[squeezed, channels, 1, 1], &mut list)?,
                    expand: Affine::new("expand_se", &[channels, squeezed, 1, 1], &mut list)?,
                }
            }
            Layer::Pool { .. } => Self::Pool,
            Layer::Linear {
                name,
                inputs,
                outputs,
                activation,
            } => Self::Linear(
                Affine::new(name, &[i64::from(outputs), i64::from(inputs)], &mut list)?,
                activation,
            ),
        })
    }

    pub(super) fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor, TchError> {
        match self {
            Self::Convolution(filter, norm, activation) => {
                activate(norm.forward(&filter.forward(input)?, training)?, *activation)
            }
            Self::SqueezeExcite { reduce, expand } => {
                let mean = input.f_mean_dim([2, 3].as_slice(), true, Kind::Float)?;
                let squeezed = reduce.convolve(&mean)?.f_relu_()?;
                input.f_mul(&expand.convolve(&squeezed)?.f_hardsigmoid()?)
            }
            Self::Pool => input.f_mean_dim([2, 3].as_slice(), false, Kind::Float),
            Self::Linear(affine, activation) => {
                activate(input.f_linear(&affine.weight, Some(&affine.bias))?, *activation)
            }
        }
    }
}

impl Module {
    /// What [`export::value_names`] tells of, in its order: what the layer makes in between and what it hands on.
    pub(super) fn values(&self, input: &Tensor) -> Result<Vec<Tensor>, TchError> {
        let mut values = match self {
            Self::Convolution(filter, norm, Some(Activation::HardSwish)) => {
                vec![norm.forward(&filter.forward(input)?, false)?]
            }
            Self::Linear(affine, Some(Activation::HardSwish)) => {
                vec![input.f_linear(&affine.weight, Some(&affine.bias))?]
            }
            Self::SqueezeExcite { reduce, expand } => {
                let mean = input.f_mean_dim([2, 3].as_slice(), true, Kind::Float)?;
                let squeezed = reduce.convolve(&mean)?.f_relu_()?;
                let gate = expand.convolve(&squeezed)?;
                vec![mean, squeezed, gate]
            }
            Self::Convolution(..) | Self::Linear(..) | Self::Pool => Vec::new(),
        };
        values.push(self.forward(input, false)?);
        Ok(values)
    }
}

/// In place where the gradient does not need what came before.
fn activate(mut value: Tensor, activation: Option<Activation>) -> Result<Tensor, TchError> {
    match activation {
        None => Ok(value),
        Some(Activation::Relu) => value.f_relu_(),
        // Not clamp(0, 6): its gradient is several times slower.
        Some(Activation::Relu6) => value.f_relu6_(),
        Some(Activation::HardSwish) => value.f_hardswish(),
    }
}

/// What a network's fresh numbers are drawn from, and its tensors so far.
pub(super) struct Fresh {
    pub(super) rng: ChaCha8Rng,
    pub(super) tensors: Vec<Named>,
}

struct List<'a> {
    block: usize,
    fresh: &'a mut Fresh,
}

impl List<'_> {
    /// Normal with variance gain / fan.
    fn normal(&mut self, shape: &[i64], fan: i64, gain: f64) -> Result<Tensor, TchError> {
        let deviation = (gain / fan.max(1) as f64).sqrt() as f32;
        let count: i64 = shape.iter().product();
        let mut draw = || self.fresh.rng.sample::<f32, _>(StandardNormal) * deviation;
        let numbers: Vec<f32> = (0..count).map(|_| draw()).collect();
        Tensor::f_from_slice(&numbers)?.f_view(shape)
    }

    fn enter(&mut self, name: &str, tensor: Tensor, role: Role) -> Result<Tensor, TchError> {
        let tensor = if role == Role::Running {
            tensor
        } else {
            tensor.f_set_requires_grad(true)?
        };
        let shared = tensor.shallow_clone();
        self.fresh.tensors.push(Named {
            name: format!("{}.{name}", self.block),
            tensor,
            role,
        });
        Ok(shared)
    }
}

impl Filter {
    fn new(conv: &Convolution, list: &mut List<'_>) -> Result<Self, TchError> {
        let Convolution {
            name,
            inputs,
            outputs,
            kernel,
            stride,
            groups,
            ..
        } = *conv;
        let (inputs, outputs, kernel, groups) = (
            i64::from(inputs),
            i64::from(outputs),
            i64::from(kernel),
            i64::from(groups),
        );
        let weight = list.normal(
            &[outputs, inputs / groups, kernel, kernel],
            kernel * kernel * outputs / groups,
            2.0,
        )?;
        let weight = list.enter(&format!("{name}.weight"), channels_last(&weight)?, Role::Weight)?;
        Ok(Self {
            weight,
            stride: i64::from(stride),
            padding: i64::from(conv.padding()),
            groups,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        input.f_conv2d(
            &self.weight,
            None::<&Tensor>,
            stride,
            padding,
            [1, 1],
            self.groups,
        )
    }
}

impl Norm {
    fn new(conv: &Convolution, list: &mut List<'_>) -> Result<Self, TchError> {
        let size = [i64::from(conv.outputs)];
        let mut enter =
            |part: &str, tensor, role| list.enter(&format!("{}.norm.{part}", conv.name), tensor, role);
        Ok(Self {
            weight: enter("weight", Tensor::f_ones(size, FLOAT_CPU)?, Role::Bias)?,
            bias: enter("bias", Tensor::f_zeros(size, FLOAT_CPU)?, Role::Bias)?,
            running_mean: enter("running_mean", Tensor::f_zeros(size, FLOAT_CPU)?, Role::Running)?,
            running_var: enter("running_var", Tensor::f_ones(size, FLOAT_CPU)?, Role::Running)?,
        })
    }

    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor, TchError> {
        input.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            training,
            STATISTICS_MOMENTUM,
            export::BATCH_NORM_EPSILON,
            false,
        )
    }
}

impl Affine {
    fn new(name: &str, shape: &[i64], list: &mut List<'_>) -> Result<Self, TchError> {
        let weight = list.normal(shape, shape[1], 1.0)?;
        let bias = Tensor::f_zeros(&shape[..1], FLOAT_CPU)?;
        Ok(Self {
            weight: list.enter(&format!("{name}.weight"), weight, Role::Weight)?,
            bias: list.enter(&format!("{name}.bias"), bias, Role::Bias)?,
        })
    }

    fn convolve(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_conv2d(&self.weight, Some(&self.bias), [1, 1], [0, 0], [1, 1], 1)
    }
}

/// The same numbers with the channels last in memory: convolutions follow the order of their weights.
fn channels_last(weight: &Tensor) -> Result<Tensor, TchError> {
    weight
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}
