//! The lines of a feed.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::value::Value;
use crate::timestamp::Timestamp;

/// What happens next to a graph.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedLine {
    Packet {
        stream: String,
        t: Timestamp,
        value: Value,
    },
    Bound {
        stream: String,
        bound: Timestamp,
    },
    Close {
        stream: String,
    },
    SidePacket {
        name: String,
        value: Value,
    },
    /// Time passes; timers that fall into it run at their times.
    Advance(Duration),
    /// Waits until nothing can run.
    Idle,
    Pause,
    Resume,
    Cancel,
}

/// The lines of a feed with their numbers, counted from 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Feed(pub Vec<(usize, FeedLine)>);

/// What is wrong with a line of a feed or a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LineError {
    pub line: usize,
    pub problem: String,
}

impl Feed {
    /// Reads all lines, empty ones aside; pictures are looked for in `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, LineError> {
        let mut lines = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            if text.trim().is_empty() {
                continue;
            }
            let read = read(text, folder).map_err(|problem| LineError { line, problem })?;
            lines.push((line, read));
        }
        Ok(Self(lines))
    }
}

const FORMS: &str = "{stream, t, value}, {stream, bound}, {stream, close: true}, {sidePacket, value}, {advance: µs}, \
                     {idle: true}, {pause: true}, {resume: true} or {cancel: true}";

fn read(text: &str, folder: &Path) -> Result<FeedLine, String> {
    let map = object(text)?;
    let keys: Vec<&str> = map.keys().map(String::as_str).collect();
    let has = |wanted: &[&str]| keys.len() == wanted.len() && wanted.iter().all(|key| keys.contains(key));
    let value = || Value::read(field(&map, "value")?, folder).map_err(|error| error.to_string());
    if has(&["stream", "t", "value"]) {
        Ok(FeedLine::Packet {
            stream: name(&map, "stream")?,
            t: time(&map, "t")?,
            value: value()?,
        })
    } else if has(&["stream", "bound"]) {
        Ok(FeedLine::Bound {
            stream: name(&map, "stream")?,
            bound: time(&map, "bound")?,
        })
    } else if has(&["stream", "close"]) {
        let stream = name(&map, "stream")?;
        yes(&map, "close", FeedLine::Close { stream })
    } else if has(&["sidePacket", "value"]) {
        Ok(FeedLine::SidePacket {
            name: name(&map, "sidePacket")?,
            value: value()?,
        })
    } else if has(&["advance"]) {
        let micros = field(&map, "advance")?.as_u64();
        let micros = micros.ok_or("`advance` must be a number of microseconds, no less than 0")?;
        Ok(FeedLine::Advance(Duration::from_micros(micros)))
    } else if has(&["idle"]) {
        yes(&map, "idle", FeedLine::Idle)
    } else if has(&["pause"]) {
        yes(&map, "pause", FeedLine::Pause)
    } else if has(&["resume"]) {
        yes(&map, "resume", FeedLine::Resume)
    } else if has(&["cancel"]) {
        yes(&map, "cancel", FeedLine::Cancel)
    } else {
        Err(format!("has {}; a line is one of {FORMS}", keys.join(", ")))
    }
}

pub(super) fn object(text: &str) -> Result<Map<String, Json>, String> {
    match serde_json::from_str(text) {
        Ok(Json::Object(map)) => Ok(map),
        Ok(_) => Err("is no JSON object".to_owned()),
        // Always in line 1 of a line: only the column helps.
        Err(error) => Err(format!(
            "is no JSON: {}",
            error.to_string().replace(" line 1", "")
        )),
    }
}

pub(super) fn field<'a>(map: &'a Map<String, Json>, key: &str) -> Result<&'a Json, String> {
    map.get(key).ok_or_else(|| format!("`{key}` is missing"))
}

pub(super) fn name(map: &Map<String, Json>, key: &str) -> Result<String, String> {
    let name = field(map, key)?.as_str().map(str::to_owned);
    name.ok_or_else(|| format!("`{key}` must be a name"))
}

/// Microseconds or the name of a special timestamp.
pub(super) fn time(map: &Map<String, Json>, key: &str) -> Result<Timestamp, String> {
    let value = field(map, key)?;
    let time = match (value.as_i64(), value.as_str()) {
        (Some(micros), _) => Timestamp::from_micros(micros),
        (None, Some(name)) => name.parse(),
        (None, None) => {
            return Err(format!(
                "`{key}` must be microseconds or the name of a special timestamp"
            ));
        }
    };
    time.map_err(|error| format!("`{key}`: {error}"))
}

fn yes(map: &Map<String, Json>, key: &str, line: FeedLine) -> Result<FeedLine, String> {
    if field(map, key)? == &Json::Bool(true) {
        Ok(line)
    } else {
        Err(format!("`{key}` must be true"))
    }
}
