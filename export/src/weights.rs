//! A trained network's numbers, by name.

use std::collections::BTreeMap;

use crate::ExportError;

/// Numbers in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// Tensors by name. Of block 0 (stem), 1, 2, … and each of its layers, in the terms of
/// [`search::space::Layer`]:
///
/// | layer | tensors |
/// | --- | --- |
/// | convolution `name` | `0.name.weight`, and of its batch normalisation `0.name.norm.{weight,bias,running_mean,running_var}` |
/// | squeeze-and-excite | `3.reduce.{weight,bias}`, `3.expand_se.{weight,bias}` |
/// | linear `name` | `9.name.{weight,bias}` |
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, Tensor>);

impl Weights {
    /// The tensor if it is there, of this shape, and finite.
    pub(crate) fn get(&self, name: &str, wanted: &[usize]) -> Result<&Tensor, ExportError> {
        let tensor = self
            .0
            .get(name)
            .ok_or_else(|| ExportError::MissingTensor(name.to_owned()))?;
        if tensor.shape != wanted || tensor.data.len() != wanted.iter().product::<usize>() {
            return Err(ExportError::WrongShape {
                name: name.to_owned(),
                found: tensor.shape.clone(),
                wanted: wanted.to_vec(),
            });
        }
        match tensor.data.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(ExportError::NotFinite {
                name: name.to_owned(),
                value: *value,
            }),
            None => Ok(tensor),
        }
    }
}
