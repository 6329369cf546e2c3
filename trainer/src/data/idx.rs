//! IDX files, plain or gzipped, as MNIST and its successors come in.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::{DataError, Images};

/// More than any such file has: a broken header must not take all memory.
const MOST_BYTES: usize = 8 << 30;

/// Reads `PREFIX-images-idx3-ubyte[.gz]` and the labels beside it.
pub(super) fn read(folder: &Path, prefix: &str) -> Result<Images, DataError> {
    let images = Idx::open(folder, &format!("{prefix}-images-idx3-ubyte"))?;
    let labels = Idx::open(folder, &format!("{prefix}-labels-idx1-ubyte"))?;
    let (height, width, channels) = match images.dims[..] {
        [_, height, width] => (height, width, 1),
        [_, height, width, channels] => (height, width, channels),
        _ => {
            return Err(images.malformed(format!(
                "{} dimensions where images have 3 or 4",
                images.dims.len()
            )));
        }
    };
    if labels.dims.len() != 1 {
        return Err(labels.malformed(format!("{} dimensions where labels have 1", labels.dims.len())));
    }
    if images.dims[0] != labels.dims[0] {
        return Err(DataError::Count {
            path: labels.path,
            labels: labels.dims[0],
            images: images.dims[0],
        });
    }
    let (pixels, labels) = (images.bytes, labels.bytes);
    Ok(Images {
        source: images.path,
        height,
        width,
        channels,
        pixels,
        labels,
    })
}

struct Idx {
    path: PathBuf,
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

impl Idx {
    fn open(folder: &Path, name: &str) -> Result<Self, DataError> {
        let (plain, gzipped) = (folder.join(name), folder.join(format!("{name}.gz")));
        let (path, compressed) = match (plain.exists(), gzipped.exists()) {
            (true, _) => (plain, false),
            (false, true) => (gzipped, true),
            (false, false) => {
                return Err(DataError::NoFile {
                    folder: folder.to_owned(),
                    name: name.to_owned(),
                });
            }
        };
        let read = |source| DataError::Read {
            path: path.clone(),
            source,
        };
        let file = BufReader::new(File::open(&path).map_err(read)?);
        let mut reader: Box<dyn Read> = if compressed {
            Box::new(flate2::bufread::GzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let malformed = |problem: String| DataError::Malformed {
            path: path.clone(),
            problem,
        };

        let mut magic = [0; 4];
        reader.read_exact(&mut magic).map_err(read)?;
        let [0, 0, 8, count @ 1..=4] = magic else {
            return Err(malformed(format!(
                "starts with {magic:02x?}, an IDX file of bytes with [00, 00, 08, …]"
            )));
        };
        let mut dims = Vec::new();
        for _ in 0..count {
            let mut size = [0; 4];
            reader.read_exact(&mut size).map_err(read)?;
            dims.push(u32::from_be_bytes(size) as usize);
        }
        let total = dims
            .iter()
            .try_fold(1_usize, |total, size| total.checked_mul(*size));
        let total = total
            .filter(|total| *total <= MOST_BYTES)
            .ok_or_else(|| malformed(format!("the header speaks of {dims:?} bytes")))?;
        let mut bytes = Vec::new();
        // One more than expected, to notice what is too long.
        reader
            .take(total as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(read)?;
        if bytes.len() != total {
            let record = dims
                .get(1..)
                .map_or(1, |rest| rest.iter().product::<usize>())
                .max(1);
            let problem = if bytes.len() < total {
                format!("ends in record {} of {}", bytes.len() / record, dims[0])
            } else {
                format!("goes on after the {} records of its header", dims[0])
            };
            return Err(malformed(problem));
        }
        Ok(Self { path, dims, bytes })
    }

    fn malformed(&self, problem: String) -> DataError {
        DataError::Malformed {
            path: self.path.clone(),
            problem,
        }
    }
}
