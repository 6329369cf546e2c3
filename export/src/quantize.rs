//! Numbers as integers of 8 bits: activations unsigned with a zero point, weights signed with one scale for each
//! output channel, biases of 32 bits with the product of both scales.
//!
//! Runtimes on x86 multiply unsigned by signed bytes fastest; two signed ones would be slower there than floats.

use std::collections::BTreeMap;

use crate::weights::Tensor;

/// Smallest and largest number of each value within a network, by name: `INDEX.NAME` with the index of the block and
/// the names of [`value_names`], and `INDEX.sum` after a block that adds its input.
///
/// [`value_names`]: crate::value_names
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranges(pub BTreeMap<String, Range>);

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub min: f32,
    pub max: f32,
}

/// value = scale · (integer - zero point).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub(crate) scale: f32,
    pub(crate) zero_point: u8,
}

/// A layer's weights, whole numbers of one scale per output channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Whole {
    pub(crate) weights: Vec<i8>,
    pub(crate) scales: Vec<f32>,
    pub(crate) biases: Vec<i32>,
    pub(crate) bias_scales: Vec<f32>,
}

/// Where all numbers of a value are the same, its scale can't be 0.
const SMALLEST: f32 = 1e-6;
/// Of a bias: far from what 32 bits hold, so that sums have room.
const LARGEST_BIAS: f32 = (1 << 29) as f32;

impl Range {
    /// Pixels: each of their 256 levels keeps its own integer.
    pub(crate) const PIXELS: Self = Self { min: 0.0, max: 1.0 };
    /// What a hard sigmoid gives.
    pub(crate) const GATE: Self = Self::PIXELS;

    /// Zero is a whole number: it is what borders are filled with.
    pub(crate) fn scale(self) -> Scale {
        let (min, max) = (self.min.min(0.0), self.max.max(0.0));
        let scale = ((max - min) / 255.0).max(SMALLEST);
        Scale {
            scale,
            zero_point: (-min / scale).round().clamp(0.0, 255.0) as u8,
        }
    }
}

/// `input` is the scale of what the layer reads.
pub(crate) fn whole(weight: &Tensor, bias: &Tensor, input: f32) -> Whole {
    let channels = bias.data.len().max(1);
    let filters = weight.data.chunks((weight.data.len() / channels).max(1));
    let mut whole = Whole {
        weights: Vec::with_capacity(weight.data.len()),
        scales: Vec::with_capacity(channels),
        biases: Vec::with_capacity(channels),
        bias_scales: Vec::with_capacity(channels),
    };
    for (filter, bias) in filters.zip(&bias.data) {
        let largest = filter.iter().copied().map(f32::abs).fold(0.0, f32::max);
        // A filter next to nothing with a large bias: its own scale would be too fine for the bias.
        let scale = (largest / 127.0)
            .max(SMALLEST * SMALLEST)
            .max(bias.abs() / input / LARGEST_BIAS);
        let weights = filter
            .iter()
            .map(|weight| (weight / scale).round().clamp(-127.0, 127.0) as i8);
        whole.weights.extend(weights);
        whole.scales.push(scale);
        whole.biases.push((bias / (scale * input)).round() as i32);
        whole.bias_scales.push(scale * input);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], data: &[f32]) -> Tensor {
        Tensor {
            shape: shape.to_vec(),
            data: data.to_vec(),
        }
    }

    #[test]
    fn zero_stays_zero_and_the_ends_are_reached() {
        for (min, max) in [(0.0, 6.0), (-1.0, 3.0), (-5.0, -1.0), (2.0, 3.0), (0.0, 0.0)] {
            let Scale { scale, zero_point } = Range { min, max }.scale();
            let back = |value: f32| {
                let whole = (value / scale).round() + f32::from(zero_point);
                (whole.clamp(0.0, 255.0) - f32::from(zero_point)) * scale
            };
            assert_eq!(back(0.0), 0.0, "{min} {max}");
            for value in [min, max] {
                assert!(
                    (back(value) - value).abs() <= scale,
                    "{min} {max} {scale} {zero_point}"
                );
            }
        }
    }

    #[test]
    fn every_channel_uses_its_own_scale() {
        let found = whole(
            &tensor(&[2, 1, 1, 2], &[1.0, -2.0, 0.01, 0.006]),
            &tensor(&[2], &[0.5, -0.25]),
            0.1,
        );
        assert_eq!(found.weights, [64, -127, 127, 76]);
        for (channel, bias) in [(0, 0.5), (1, -0.25)] {
            let back = found.biases[channel] as f32 * found.bias_scales[channel];
            assert!((back - bias).abs() < 1e-3, "{back}");
        }
    }

    #[test]
    fn a_dead_channel_keeps_its_bias() {
        let found = whole(&tensor(&[1, 1, 1, 1], &[0.0]), &tensor(&[1], &[-3.0]), 1e-6);
        let back = found.biases[0] as f32 * found.bias_scales[0];
        assert!((back + 3.0).abs() < 1e-3, "{found:?}");
    }
}
