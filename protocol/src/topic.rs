//! The topic tree `hz/1/{site}/{device}/…`: one enum, read and printed in one place.

use std::fmt;
use std::str::FromStr;

use crate::id::{DeviceId, SiteId, StreamId};

const PREFIX: &str = "hz/1";

/// A topic of one device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    pub site: SiteId,
    pub device: DeviceId,
    pub channel: Channel,
}

/// What a device's topic carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Operator to device, retained: what to run.
    Desired,
    /// Device to operator, retained: what runs.
    Reported,
    /// Device to operator: steps of a rollout.
    Ack,
    /// Device's will and birth, retained.
    Presence,
    /// Device to operator: results of the graph's sinks.
    Telemetry(StreamId),
    /// Operator to device: telemetry is in the database up to here, the outbox may forget it.
    Committed,
    /// Device to operator: events for people.
    Event,
    /// Operator to device: measure these files.
    ProfileRequest,
    /// Device to operator: measured times.
    ProfileResponse,
}

/// A topic that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no topic of a device")]
pub struct TopicError(String);

impl Topic {
    pub fn new(site: &SiteId, device: &DeviceId, channel: Channel) -> Self {
        Self {
            site: site.clone(),
            device: device.clone(),
            channel,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}/{}/{}/{}", self.site, self.device, self.channel)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desired => f.write_str("desired"),
            Self::Reported => f.write_str("reported"),
            Self::Ack => f.write_str("ack"),
            Self::Presence => f.write_str("presence"),
            Self::Telemetry(stream) => write!(f, "t/{stream}"),
            Self::Committed => f.write_str("committed"),
            Self::Event => f.write_str("ev"),
            Self::ProfileRequest => f.write_str("profile/req"),
            Self::ProfileResponse => f.write_str("profile/res"),
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let error = || TopicError(text.chars().take(200).collect());
        let rest = text
            .strip_prefix(PREFIX)
            .and_then(|t| t.strip_prefix('/'))
            .ok_or_else(error)?;
        let mut parts = rest.splitn(3, '/');
        let mut next = || parts.next().ok_or_else(error);
        let (site, device, channel) = (next()?, next()?, next()?);
        let channel = match channel {
            "desired" => Channel::Desired,
            "reported" => Channel::Reported,
            "ack" => Channel::Ack,
            "presence" => Channel::Presence,
            "committed" => Channel::Committed,
            "ev" => Channel::Event,
            "profile/req" => Channel::ProfileRequest,
            "profile/res" => Channel::ProfileResponse,
            other => {
                let stream = other.strip_prefix("t/").ok_or_else(error)?;
                Channel::Telemetry(stream.parse().map_err(|_| error())?)
            }
        };
        Ok(Self {
            site: site.parse().map_err(|_| error())?,
            device: device.parse().map_err(|_| error())?,
            channel,
        })
    }
}

/// Filters the operator subscribes to; `true` where members of a shared group split the messages.
/// Retained topics can't be shared: a broker gives a shared subscription no retained message.
pub fn operator_filters() -> Vec<(String, bool)> {
    let all = |channel: &str| format!("{PREFIX}/+/+/{channel}");
    vec![
        (all("reported"), false),
        (all("presence"), false),
        (all("ack"), true),
        (all("ev"), true),
        (all("profile/res"), true),
        (all("t/+"), true),
    ]
}

/// Filters a device subscribes to.
pub fn device_filters(site: &SiteId, device: &DeviceId) -> Vec<String> {
    [Channel::Desired, Channel::Committed, Channel::ProfileRequest]
        .map(|channel| Topic::new(site, device, channel).to_string())
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_it_prints() {
        let stream: StreamId = "dishes".parse().unwrap();
        for channel in [
            Channel::Desired,
            Channel::Reported,
            Channel::Ack,
            Channel::Presence,
            Channel::Telemetry(stream),
            Channel::Committed,
            Channel::Event,
            Channel::ProfileRequest,
            Channel::ProfileResponse,
        ] {
            let topic = Topic::new(&"s1".parse().unwrap(), &"cam-1".parse().unwrap(), channel);
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
        for text in [
            "",
            "hz/1",
            "hz/2/s/d/ack",
            "hz/1/s/d",
            "hz/1/s/+/ack",
            "hz/1/s/d/t/a/b",
            "hz/1/s/d/x",
        ] {
            assert!(text.parse::<Topic>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "hz/1/.{0,20}") {
            drop(text.parse::<Topic>());
        }
    }
}
