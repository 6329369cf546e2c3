//! Bytes of a device to a message that may be stored. All that can be wrong with one is found here.

use protocol::ack::{Ack, MAX_ACK};
use protocol::id::{DeviceId, SiteId};
use protocol::presence::{MAX_PRESENCE, Presence};
use protocol::profile::{MAX_PROFILE, ProfileResponse};
use protocol::reported::{MAX_REPORTED, Reported};
use protocol::telemetry::{Batch, MAX_TELEMETRY};
use protocol::topic::{Channel, Topic, TopicError};
use protocol::{WireError, from_bytes};
use serde::de::DeserializeOwned;

use crate::metrics::Drop;
use crate::store::telemetry::Incoming;

/// Largest event of a device.
const MAX_EVENT: usize = 4 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Reported(Box<Reported>),
    Presence(SiteId, Presence),
    Ack(Ack),
    Profile(ProfileResponse),
    Telemetry(Incoming),
    Event(DeviceId, String),
    /// A retained message was cleared.
    Cleared,
}

/// Why a message is dropped; never holds the payload.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub reason: Drop,
    pub detail: String,
}

impl Message {
    pub fn read(topic: &str, payload: &[u8]) -> Result<Self, Refusal> {
        let parsed: Topic = topic
            .parse()
            .map_err(|e: TopicError| refusal(Drop::topic, e.to_string()))?;
        let Topic {
            site,
            device,
            channel,
        } = parsed;
        let named = |name: &DeviceId| same(&device, name);
        match channel {
            Channel::Reported | Channel::Presence if payload.is_empty() => Ok(Self::Cleared),
            Channel::Reported => {
                let reported: Reported = decode(payload, MAX_REPORTED)?;
                named(&reported.device)?;
                same(&site, &reported.site)?;
                Ok(Self::Reported(Box::new(reported)))
            }
            Channel::Presence => {
                let presence: Presence = decode(payload, MAX_PRESENCE)?;
                named(&presence.device)?;
                number(presence.connection)?;
                Ok(Self::Presence(site, presence))
            }
            Channel::Ack => {
                let ack: Ack = decode(payload, MAX_ACK)?;
                named(&ack.device)?;
                number(ack.order.epoch)?;
                number(ack.order.generation)?;
                Ok(Self::Ack(ack))
            }
            Channel::ProfileResponse => {
                let response: ProfileResponse = decode(payload, MAX_PROFILE)?;
                named(&response.device)?;
                Ok(Self::Profile(response))
            }
            Channel::Telemetry(stream) => {
                let batch: Batch = decode(payload, MAX_TELEMETRY)?;
                named(&batch.device)?;
                for sample in &batch.samples {
                    number(sample.seq)?;
                    if sample.seq == 0 {
                        return Err(refusal(Drop::payload, "telemetry is numbered from 1, got 0"));
                    }
                }
                Ok(Self::Telemetry(Incoming { site, stream, batch }))
            }
            Channel::Event => {
                let value: serde_json::Value = decode(payload, MAX_EVENT)?;
                Ok(Self::Event(device, value.to_string()))
            }
            Channel::Desired | Channel::Committed | Channel::ProfileRequest => Err(refusal(
                Drop::topic,
                format!("{topic}: only the operator sends there"),
            )),
        }
    }

    /// Whose sign of life this is.
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Reported(reported) => Some(&reported.device),
            Self::Ack(ack) => Some(&ack.device),
            Self::Profile(response) => Some(&response.device),
            Self::Telemetry(incoming) => Some(&incoming.batch.device),
            Self::Event(device, _) => Some(device),
            // Presence has rules of its own.
            Self::Presence(..) | Self::Cleared => None,
        }
    }
}

fn decode<T: DeserializeOwned>(payload: &[u8], limit: usize) -> Result<T, Refusal> {
    from_bytes(payload, limit).map_err(|error| match &error {
        WireError::TooLarge { .. } => refusal(Drop::oversize, error.to_string()),
        WireError::NotUtf8 | WireError::TooDeep | WireError::Json(_) => {
            refusal(Drop::payload, error.to_string())
        }
    })
}

/// What the topic says and what the payload says.
fn same<T: PartialEq + std::fmt::Display>(topic: &T, payload: &T) -> Result<(), Refusal> {
    if topic == payload {
        Ok(())
    } else {
        Err(refusal(
            Drop::identity,
            format!("sent as {topic}, but the payload names {payload}"),
        ))
    }
}

/// The database counts with a sign.
fn number(n: u64) -> Result<(), Refusal> {
    i64::try_from(n)
        .map(|_| ())
        .map_err(|_| refusal(Drop::payload, format!("{n} is no number to count with")))
}

fn refusal(reason: Drop, detail: impl Into<String>) -> Refusal {
    Refusal {
        reason,
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "00000000-0000-4000-8000-000000000001";

    fn outcome(topic: &str, payload: &str) -> String {
        match Message::read(topic, payload.as_bytes()) {
            Ok(message) => format!("{message:?}")
                .chars()
                .take_while(char::is_ascii_alphabetic)
                .collect(),
            Err(refusal) => format!("{:?}: {refusal}", refusal.reason),
        }
    }

    #[test]
    fn takes_what_is_whole_and_says_what_is_wrong() {
        let presence = format!(
            r#"{{"version":1,"device":"d1","online":true,"bootId":"{BOOT}","connection":1,"added":"later"}}"#
        );
        let batch = |seq: &str| {
            format!(
                r#"{{"version":1,"device":"d1","bootId":"{BOOT}","samples":[{{"seq":{seq},"t":1,"value":{{}}}}]}}"#
            )
        };
        for (topic, payload, expected) in [
            ("hz/1/s1/d1/presence", presence.as_str(), "Presence"),
            ("hz/1/s1/d1/presence", "", "Cleared"),
            (
                "hz/1/s1/d2/presence",
                &presence,
                "identity: sent as d2, but the payload names d1",
            ),
            ("hz/1/s1/d1/t/dishes", &batch("7"), "Telemetry"),
            (
                "hz/1/s1/d1/t/dishes",
                &batch("0"),
                "payload: telemetry is numbered from 1, got 0",
            ),
            (
                "hz/1/s1/d1/t/dishes",
                &batch("18446744073709551615"),
                "payload: 18446744073709551615 is no number to count with",
            ),
            (
                "hz/1/s1/d1/desired",
                "{}",
                "topic: hz/1/s1/d1/desired: only the operator sends there",
            ),
            ("hz/1/s1/d1/ev", r#""door""#, "Event"),
            ("hz/1/s1/d1/ev", &"[".repeat(50), "payload: nested deeper than 32"),
            (
                "hz/1/s1/d1/ev",
                &"1".repeat(5000),
                "oversize: 5000 bytes are over the limit of 4096",
            ),
            (
                "other/topic",
                "",
                "topic: \"other/topic\" is no topic of a device",
            ),
        ] {
            assert_eq!(outcome(topic, payload), expected);
        }
    }
}
