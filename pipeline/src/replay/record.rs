//! What a graph gave.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Map, Value as Json, json};

use super::line::{LineError, field, name, object, time};
use super::value::{Value, ValueError};
use crate::run::{Observed, Observer, RunError};
use crate::stats::DropReason;
use crate::sync::lock;
use crate::timestamp::Timestamp;

/// One line of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordLine {
    Packet {
        stream: String,
        t: Timestamp,
        value: Value,
    },
    Bound {
        stream: String,
        bound: Timestamp,
    },
    Closed {
        stream: String,
    },
    /// A packet that a node, or an input stream of the graph, let go.
    Dropped {
        node: String,
        reason: String,
        t: Timestamp,
    },
    Status(Status),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Ok,
    Error {
        code: String,
        node: Option<String>,
        message: String,
    },
}

impl Status {
    pub(super) fn of(result: &Result<(), RunError>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(error) => Self::Error {
                code: error.code().to_owned(),
                node: error.node().map(str::to_owned),
                message: error.to_string(),
            },
        }
    }

    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }
}

/// All lines: packets stream by stream, then drops, then the status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record(pub Vec<RecordLine>);

impl Record {
    /// Reads all lines, empty ones aside; pictures are looked for in `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, LineError> {
        let mut lines = Vec::new();
        for (index, text) in text.lines().enumerate() {
            if text.trim().is_empty() {
                continue;
            }
            let line = index + 1;
            lines.push(read(text, folder).map_err(|problem| LineError { line, problem })?);
        }
        Ok(Self(lines))
    }

    /// Lines of JSON. Frames are written as pictures into `folder` and named by their place.
    pub fn write(&self, folder: Option<&Path>) -> Result<String, ValueError> {
        let mut text = String::new();
        for line in &self.0 {
            let line = json_of(line, folder)?;
            // Writing to a String can't fail.
            let _ = writeln!(text, "{line}");
        }
        Ok(text)
    }

    pub fn status(&self) -> Option<&Status> {
        self.0.iter().rev().find_map(|line| match line {
            RecordLine::Status(status) => Some(status),
            _ => None,
        })
    }
}

fn read(text: &str, folder: &Path) -> Result<RecordLine, String> {
    let map = object(text)?;
    if map.contains_key("status") {
        return status(&map).map(RecordLine::Status);
    }
    if map.contains_key("dropped") {
        return Ok(RecordLine::Dropped {
            node: name(&map, "node")?,
            reason: name(&map, "dropped")?,
            t: time(&map, "t")?,
        });
    }
    let stream = name(&map, "stream")?;
    if map.contains_key("bound") {
        let bound = time(&map, "bound")?;
        return Ok(RecordLine::Bound { stream, bound });
    }
    if map.contains_key("closed") {
        return Ok(RecordLine::Closed { stream });
    }
    let value = Value::read(field(&map, "value")?, folder).map_err(|error| error.to_string())?;
    let t = time(&map, "t")?;
    Ok(RecordLine::Packet { stream, t, value })
}

fn status(map: &Map<String, Json>) -> Result<Status, String> {
    let text = |key: &str| map.get(key).and_then(Json::as_str).map(str::to_owned);
    match name(map, "status")?.as_str() {
        "ok" => Ok(Status::Ok),
        "error" => Ok(Status::Error {
            code: text("code").unwrap_or_default(),
            node: text("node"),
            message: text("message").unwrap_or_default(),
        }),
        other => Err(format!("status {other} is neither ok nor error")),
    }
}

fn json_of(line: &RecordLine, folder: Option<&Path>) -> Result<Json, ValueError> {
    Ok(match line {
        RecordLine::Packet { stream, t, value } => {
            let file = folder.map(|folder| folder.join(format!("{stream}-{t}.png")));
            let value = value.write(file.as_deref())?;
            json!({"stream": stream, "t": moment(*t), "value": value})
        }
        RecordLine::Bound { stream, bound } => json!({"stream": stream, "bound": moment(*bound)}),
        RecordLine::Closed { stream } => json!({"stream": stream, "closed": true}),
        RecordLine::Dropped { node, reason, t } => json!({"node": node, "dropped": reason, "t": moment(*t)}),
        RecordLine::Status(Status::Ok) => json!({"status": "ok"}),
        RecordLine::Status(Status::Error { code, node, message }) => {
            let mut line = json!({"status": "error", "code": code});
            if let (Json::Object(map), Some(node)) = (&mut line, node) {
                map.insert("node".to_owned(), node.as_str().into());
            }
            if let Json::Object(map) = &mut line {
                map.insert("message".to_owned(), message.as_str().into());
            }
            line
        }
    })
}

/// Special timestamps by name.
fn moment(t: Timestamp) -> Json {
    if t.is_special() {
        t.to_string().into()
    } else {
        t.micros().into()
    }
}

/// Listens to a run.
#[derive(Debug)]
pub(super) struct Recorder {
    bounds: bool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    streams: BTreeMap<String, Stream>,
    drops: Vec<RecordLine>,
}

#[derive(Debug)]
struct Stream {
    lines: Vec<RecordLine>,
    bound: Timestamp,
}

impl Recorder {
    pub(super) fn new(bounds: bool) -> Self {
        Self {
            bounds,
            seen: Mutex::default(),
        }
    }

    pub(super) fn note_drop(&self, node: &str, reason: DropReason, t: Timestamp) {
        let (node, reason) = (node.to_owned(), reason.name().to_owned());
        lock(&self.seen)
            .drops
            .push(RecordLine::Dropped { node, reason, t });
    }

    /// The record so far, streams in the given order.
    pub(super) fn record<'a>(&self, streams: impl Iterator<Item = &'a str>, status: Status) -> Record {
        let mut seen = std::mem::take(&mut *lock(&self.seen));
        let mut lines: Vec<RecordLine> = streams
            .filter_map(|stream| seen.streams.remove(stream))
            .flat_map(|stream| stream.lines)
            .collect();
        lines.append(&mut seen.drops);
        lines.push(RecordLine::Status(status));
        Record(lines)
    }
}

impl Observer for Recorder {
    fn seen(&self, name: &str, what: Observed<'_>) {
        let mut seen = lock(&self.seen);
        if !seen.streams.contains_key(name) {
            let bound = Timestamp::PRE_STREAM;
            let lines = Vec::new();
            seen.streams.insert(name.to_owned(), Stream { lines, bound });
        }
        let Some(stream) = seen.streams.get_mut(name) else {
            return;
        };
        let name = name.to_owned();
        match what {
            Observed::Packet(packet) => {
                let (t, value) = (packet.timestamp(), Value::of(packet));
                stream.bound = t.next_allowed_in_stream();
                stream.lines.push(RecordLine::Packet {
                    stream: name,
                    t,
                    value,
                });
            }
            // What follows from a packet needs no line of its own.
            Observed::Bound(bound) if self.bounds && bound > stream.bound => {
                stream.bound = bound;
                stream.lines.push(RecordLine::Bound { stream: name, bound });
            }
            Observed::Closed if self.bounds => stream.lines.push(RecordLine::Closed { stream: name }),
            Observed::Bound(_) | Observed::Closed => {}
        }
    }

    fn dropped(&self, node: &str, reason: DropReason, t: Timestamp) {
        self.note_drop(node, reason, t);
    }
}
