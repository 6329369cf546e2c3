//! An image as a camera or a file gives it: rows of bytes, no padding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How pixels lie in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PixelFormat {
    /// One byte of brightness.
    Gray,
    /// Red, green, blue.
    #[default]
    Rgb,
    /// A plane of brightness, then one of colour differences (blue, red) of half the width and height: what cameras
    /// and video decoders give. Sides must be even; BT.601, limited range.
    Nv12,
}

impl PixelFormat {
    /// Bytes of an image; none where such an image can't be.
    pub const fn bytes(self, width: usize, height: usize) -> Option<usize> {
        let Some(pixels) = width.checked_mul(height) else {
            return None;
        };
        match self {
            Self::Gray => Some(pixels),
            Self::Rgb => pixels.checked_mul(3),
            Self::Nv12 if width.is_multiple_of(2) && height.is_multiple_of(2) => {
                pixels.checked_add(pixels / 2)
            }
            Self::Nv12 => None,
        }
    }
}

/// Why bytes are no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("an image of {width}×{height} in {format:?} takes {wanted} bytes, not {found}")]
    Bytes {
        width: usize,
        height: usize,
        format: PixelFormat,
        wanted: usize,
        found: usize,
    },
    #[error("an image of {width}×{height} can't be {format:?}; that needs even sides")]
    Sides {
        width: usize,
        height: usize,
        format: PixelFormat,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    width: usize,
    height: usize,
    format: PixelFormat,
    data: Vec<u8>,
}

impl Frame {
    pub fn new(width: usize, height: usize, format: PixelFormat, data: Vec<u8>) -> Result<Self, FrameError> {
        let wanted = format.bytes(width, height).ok_or(FrameError::Sides {
            width,
            height,
            format,
        })?;
        let found = data.len();
        if wanted == found {
            Ok(Self {
                width,
                height,
                format,
                data,
            })
        } else {
            Err(FrameError::Bytes {
                width,
                height,
                format,
                wanted,
                found,
            })
        }
    }

    /// An image without pixels, to be given a size later.
    pub const fn empty() -> Self {
        Self {
            width: 0,
            height: 0,
            format: PixelFormat::Gray,
            data: Vec::new(),
        }
    }

    /// Makes this an image of another size and format, whose bytes are then to be written; keeps its memory.
    pub fn reshape(
        &mut self,
        width: usize,
        height: usize,
        format: PixelFormat,
    ) -> Result<&mut [u8], FrameError> {
        let bytes = format.bytes(width, height).ok_or(FrameError::Sides {
            width,
            height,
            format,
        })?;
        (self.width, self.height, self.format) = (width, height, format);
        self.data.resize(bytes, 0);
        Ok(&mut self.data)
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn format(&self) -> PixelFormat {
        self.format
    }

    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes to draw into, for whoever still holds the frame alone.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_must_fit_the_format() {
        assert!(Frame::new(4, 2, PixelFormat::Nv12, vec![0; 12]).is_ok());
        let odd = Frame::new(3, 2, PixelFormat::Nv12, vec![0; 9]).unwrap_err();
        assert_eq!(
            odd.to_string(),
            "an image of 3×2 can't be Nv12; that needs even sides"
        );
        let short = Frame::new(2, 2, PixelFormat::Rgb, vec![0; 11]).unwrap_err();
        assert_eq!(short.to_string(), "an image of 2×2 in Rgb takes 12 bytes, not 11");
        assert!(Frame::new(usize::MAX, 2, PixelFormat::Rgb, Vec::new()).is_err());
    }

    #[test]
    fn takes_another_shape_in_the_same_memory() {
        let mut frame = Frame::new(4, 4, PixelFormat::Rgb, vec![1; 48]).unwrap();
        let place = frame.data().as_ptr();
        frame.reshape(2, 2, PixelFormat::Gray).unwrap().fill(7);
        assert_eq!((frame.data(), frame.data().as_ptr()), (&[7; 4][..], place));
    }
}
