//! Several frames to one batch and back, along the first side.

use crate::tensor::{Tensor, TensorData};

/// The tensors after one another; none where their other sides or types differ.
pub(super) fn join(tensors: &[&Tensor]) -> Option<Tensor> {
    let (first, rest) = tensors.split_first()?;
    let inner = first.shape().get(1..)?;
    let mut count = *first.shape().first()?;
    let mut data = first.data().clone();
    for tensor in rest {
        if tensor.shape().get(1..)? != inner {
            return None;
        }
        count += tensor.shape().first()?;
        match (&mut data, tensor.data()) {
            (TensorData::F32(all), TensorData::F32(more)) => all.extend_from_slice(more),
            (TensorData::U8(all), TensorData::U8(more)) => all.extend_from_slice(more),
            (TensorData::I8(all), TensorData::I8(more)) => all.extend_from_slice(more),
            (TensorData::I32(all), TensorData::I32(more)) => all.extend_from_slice(more),
            (TensorData::I64(all), TensorData::I64(more)) => all.extend_from_slice(more),
            _ => return None,
        }
    }
    Tensor::new([&[count], inner].concat(), data).ok()
}

/// `count` entries from `first` on; none where there are fewer.
pub(super) fn part(tensor: &Tensor, first: usize, count: usize) -> Option<Tensor> {
    let (_, inner) = tensor.shape().split_first()?;
    let size: usize = inner.iter().product();
    let range = first * size..(first + count) * size;
    let data = match tensor.data() {
        TensorData::F32(all) => TensorData::F32(all.get(range)?.to_vec()),
        TensorData::U8(all) => TensorData::U8(all.get(range)?.to_vec()),
        TensorData::I8(all) => TensorData::I8(all.get(range)?.to_vec()),
        TensorData::I32(all) => TensorData::I32(all.get(range)?.to_vec()),
        TensorData::I64(all) => TensorData::I64(all.get(range)?.to_vec()),
    };
    Tensor::new([&[count], inner].concat(), data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_whole_are_what_went_in() {
        let tensor = |shape: &[usize], data: &[f32]| Tensor::f32(shape.to_vec(), data.to_vec()).unwrap();
        let (one, two) = (
            tensor(&[1, 2], &[1.0, 2.0]),
            tensor(&[2, 2], &[3.0, 4.0, 5.0, 6.0]),
        );
        let whole = join(&[&one, &two]).unwrap();
        assert_eq!(whole.shape(), [3, 2]);
        assert_eq!(part(&whole, 0, 1), Some(one.clone()));
        assert_eq!(part(&whole, 1, 2), Some(two));
        assert_eq!(part(&whole, 2, 2), None);
        assert_eq!(join(&[&one, &tensor(&[1, 3], &[0.0; 3])]), None);
    }
}
