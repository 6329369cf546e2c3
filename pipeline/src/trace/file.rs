//! The trace as Chrome's JSON: "JSON Array Format" with metadata, as the Trace Event Format document describes it and
//! Perfetto reads it. Times are microseconds since the first event, with three decimals.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::timestamp::Timestamp;
use crate::trace::Written;
use crate::trace::ring::{Event, Ring, What};

const PROCESS: u32 = 1;

/// A call on one track: where an arrow of its frame may begin or end.
#[derive(Debug, Clone, Copy)]
struct Call {
    start: i64,
    track: usize,
}

pub(super) fn write(names: &[String], tracks: &[(String, Ring)], out: &mut dyn Write) -> io::Result<Written> {
    let events = || {
        let tracks = tracks.iter().enumerate();
        tracks.flat_map(|(track, (_, ring))| ring.iter().map(move |event| (track, event)))
    };
    let first = events().map(|(_, event)| event.start).min().unwrap_or(0);
    let mut file = File {
        out,
        first,
        names,
        begun: false,
    };
    let lost = tracks.iter().map(|(_, ring)| ring.lost()).sum();
    write!(
        file.out,
        "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"firstEventNanosSince1970\":\"{first}\",\"lostEvents\":\"{lost}\"}},\
         \"traceEvents\":["
    )?;
    file.line(&json!({"ph": "M", "name": "process_name", "pid": PROCESS, "args": {"name": "pipeline"}}))?;
    for (track, (name, _)) in tracks.iter().enumerate() {
        let named =
            json!({"ph": "M", "name": "thread_name", "pid": PROCESS, "tid": track, "args": {"name": name}});
        file.line(&named)?;
    }
    let mut count = 0;
    let mut frames: HashMap<Timestamp, Vec<Call>> = HashMap::new();
    for (track, event) in events() {
        count += 1;
        file.event(track, event)?;
        if event.what == What::Call && event.at.is_range_value() {
            let start = event.start;
            frames.entry(event.at).or_default().push(Call { start, track });
        }
    }
    file.flows(frames)?;
    writeln!(file.out, "\n]}}")?;
    Ok(Written { events: count, lost })
}

struct File<'a> {
    out: &'a mut dyn Write,
    first: i64,
    names: &'a [String],
    begun: bool,
}

impl File<'_> {
    fn event(&mut self, track: usize, event: &Event) -> io::Result<()> {
        let name = self.names.get(event.node as usize).map_or("?", String::as_str);
        let ts = self.micros(event.start);
        let line = match event.what {
            What::Call => {
                let at = event.at;
                let t = if at.is_range_value() {
                    json!(at.micros())
                } else {
                    json!(at.to_string())
                };
                let dur = event.amount as f64 / 1e3;
                json!({
                    "ph": "X", "name": name, "cat": "node", "pid": PROCESS, "tid": track, "ts": ts, "dur": dur,
                    "args": {"t": t},
                })
            }
            What::Drops(reason) => json!({
                "ph": "i", "s": "t", "name": format!("{name} drops {}", reason.name()), "cat": "drop", "pid": PROCESS,
                "tid": track, "ts": ts, "args": {"node": name, "reason": reason.name(), "packets": event.amount},
            }),
            What::Waiting => json!({
                "ph": "C", "name": format!("{name} waiting"), "pid": PROCESS, "ts": ts, "args": {"packets": event.amount},
            }),
        };
        self.line(&line)
    }

    /// Arrows from call to call of the same frame, which its time tells.
    fn flows(&mut self, frames: HashMap<Timestamp, Vec<Call>>) -> io::Result<()> {
        let mut frames: Vec<_> = frames.into_iter().filter(|(_, calls)| calls.len() > 1).collect();
        frames.sort_unstable_by_key(|(at, _)| *at);
        for (at, mut calls) in frames {
            calls.sort_by_key(|call| call.start);
            let last = calls.len() - 1;
            for (place, call) in calls.iter().enumerate() {
                let phase = match place {
                    0 => "s",
                    _ if place == last => "f",
                    _ => "t",
                };
                let mut line = json!({
                    "ph": phase, "name": "frame", "cat": "frame", "id": at.micros().to_string(), "pid": PROCESS,
                    "tid": call.track, "ts": self.micros(call.start),
                });
                // An arrow ends at the call that encloses it, not at the next one.
                if let ("f", Some(line)) = (phase, line.as_object_mut()) {
                    line.insert("bp".to_owned(), json!("e"));
                }
                self.line(&line)?;
            }
        }
        Ok(())
    }

    fn micros(&self, nanos: i64) -> f64 {
        (nanos - self.first) as f64 / 1e3
    }

    fn line(&mut self, line: &Value) -> io::Result<()> {
        let comma = if self.begun { ",\n" } else { "\n" };
        self.begun = true;
        write!(self.out, "{comma}{line}")
    }
}

#[cfg(test)]
mod tests;
