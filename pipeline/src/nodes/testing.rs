//! For tests of nodes: a graph as YAML and a feed as text in, what the output streams carried as text out.
//!
//! A feed is a list of `stream@time=value`, `stream@time` (a bound), `stream|` (closed) and `side:name=value`. Values
//! are numbers, booleans, words, or JSON without spaces. The graph comes to rest between two entries.

use std::sync::Arc;

use serde_json::Value;

use crate::clock::VirtualClock;
use crate::packet::{Packet, Payload, SidePacket};
use crate::run::{Inputs, Observed, Observer};
use crate::sync::lock;
use crate::testing::registry;
use crate::timestamp::Timestamp;
use crate::{load_graph, validate};

/// Runs a graph over a feed; a line per output stream: `name: time=value ... |`.
pub(crate) fn play(graph: &str, feed: &str) -> String {
    played(graph, feed).unwrap_or_else(|error| format!("error: {error}\n"))
}

/// The first mistake in a graph.
pub(crate) fn problem(graph: &str) -> String {
    let spec = load_graph(graph).unwrap_or_else(|errors| panic!("{errors:?}"));
    validate(&spec, &registry()).unwrap_err().remove(0).to_string()
}

#[derive(Debug, Default)]
struct Seen(std::sync::Mutex<Vec<(String, String)>>);

impl Observer for Seen {
    fn seen(&self, stream: &str, what: Observed<'_>) {
        let text = match what {
            Observed::Packet(packet) => format!("{}={}", packet.timestamp(), shown(packet)),
            Observed::Closed => "|".to_owned(),
            Observed::Bound(_) => return,
        };
        lock(&self.0).push((stream.to_owned(), text));
    }
}

fn played(graph: &str, feed: &str) -> Result<String, String> {
    let spec = load_graph(graph).unwrap_or_else(|errors| panic!("{errors:?}"));
    let valid = validate(&spec, &registry()).unwrap_or_else(|errors| panic!("{}", errors[0]));
    let seen = Arc::new(Seen::default());
    let mut inputs = Inputs {
        clock: Arc::new(VirtualClock::jumping(0)),
        observer: Some(Arc::clone(&seen) as Arc<dyn Observer>),
        threads: Some(1),
        ..Inputs::default()
    };
    let (side, entries): (Vec<&str>, Vec<&str>) = feed
        .split_whitespace()
        .partition(|entry| entry.starts_with("side:"));
    for entry in side {
        let (name, text) = entry["side:".len()..].split_once('=').unwrap();
        inputs
            .side_packets
            .insert(name.to_owned(), SidePacket::from_payload(value(text)));
    }
    let run = valid.start(inputs).map_err(|error| error.to_string())?;
    for entry in entries {
        run.wait_idle();
        let fed = match entry.split_once('@') {
            None => run.close_input(entry.strip_suffix('|').unwrap()),
            Some((stream, at)) => match at.split_once('=') {
                None => run.feed_bound(stream, time(at)),
                Some((at, text)) => run.feed(stream, Packet::from_payload(value(text), time(at))),
            },
        };
        fed.unwrap_or_else(|error| panic!("{entry}: {error}"));
    }
    run.wait_idle();
    run.close_all_inputs();
    run.wait().map_err(|error| error.to_string())?;
    let seen = lock(&seen.0);
    let line = |stream: &str| {
        let of_stream = seen
            .iter()
            .filter(|(name, _)| name == stream)
            .map(|(_, text)| text.as_str());
        format!("{stream}: {}\n", of_stream.collect::<Vec<_>>().join(" "))
    };
    Ok(valid.output_streams().map(line).collect())
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn value(text: &str) -> Payload {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Bool(value)) => Payload::new(value),
        Ok(Value::Number(number)) if number.is_i64() => Payload::new(number.as_i64().unwrap()),
        Ok(Value::Number(number)) => Payload::new(number.as_f64().unwrap()),
        Ok(value) => Payload::new(value),
        Err(_) => Payload::new(text.to_owned()),
    }
}

fn shown(packet: &Packet) -> String {
    let json = packet.payload().and_then(crate::label::to_json);
    json.map_or("?".to_owned(), |json| match json {
        Value::String(text) => text,
        other => other.to_string(),
    })
}
