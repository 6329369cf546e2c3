//! Where a record differs from the one expected.

use std::collections::BTreeMap;

use super::record::{Record, RecordLine, Status};
use super::value::Value;

/// Stream by stream, in order, then drops where any are expected, then the status; says the first difference.
///
/// Of two runs that fail, one may have come further before it did: then what one gave must begin like the other.
pub fn compare(expected: &Record, found: &Record) -> Option<String> {
    let failed = |record: &Record| record.status().is_some_and(|status| !status.is_ok());
    let partly = failed(expected) && failed(found);
    let (wanted, got) = (by_stream(expected), by_stream(found));
    if failed(expected) != failed(found) {
        let say = |record: &Record| record.status().map_or("nothing".to_owned(), say_status);
        return Some(format!("ends with {}, expected {}", say(found), say(expected)));
    }
    let streams: std::collections::BTreeSet<&&str> = wanted.keys().chain(got.keys()).collect();
    for stream in streams {
        let none = Vec::new();
        let (wanted, got) = (
            wanted.get(*stream).unwrap_or(&none),
            got.get(*stream).unwrap_or(&none),
        );
        let length = if partly {
            wanted.len().min(got.len())
        } else {
            wanted.len().max(got.len())
        };
        let differs = (0..length).find(|index| match (wanted.get(*index), got.get(*index)) {
            (Some(wanted), Some(got)) => !same(wanted, got),
            (one, other) => one.is_some() || other.is_some(),
        });
        if let Some(index) = differs {
            let say = |line: Option<&&RecordLine>| line.map_or("no more".to_owned(), |line| say_line(line));
            return Some(format!(
                "stream {stream}, line {index} of {}: {}, expected {}",
                wanted.len(),
                say(got.get(index)),
                say(wanted.get(index))
            ));
        }
    }
    let (wanted, got) = (drops(expected), drops(found));
    (!wanted.is_empty() && !partly && wanted != got).then(|| format!("dropped {got:?}, expected {wanted:?}"))
}

fn by_stream(record: &Record) -> BTreeMap<&str, Vec<&RecordLine>> {
    let mut streams: BTreeMap<&str, Vec<&RecordLine>> = BTreeMap::new();
    for line in &record.0 {
        if let RecordLine::Packet { stream, .. }
        | RecordLine::Bound { stream, .. }
        | RecordLine::Closed { stream } = line
        {
            streams.entry(stream).or_default().push(line);
        }
    }
    streams
}

/// Sorted: nodes drop side by side.
fn drops(record: &Record) -> Vec<String> {
    let drops = record.0.iter().filter_map(|line| match line {
        RecordLine::Dropped { node, reason, t } => Some(format!("{node} {reason} {t}")),
        _ => None,
    });
    let mut drops: Vec<String> = drops.collect();
    drops.sort();
    drops
}

/// The reference writes `?` for values it can't show.
fn same(wanted: &RecordLine, got: &RecordLine) -> bool {
    match (wanted, got) {
        (RecordLine::Packet { t, value, .. }, RecordLine::Packet { t: other, .. })
            if *value == Value::Json("?".into()) =>
        {
            t == other
        }
        _ => wanted == got,
    }
}

fn say_line(line: &RecordLine) -> String {
    match line {
        RecordLine::Packet { t, value, .. } => match value {
            Value::Json(json) => format!("{json} at {t}"),
            Value::Frame(frame) => format!("a frame of {}×{} at {t}", frame.width(), frame.height()),
        },
        RecordLine::Bound { bound, .. } => format!("bound {bound}"),
        RecordLine::Closed { .. } => "closed".to_owned(),
        RecordLine::Dropped { node, reason, t } => format!("{node} dropped {t}: {reason}"),
        RecordLine::Status(status) => say_status(status),
    }
}

fn say_status(status: &Status) -> String {
    match status {
        Status::Ok => "ok".to_owned(),
        Status::Error { message, .. } => format!("an error ({message})"),
    }
}
