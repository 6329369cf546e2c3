//! Labelled images in memory.

mod batch;
mod idx;
mod resize;

use std::path::{Path, PathBuf};

pub use batch::{Augmentation, Batches, whole};

/// Images of one size, all in memory: 8 bits a channel, row by row, channels last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Where they come from, for messages.
    pub source: PathBuf,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
    pub labels: Vec<u8>,
}

/// What is learned from, and what is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    pub train: Images,
    pub test: Images,
}

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("dataset {0:?}: only file:// addresses of a folder with IDX files are supported yet")]
    Uri(String),
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("neither {name} nor {name}.gz is in {}", folder.display())]
    NoFile { folder: PathBuf, name: String },
    #[error("{}: {problem}", path.display())]
    Malformed { path: PathBuf, problem: String },
    #[error("{}: {labels} labels for {images} images", path.display())]
    Count {
        path: PathBuf,
        labels: usize,
        images: usize,
    },
    #[error("{}: record {record} has label {label}, the network tells {classes} classes apart", path.display())]
    Label {
        path: PathBuf,
        record: usize,
        label: u8,
        classes: u32,
    },
    #[error("{}: {problem}", path.display())]
    Useless { path: PathBuf, problem: &'static str },
    #[error("{}: images have {found} channels, the network wants {wanted}", path.display())]
    Channels {
        path: PathBuf,
        found: usize,
        wanted: u32,
    },
}

impl Dataset {
    /// Reads `file:///folder`, or a bare folder.
    pub fn load(uri: &str) -> Result<Self, DataError> {
        let folder = match uri.split_once("://") {
            Some(("file", path)) => Path::new(path),
            Some(_) => return Err(DataError::Uri(uri.to_owned())),
            None => Path::new(uri),
        };
        Ok(Self {
            train: idx::read(folder, "train")?,
            test: idx::read(folder, "t10k")?,
        })
    }

    /// The same data in the form a network wants, checked against it.
    pub fn fitted(mut self, resolution: u32, channels: u32, classes: u32) -> Result<Self, DataError> {
        for images in [&mut self.train, &mut self.test] {
            images.check(channels, classes)?;
            let size = resolution as usize;
            if (images.height, images.width) != (size, size) {
                *images = resize::resize(images, size);
            }
        }
        Ok(self)
    }
}

impl Images {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    fn check(&self, channels: u32, classes: u32) -> Result<(), DataError> {
        let path = || self.source.clone();
        if self.channels != channels as usize {
            return Err(DataError::Channels {
                path: path(),
                found: self.channels,
                wanted: channels,
            });
        }
        let [first, ..] = self.labels.as_slice() else {
            return Err(DataError::Useless {
                path: path(),
                problem: "no image in it",
            });
        };
        if self.labels.iter().all(|label| label == first) {
            return Err(DataError::Useless {
                path: path(),
                problem: "all images have the same label",
            });
        }
        match self.labels.iter().position(|label| u32::from(*label) >= classes) {
            Some(record) => Err(DataError::Label {
                path: path(),
                record,
                label: self.labels[record],
                classes,
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
