//! The IDX format of the MNIST family, read picture by picture, also compressed with gzip.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use crate::frame::{Frame, PixelFormat};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An open IDX file of pictures.
pub(crate) struct IdxReader {
    source: Box<dyn Read + Send>,
    left: usize,
    width: usize,
    height: usize,
    format: PixelFormat,
}

impl IdxReader {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut start = [0; 2];
        File::open(path)?.read_exact(&mut start)?;
        let file = BufReader::new(File::open(path)?);
        let mut source: Box<dyn Read + Send> = if start == GZIP {
            Box::new(GzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let mut magic = [0; 4];
        source.read_exact(&mut magic)?;
        let [0, 0, 8, dimensions @ 3..=4] = magic else {
            return Err(invalid(
                "not an IDX file of pictures: it must hold bytes in 3 or 4 dimensions",
            ));
        };
        let mut sides = [1; 4];
        for side in sides.iter_mut().take(usize::from(dimensions)) {
            let mut bytes = [0; 4];
            source.read_exact(&mut bytes)?;
            *side = u32::from_be_bytes(bytes) as usize;
        }
        let [left, height, width, channels] = sides;
        let format = match channels {
            1 => PixelFormat::Gray,
            3 => PixelFormat::Rgb,
            _ => return Err(invalid("pictures of 1 or 3 channels are read, others not")),
        };
        if width.saturating_mul(height) > 1 << 26 {
            return Err(invalid("its pictures are larger than any camera's"));
        }
        Ok(Self {
            source,
            left,
            width,
            height,
            format,
        })
    }

    /// Reads the next picture into a frame; false at the end.
    pub(crate) fn read(&mut self, frame: &mut Frame) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let bytes = frame.reshape(self.width, self.height, self.format);
        self.source
            .read_exact(bytes.map_err(|error| invalid(&error.to_string()))?)?;
        Ok(true)
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8], compressed: bool) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        if compressed {
            let mut encoder = flate2::write::GzEncoder::new(&mut file, flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        } else {
            file.write_all(bytes).unwrap();
        }
        file
    }

    #[test]
    fn reads_pictures_plain_and_compressed() {
        let bytes = [
            &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2][..],
            &[1, 2, 3, 4],
        ]
        .concat();
        for compressed in [false, true] {
            let file = file(&bytes, compressed);
            let mut reader = IdxReader::open(file.path()).unwrap();
            let mut frame = Frame::empty();
            for pixels in [[1, 2], [3, 4]] {
                assert!(reader.read(&mut frame).unwrap());
                assert_eq!(frame.data(), pixels);
            }
            assert!(!reader.read(&mut frame).unwrap());
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (bytes, problem) in [
            (&[0, 0, 8, 1, 0, 0, 0, 2, 1, 2][..], "not an IDX file"),
            (
                &[0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 9, 9],
                "1 or 3 channels",
            ),
            (&[1], "failed to fill"),
        ] {
            let error = IdxReader::open(file(bytes, false).path())
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(error.contains(problem), "{error}");
        }
        let cut = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1];
        let mut reader = IdxReader::open(file(&cut, false).path()).unwrap();
        assert!(reader.read(&mut Frame::empty()).is_err());
    }
}
