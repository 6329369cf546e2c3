//! Plays pictures from disk as if a camera took them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::DynamicImage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buffers::Buffers;
use crate::contract::{Contract, Port};
use crate::frame::{Frame, PixelFormat};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::nodes::idx::IdxReader;
use crate::nodes::pace::{Pace, check_fps};
use crate::options::OptionError;
use crate::packet::{Packet, Payload};
use crate::video_header::VideoHeader;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// An IDX file of pictures (also .gz), or a folder of PNG and JPEG files, played by name.
    path: PathBuf,
    /// Frames per second; 0: as fast as they are taken.
    fps: f64,
    /// Start again after the last picture.
    r#loop: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            fps: 30.0,
            r#loop: false,
        }
    }
}

pub(crate) struct ImageFiles {
    options: Options,
    pace: Pace,
    pictures: Option<Pictures>,
    /// Pictures since the last start, so that an empty file isn't looped for ever.
    played: usize,
    buffers: Buffers<Frame>,
    /// Decoded pictures of a folder that is played again and again, as many as have room.
    decoded: BTreeMap<PathBuf, Arc<Frame>>,
    decoded_bytes: usize,
}

/// What decoded pictures may take.
const MOST_DECODED: usize = 256 << 20;

/// Frames of an IDX file that are kept for use again: enough for the graphs that let frames go in time.
const FRAMES: usize = 16;

enum Pictures {
    Idx(IdxReader),
    Files { paths: Vec<PathBuf>, next: usize },
}

impl Calculator for ImageFiles {
    const NAME: &'static str = "ImageFiles";
    const DOC: &'static str = "Plays pictures from an IDX file or a folder at a steady rate, each stamped with the \
                               time it was sent, as a camera would.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default().output(Port::of::<Frame>("").doc("the pictures"))
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        if options.path.as_os_str().is_empty() {
            return Err(OptionError::value(
                "path",
                "is missing; name an IDX file or a folder of pictures",
            ));
        }
        check_fps(options.fps)
    }

    fn new(options: Options) -> Self {
        Self {
            pace: Pace::new(options.fps),
            options,
            pictures: None,
            played: 0,
            buffers: Buffers::new(FRAMES),
            decoded: BTreeMap::new(),
            decoded_bytes: 0,
        }
    }
}

impl Node for ImageFiles {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        let header = VideoHeader {
            frame_rate: self.options.fps,
            ..VideoHeader::default()
        };
        ctx.set_header(0, Payload::new(header));
        self.pictures = Some(self.start()?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let Some(frame) = self.next()? else {
            return Ok(Flow::Stop);
        };
        ctx.send(0, Packet::from_payload(Payload::shared(frame), ctx.stamp(0)));
        if let Some(at) = self.pace.next(ctx.now()) {
            ctx.wake_at(at);
        }
        Ok(Flow::Continue)
    }
}

impl ImageFiles {
    fn start(&self) -> Result<Pictures, NodeError> {
        let path = &self.options.path;
        if path.is_dir() {
            list(path).map(|paths| Pictures::Files { paths, next: 0 })
        } else {
            IdxReader::open(path).map(Pictures::Idx)
        }
        .map_err(|source| file_error(path, source))
    }

    fn next(&mut self) -> Result<Option<Arc<Frame>>, NodeError> {
        loop {
            if let Some(frame) = self.read()? {
                self.played += 1;
                return Ok(Some(frame));
            }
            if !self.options.r#loop || self.played == 0 {
                return Ok(None);
            }
            self.played = 0;
            self.pictures = Some(self.start()?);
        }
    }

    fn read(&mut self) -> Result<Option<Arc<Frame>>, NodeError> {
        match &mut self.pictures {
            None => Ok(None),
            Some(Pictures::Idx(reader)) => {
                let mut more = true;
                let frame = self.buffers.lend(Frame::empty, |frame| {
                    more = reader.read(frame)?;
                    Ok(())
                });
                let frame = frame.map_err(|source| file_error(&self.options.path, source))?;
                Ok(more.then_some(frame))
            }
            Some(Pictures::Files { paths, next }) => {
                let Some(path) = paths.get(*next).cloned() else {
                    return Ok(None);
                };
                *next += 1;
                self.picture(path).map(Some)
            }
        }
    }

    fn picture(&mut self, path: PathBuf) -> Result<Arc<Frame>, NodeError> {
        if let Some(frame) = self.decoded.get(&path) {
            return Ok(Arc::clone(frame));
        }
        let frame = Arc::new(decode(&path).map_err(|source| file_error(&path, source))?);
        if self.options.r#loop && self.decoded_bytes + frame.data().len() <= MOST_DECODED {
            self.decoded_bytes += frame.data().len();
            self.decoded.insert(path, Arc::clone(&frame));
        }
        Ok(frame)
    }
}

fn file_error(path: &Path, source: io::Error) -> NodeError {
    NodeError::File {
        path: path.to_owned(),
        source,
    }
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_lowercase());
        if matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the folder has no .png, .jpg or .jpeg file",
        ));
    }
    paths.sort();
    Ok(paths)
}

fn decode(path: &Path) -> io::Result<Frame> {
    let picture = image::open(path).map_err(io::Error::other)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (format, data) = match picture {
        DynamicImage::ImageLuma8(gray) => (PixelFormat::Gray, gray.into_raw()),
        other => (PixelFormat::Rgb, other.into_rgb8().into_raw()),
    };
    Frame::new(width, height, format, data).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player(path: &Path, r#loop: bool) -> ImageFiles {
        let mut player = ImageFiles::new(Options {
            path: path.to_owned(),
            fps: 0.0,
            r#loop,
        });
        player.pictures = Some(player.start().unwrap());
        player
    }

    #[test]
    fn plays_a_folder_by_name_and_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in [("b.png", 2), ("a.PNG", 1)] {
            let mut picture = image::GrayImage::new(2, 1);
            picture.fill(value);
            picture
                .save_with_format(folder.path().join(name), image::ImageFormat::Png)
                .unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "not a picture").unwrap();
        let mut player = player(folder.path(), true);
        let played: Vec<u8> = (0..5)
            .map(|_| player.next().unwrap().unwrap().data()[0])
            .collect();
        assert_eq!(played, [1, 2, 1, 2, 1]);
    }

    #[test]
    fn an_empty_file_ends_even_in_a_loop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty-idx3-ubyte");
        fs::write(&path, [0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]).unwrap();
        assert_eq!(player(&path, true).next().unwrap(), None);
    }

    #[test]
    fn a_broken_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("broken.png"), "no picture").unwrap();
        let error = player(folder.path(), false).next().unwrap_err().to_string();
        assert!(error.contains("broken.png"), "{error}");
    }
}
