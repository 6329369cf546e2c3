//! Numbers with a shape, as models take and give them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    F32,
    U8,
    I8,
    I32,
    I64,
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::I32 => "i32",
            Self::I64 => "i64",
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    F32(Vec<f32>),
    U8(Vec<u8>),
    I8(Vec<i8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

impl TensorData {
    pub fn zeros(element: ElementType, count: usize) -> Self {
        match element {
            ElementType::F32 => Self::F32(vec![0.0; count]),
            ElementType::U8 => Self::U8(vec![0; count]),
            ElementType::I8 => Self::I8(vec![0; count]),
            ElementType::I32 => Self::I32(vec![0; count]),
            ElementType::I64 => Self::I64(vec![0; count]),
        }
    }

    pub fn element(&self) -> ElementType {
        match self {
            Self::F32(_) => ElementType::F32,
            Self::U8(_) => ElementType::U8,
            Self::I8(_) => ElementType::I8,
            Self::I32(_) => ElementType::I32,
            Self::I64(_) => ElementType::I64,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::U8(data) => data.len(),
            Self::I8(data) => data.len(),
            Self::I32(data) => data.len(),
            Self::I64(data) => data.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory of the numbers.
    pub fn bytes(&self) -> usize {
        match self {
            Self::F32(data) => size_of_val(data.as_slice()),
            Self::U8(data) => data.len(),
            Self::I8(data) => data.len(),
            Self::I32(data) => size_of_val(data.as_slice()),
            Self::I64(data) => size_of_val(data.as_slice()),
        }
    }
}

/// A Rust type that tensors hold.
#[cfg(feature = "ort")]
pub(crate) trait Element: Copy {
    fn of(data: &mut TensorData) -> Option<&mut Vec<Self>>;
    fn wrap(data: Vec<Self>) -> TensorData;
}

#[cfg(feature = "ort")]
macro_rules! element {
    ($($kind:ident $rust:ty),*) => {$(
        impl Element for $rust {
            fn of(data: &mut TensorData) -> Option<&mut Vec<Self>> {
                if let TensorData::$kind(data) = data { Some(data) } else { None }
            }

            fn wrap(data: Vec<Self>) -> TensorData {
                TensorData::$kind(data)
            }
        }
    )*};
}

#[cfg(feature = "ort")]
element!(F32 f32, U8 u8, I8 i8, I32 i32, I64 i64);

/// Why numbers don't fill a shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tensor of shape {} takes {wanted} elements, not {found}", shape_text(.shape))]
pub struct TensorError {
    shape: Vec<usize>,
    wanted: usize,
    found: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

impl Tensor {
    pub fn new(shape: Vec<usize>, data: TensorData) -> Result<Self, TensorError> {
        let wanted = element_count(&shape);
        let found = data.len();
        if wanted == found {
            Ok(Self { shape, data })
        } else {
            Err(TensorError { shape, wanted, found })
        }
    }

    pub fn f32(shape: Vec<usize>, data: Vec<f32>) -> Result<Self, TensorError> {
        Self::new(shape, TensorData::F32(data))
    }

    pub fn zeros(shape: Vec<usize>, element: ElementType) -> Self {
        let data = TensorData::zeros(element, element_count(&shape));
        Self { shape, data }
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn data(&self) -> &TensorData {
        &self.data
    }

    pub fn data_mut(&mut self) -> &mut TensorData {
        &mut self.data
    }

    pub fn element(&self) -> ElementType {
        self.data.element()
    }

    /// Takes shape and elements from elsewhere, keeping this tensor's memory where the type is the same.
    ///
    /// The caller vouches that the elements fill the shape, as a runtime's result does.
    #[cfg(feature = "ort")]
    pub(crate) fn fill<T: Element>(&mut self, shape: impl Iterator<Item = usize>, data: &[T]) {
        self.shape.clear();
        self.shape.extend(shape);
        match T::of(&mut self.data) {
            Some(mine) => {
                mine.clear();
                mine.extend_from_slice(data);
            }
            None => self.data = T::wrap(data.to_vec()),
        }
    }

    /// The elements, when they are f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::F32(data) => Some(data),
            _ => None,
        }
    }
}

/// `1×3×96×96`, as error messages write shapes.
pub fn shape_text(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    if sides.is_empty() {
        "scalar".to_owned()
    } else {
        sides.join("×")
    }
}

fn element_count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |count, side| count.saturating_mul(*side))
}
