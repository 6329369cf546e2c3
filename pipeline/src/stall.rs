//! What doesn't move in a running graph, and what it waits for, as plain data.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A node, a source or a stream fed from outside that has had something to do for a while, and couldn't.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stall {
    /// The node's name; for `room`, where the one held back is fed from outside, the name of its stream.
    pub node: String,
    #[serde(flatten)]
    pub waits_for: WaitsFor,
    /// Microseconds since 1970, by the graph's clock.
    pub since: i64,
    pub for_ms: f64,
    /// Packets that wait at the node.
    pub waiting: u64,
}

/// What has to happen before it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "waitsFor", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WaitsFor {
    /// An input stream's bound must pass the time of the oldest packet that waits.
    Bound {
        stream: String,
        /// Who writes the stream; none where it is fed from outside.
        writer: Option<String>,
        /// Where the bound stands.
        bound: String,
        /// The time of the oldest packet that waits.
        needed: String,
    },
    /// A full stream must be read.
    Room { stream: String, reader: String },
    /// A call of the node must return.
    Call {
        /// What a call of this node usually takes.
        usual_ms: f64,
    },
    /// Fewer frames must be under way in the part of the graph that the node limits.
    FramesUnderWay,
    /// A side packet must be made before the node opens.
    SidePacket { name: String },
}

impl Stall {
    /// Whether both are of the same standstill, seen at different times.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.node, self.since, self.waits_for.stream())
            == (&other.node, other.since, other.waits_for.stream())
    }
}

impl WaitsFor {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bound { .. } => "bound",
            Self::Room { .. } => "room",
            Self::Call { .. } => "call",
            Self::FramesUnderWay => "framesUnderWay",
            Self::SidePacket { .. } => "sidePacket",
        }
    }

    /// The stream that it is about.
    pub fn stream(&self) -> Option<&str> {
        match self {
            Self::Bound { stream, .. } | Self::Room { stream, .. } => Some(stream),
            Self::Call { .. } | Self::FramesUnderWay | Self::SidePacket { .. } => None,
        }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, waiting, .. } = self;
        let seconds = self.for_ms / 1e3;
        match &self.waits_for {
            WaitsFor::Bound {
                stream,
                writer,
                bound,
                needed,
            } => {
                let writer = writer.as_deref().unwrap_or("outside");
                write!(
                    f,
                    "{node} waits for {stream} (from {writer}) to pass {needed}; it stands at {bound}"
                )
            }
            WaitsFor::Room { stream, reader } => {
                write!(f, "{node} is held back: {stream} is full until {reader} reads it")
            }
            WaitsFor::Call { usual_ms } if *usual_ms > 0.0 => {
                write!(
                    f,
                    "{node} doesn't return from a call that usually takes {usual_ms:.1} ms"
                )
            }
            WaitsFor::Call { .. } => write!(f, "{node} doesn't return from its first call"),
            WaitsFor::FramesUnderWay => write!(f, "{node} waits until fewer frames are under way"),
            WaitsFor::SidePacket { name } => {
                write!(f, "{node} can't open: nothing has made side packet {name}")
            }
        }?;
        write!(f, ", for {seconds:.1} s, {waiting} packets waiting")
    }
}

/// The standstills of a whole run, each once, as it was when last seen; the newest thousand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StallLog(VecDeque<Stall>);

/// A graph that stalls again and again must not fill the memory.
const KEPT: usize = 1000;

impl StallLog {
    /// Takes what a look at the graph found; gives those that weren't there before.
    pub fn note(&mut self, found: Vec<Stall>) -> Vec<Stall> {
        let mut new = Vec::new();
        for stall in found {
            if let Some(known) = self.0.iter_mut().rev().find(|known| known.is_same(&stall)) {
                *known = stall;
                continue;
            }
            new.push(stall.clone());
            if self.0.len() == KEPT {
                self.0.pop_front();
            }
            self.0.push_back(stall);
        }
        new
    }

    pub fn into_stalls(self) -> Vec<Stall> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stall(waits_for: WaitsFor) -> Stall {
        Stall {
            node: "join".to_owned(),
            waits_for,
            since: 5_000_000,
            for_ms: 1250.0,
            waiting: 3,
        }
    }

    fn bound() -> Stall {
        stall(WaitsFor::Bound {
            stream: "labels".to_owned(),
            writer: Some("dish".to_owned()),
            bound: "40".to_owned(),
            needed: "70".to_owned(),
        })
    }

    #[test]
    fn says_what_a_person_needs() {
        let table = [
            (
                bound(),
                "join waits for labels (from dish) to pass 70; it stands at 40, for 1.2 s, 3 packets waiting",
            ),
            (
                stall(WaitsFor::Room {
                    stream: "a".to_owned(),
                    reader: "slow".to_owned(),
                }),
                "join is held back: a is full until slow reads it, for 1.2 s, 3 packets waiting",
            ),
            (
                stall(WaitsFor::Call { usual_ms: 2.04 }),
                "join doesn't return from a call that usually takes 2.0 ms, for 1.2 s, 3 packets waiting",
            ),
        ];
        for (stall, text) in table {
            assert_eq!(stall.to_string(), text);
        }
    }

    #[test]
    fn is_written_as_documented() {
        let json = serde_json::to_value(bound()).unwrap();
        let wanted = serde_json::json!({
            "node": "join", "waitsFor": "bound", "stream": "labels", "writer": "dish", "bound": "40", "needed": "70",
            "since": 5_000_000, "forMs": 1250.0, "waiting": 3,
        });
        assert_eq!(json, wanted);
        assert_eq!(serde_json::from_value::<Stall>(json).unwrap(), bound());
    }

    #[test]
    fn a_standstill_is_noted_once_and_as_last_seen() {
        let mut log = StallLog::default();
        assert_eq!(log.note(vec![bound()]).len(), 1);
        let later = Stall {
            for_ms: 2000.0,
            ..bound()
        };
        assert_eq!(log.note(vec![later.clone()]), []);
        let again = Stall {
            since: 9_000_000,
            ..bound()
        };
        assert_eq!(log.note(vec![again.clone()]), std::slice::from_ref(&again));
        assert_eq!(log.into_stalls(), [later, again]);
    }
}
