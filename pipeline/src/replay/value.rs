//! Values of packets as lines of JSON carry them.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::frame::{Frame, PixelFormat};
use crate::label::to_json;
use crate::packet::{Packet, Payload, SidePacket};

/// A value on its way between a line and a packet.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Whole numbers are i64, lists of them `Vec<i64>`; everything else that isn't a plain type stays JSON.
    Json(Json),
    /// In a line: `{"file": "picture.png"}`.
    Frame(Frame),
}

/// Why a line's value can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    #[error("{path}: {source}", path = path.display())]
    Picture {
        path: PathBuf,
        source: image::ImageError,
    },
    #[error("{path}: {problem}", path = path.display())]
    Frame { path: PathBuf, problem: String },
}

impl Value {
    /// From a line; pictures are looked for in `folder`.
    pub fn read(json: &Json, folder: &Path) -> Result<Self, ValueError> {
        match json.get("file").and_then(Json::as_str) {
            Some(file) => picture(folder.join(file)).map(Self::Frame),
            None => Ok(Self::Json(json.clone())),
        }
    }

    /// From a packet; `?` for what stays in the process.
    pub fn of(packet: &Packet) -> Self {
        let Some(payload) = packet.payload() else {
            return Self::Json(Json::Null);
        };
        if let Some(frame) = payload.get::<Frame>() {
            return Self::Frame(frame.clone());
        }
        let numbers = payload.get::<Vec<i64>>().map(|numbers| json!(numbers));
        Self::Json(numbers.or_else(|| to_json(payload)).unwrap_or_else(|| "?".into()))
    }

    pub fn payload(&self) -> Payload {
        match self {
            Self::Frame(frame) => Payload::new(frame.clone()),
            Self::Json(json) => match plain(json) {
                Plain::Bool(value) => Payload::new(value),
                Plain::Integer(value) => Payload::new(value),
                Plain::Float(value) => Payload::new(value),
                Plain::Text(value) => Payload::new(value),
                Plain::Integers(values) => Payload::new(values),
                Plain::Other => Payload::new(json.clone()),
            },
        }
    }

    pub fn side_packet(&self) -> SidePacket {
        match self {
            Self::Frame(frame) => SidePacket::new(frame.clone()),
            Self::Json(json) => match plain(json) {
                Plain::Bool(value) => SidePacket::new(value),
                Plain::Integer(value) => SidePacket::new(value),
                Plain::Float(value) => SidePacket::new(value),
                Plain::Text(value) => SidePacket::new(value),
                Plain::Integers(values) => SidePacket::new(values),
                Plain::Other => SidePacket::new(json.clone()),
            },
        }
    }

    /// For a line; a picture is written to `file`, and where there is no file only described.
    pub fn write(&self, file: Option<&Path>) -> Result<Json, ValueError> {
        match (self, file) {
            (Self::Json(json), _) => Ok(json.clone()),
            (Self::Frame(frame), Some(path)) if color(frame).is_some() => {
                save(frame, path)?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let folder = path
                    .parent()
                    .and_then(Path::file_name)
                    .unwrap_or_default()
                    .to_string_lossy();
                Ok(json!({"file": format!("{folder}/{name}")}))
            }
            (Self::Frame(frame), _) => Ok(json!({
                "width": frame.width(), "height": frame.height(), "format": frame.format()
            })),
        }
    }
}

enum Plain {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Integers(Vec<i64>),
    Other,
}

fn plain(json: &Json) -> Plain {
    match json {
        Json::Bool(value) => Plain::Bool(*value),
        Json::String(text) => Plain::Text(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Plain::Integer(value),
            (None, Some(value)) => Plain::Float(value),
            (None, None) => Plain::Other,
        },
        Json::Array(values) => {
            let integers: Option<Vec<i64>> = values.iter().map(Json::as_i64).collect();
            integers.map_or(Plain::Other, Plain::Integers)
        }
        Json::Null | Json::Object(_) => Plain::Other,
    }
}

fn picture(path: PathBuf) -> Result<Frame, ValueError> {
    let picture = match image::open(&path) {
        Ok(picture) => picture,
        Err(source) => return Err(ValueError::Picture { path, source }),
    };
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (format, data) = match picture {
        image::DynamicImage::ImageLuma8(gray) => (PixelFormat::Gray, gray.into_raw()),
        other => (PixelFormat::Rgb, other.into_rgb8().into_raw()),
    };
    Frame::new(width, height, format, data).map_err(|error| ValueError::Frame {
        path,
        problem: error.to_string(),
    })
}

/// How a picture file holds the frame's bytes; none for planes.
fn color(frame: &Frame) -> Option<image::ExtendedColorType> {
    if frame.format() == PixelFormat::Gray {
        Some(image::ExtendedColorType::L8)
    } else if frame.format() == PixelFormat::Rgb {
        Some(image::ExtendedColorType::Rgb8)
    } else {
        None
    }
}

fn save(frame: &Frame, path: &Path) -> Result<(), ValueError> {
    let wrong = |source| ValueError::Picture {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| wrong(error.into()))?;
    }
    let (width, height) = (frame.width() as u32, frame.height() as u32);
    let color = color(frame).unwrap_or(image::ExtendedColorType::L8);
    image::save_buffer(path, frame.data(), width, height, color).map_err(wrong)
}
