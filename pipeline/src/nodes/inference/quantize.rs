//! Numbers to the integers of a quantised model and back: value = scale · (integer - zeroPoint).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tensor::{ElementType, Tensor, TensorData};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Quantization {
    pub(super) scale: f32,
    #[serde(default)]
    pub(super) zero_point: i32,
}

impl Quantization {
    pub(super) fn makes_sense(self) -> bool {
        self.scale > 0.0 && self.scale.is_finite()
    }
}

/// An f32 tensor as the integers that `wanted` names; none where there is nothing to do.
pub(super) fn to_integer(tensor: &Tensor, wanted: ElementType, by: Quantization) -> Option<Tensor> {
    let values = tensor.as_f32()?;
    let integer = |value: &f32| (value / by.scale).round() + by.zero_point as f32;
    let data = match wanted {
        // `as` keeps to the range of the smaller type.
        ElementType::U8 => TensorData::U8(values.iter().map(|value| integer(value) as u8).collect()),
        ElementType::I8 => TensorData::I8(values.iter().map(|value| integer(value) as i8).collect()),
        ElementType::F32 | ElementType::I32 | ElementType::I64 => return None,
    };
    Tensor::new(tensor.shape().to_vec(), data).ok()
}

/// A tensor of small integers as f32; none where there is nothing to do.
pub(super) fn to_float(tensor: &Tensor, by: Quantization) -> Option<Tensor> {
    let float = |value: i32| value.saturating_sub(by.zero_point) as f32 * by.scale;
    let data: Vec<f32> = match tensor.data() {
        TensorData::U8(values) => values.iter().map(|value| float(i32::from(*value))).collect(),
        TensorData::I8(values) => values.iter().map(|value| float(i32::from(*value))).collect(),
        TensorData::F32(_) | TensorData::I32(_) | TensorData::I64(_) => return None,
    };
    Tensor::f32(tensor.shape().to_vec(), data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_within_a_step() {
        let by = Quantization {
            scale: 0.5,
            zero_point: -3,
        };
        let values = [-1000.0, -2.2, 0.0, 0.3, 1000.0];
        let integers = to_integer(
            &Tensor::f32(vec![5], values.to_vec()).unwrap(),
            ElementType::I8,
            by,
        )
        .unwrap();
        assert_eq!(integers.data(), &TensorData::I8(vec![-128, -7, -3, -2, 127]));
        let back = to_float(&integers, by).unwrap();
        assert_eq!(back.as_f32().unwrap(), [-62.5, -2.0, 0.0, 0.5, 65.0]);
    }

    #[test]
    fn leaves_alone_what_fits() {
        let by = Quantization {
            scale: 1.0,
            zero_point: 0,
        };
        let tensor = Tensor::f32(vec![1], vec![1.0]).unwrap();
        assert_eq!(to_integer(&tensor, ElementType::F32, by), None);
        assert_eq!(to_float(&tensor, by), None);
    }
}
