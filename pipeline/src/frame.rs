//! An image as a camera or a file gives it: rows of bytes, no padding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes per pixel and their meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PixelFormat {
    /// One byte of brightness.
    Gray,
    /// Red, green, blue.
    #[default]
    Rgb,
}

impl PixelFormat {
    pub const fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
        }
    }
}

/// Why bytes are no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an image of {width}×{height} in {format:?} takes {wanted} bytes, not {found}")]
pub struct FrameError {
    width: usize,
    height: usize,
    format: PixelFormat,
    wanted: usize,
    found: usize,
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
        let wanted = width.saturating_mul(height).saturating_mul(format.channels());
        let found = data.len();
        if wanted == found {
            Ok(Self {
                width,
                height,
                format,
                data,
            })
        } else {
            Err(FrameError {
                width,
                height,
                format,
                wanted,
                found,
            })
        }
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
