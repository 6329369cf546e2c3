//! One layer in libtorch.

use search::space::{Activation, Convolution, Layer};
use tch::{Kind, TchError, Tensor};

use super::Statistics;
use super::source::{Source, Start};

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
    pub(super) fn new(layer: &Layer, source: &mut impl Source) -> Result<Self, TchError> {
        Ok(match *layer {
            Layer::Convolution(conv) => Self::Convolution(
                Filter::new(&conv, source)?,
                Norm::new(&conv, source)?,
                conv.activation,
            ),
            Layer::SqueezeExcite {
                channels, squeezed, ..
            } => {
                let (channels, squeezed) = (i64::from(channels), i64::from(squeezed));
                Self::SqueezeExcite {
                    reduce: Affine::new("reduce", &[squeezed, channels, 1, 1], source)?,
                    expand: Affine::new("expand_se", &[channels, squeezed, 1, 1], source)?,
                }
            }
            Layer::Pool { .. } => Self::Pool,
            Layer::Linear {
                name,
                inputs,
                outputs,
                activation,
            } => Self::Linear(
                Affine::new(name, &[i64::from(outputs), i64::from(inputs)], source)?,
                activation,
            ),
        })
    }

    pub(super) fn forward(&self, input: &Tensor, statistics: Statistics) -> Result<Tensor, TchError> {
        match self {
            Self::Convolution(filter, norm, activation) => {
                activate(norm.forward(&filter.forward(input)?, statistics)?, *activation)
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
                vec![norm.forward(&filter.forward(input)?, Statistics::Running)?]
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
        values.push(self.forward(input, Statistics::Running)?);
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

impl Filter {
    fn new(conv: &Convolution, source: &mut impl Source) -> Result<Self, TchError> {
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
        let fan = (kernel * kernel * outputs / groups).max(1);
        let weight = source.tensor(
            &format!("{name}.weight"),
            &[outputs, inputs / groups, kernel, kernel],
            Start::Normal(2.0 / fan as f64),
        )?;
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
    fn new(conv: &Convolution, source: &mut impl Source) -> Result<Self, TchError> {
        let size = [i64::from(conv.outputs)];
        let mut tensor =
            |part: &str, start| source.tensor(&format!("{}.norm.{part}", conv.name), &size, start);
        Ok(Self {
            weight: tensor("weight", Start::Learned(1.0))?,
            bias: tensor("bias", Start::Learned(0.0))?,
            running_mean: tensor("running_mean", Start::Running(0.0))?,
            running_var: tensor("running_var", Start::Running(1.0))?,
        })
    }

    fn forward(&self, input: &Tensor, statistics: Statistics) -> Result<Tensor, TchError> {
        let (of_batch, momentum) = match statistics {
            Statistics::Running => (false, 0.0),
            Statistics::Batch { share } => (true, share),
        };
        input.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            of_batch,
            momentum,
            export::BATCH_NORM_EPSILON,
            false,
        )
    }
}

impl Affine {
    fn new(name: &str, shape: &[i64], source: &mut impl Source) -> Result<Self, TchError> {
        let fan = shape[1].max(1) as f64;
        Ok(Self {
            weight: source.tensor(&format!("{name}.weight"), shape, Start::Normal(1.0 / fan))?,
            bias: source.tensor(&format!("{name}.bias"), &shape[..1], Start::Learned(0.0))?,
        })
    }

    fn convolve(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_conv2d(&self.weight, Some(&self.bias), [1, 1], [0, 0], [1, 1], 1)
    }
}
