//! Time on a stream: microseconds, and the special values at both ends of the range.
//!
//! Refuses to build a special value from a number: those are named constants.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point in time on a stream, in microseconds. On a device: since 1970, by the device's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Why a number or a text is no timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    #[error("{micros} µs is reserved for a special timestamp; use a number of smaller size")]
    Reserved { micros: i64 },
    #[error(
        "`{0}` is neither microseconds nor a special timestamp (Unset, Unstarted, PreStream, Min, Max, PostStream, OneOverPostStream, Done)"
    )]
    Unknown(String),
}

const NAMES: [(Timestamp, &str); 8] = [
    (Timestamp::UNSET, "Unset"),
    (Timestamp::UNSTARTED, "Unstarted"),
    (Timestamp::PRE_STREAM, "PreStream"),
    (Timestamp::MIN, "Min"),
    (Timestamp::MAX, "Max"),
    (Timestamp::POST_STREAM, "PostStream"),
    (Timestamp::ONE_OVER_POST_STREAM, "OneOverPostStream"),
    (Timestamp::DONE, "Done"),
];

impl Timestamp {
    pub const UNSET: Self = Self(i64::MIN);
    /// What a node sees as its input time in Open.
    pub const UNSTARTED: Self = Self(i64::MIN + 1);
    /// The time of a stream's only packet that comes before all others.
    pub const PRE_STREAM: Self = Self(i64::MIN + 2);
    pub const MIN: Self = Self(i64::MIN + 3);
    pub const MAX: Self = Self(i64::MAX - 3);
    /// The time of a stream's only packet that stands for the whole stream.
    pub const POST_STREAM: Self = Self(i64::MAX - 2);
    /// The bound of a stream that will get no further packet.
    pub const ONE_OVER_POST_STREAM: Self = Self(i64::MAX - 1);
    /// The bound of a closed stream; what a node sees as its input time in Close.
    pub const DONE: Self = Self(i64::MAX);

    pub const fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        let timestamp = Self(micros);
        if timestamp.is_special() {
            Err(TimestampError::Reserved { micros })
        } else {
            Ok(timestamp)
        }
    }

    /// A clock's reading: what lies outside the range is moved to its end.
    pub const fn clamped(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    pub const fn is_range_value(self) -> bool {
        self.0 >= Self::MIN.0 && self.0 <= Self::MAX.0
    }

    pub const fn is_allowed_in_stream(self) -> bool {
        self.0 >= Self::PRE_STREAM.0 && self.0 <= Self::POST_STREAM.0
    }

    pub const fn is_special(self) -> bool {
        self.0 <= Self::MIN.0 || self.0 >= Self::MAX.0
    }

    /// The bound that a packet at this time leaves behind.
    pub const fn next_allowed_in_stream(self) -> Self {
        if self.0 == Self::PRE_STREAM.0 || self.0 >= Self::MAX.0 {
            Self::ONE_OVER_POST_STREAM
        } else if self.0 < Self::MIN.0 {
            Self::MIN
        } else {
            Self(self.0 + 1)
        }
    }

    /// The newest time that a bound of this value settles.
    pub const fn previous_allowed_in_stream(self) -> Self {
        if self.0 <= Self::MIN.0 || self.0 == Self::POST_STREAM.0 {
            Self::UNSTARTED
        } else if self.0 > Self::POST_STREAM.0 {
            Self::MAX
        } else {
            Self(self.0 - 1)
        }
    }

    /// Moves a time of the range, staying in the range; special values have no neighbours and give none.
    pub fn shifted(self, micros: i64) -> Option<Self> {
        self.is_range_value()
            .then(|| Self::clamped(self.0.saturating_add(micros)))
    }

    /// Microseconds from `earlier` to this, when both are times of the range.
    pub fn since(self, earlier: Self) -> Option<i64> {
        (self.is_range_value() && earlier.is_range_value()).then(|| self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(special, _)| special == self) {
            Some((_, name)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        if let Some((special, _)) = NAMES.iter().find(|(_, name)| *name == text) {
            return Ok(*special);
        }
        Self::from_micros(
            text.parse()
                .map_err(|_| TimestampError::Unknown(text.to_owned()))?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    #[test]
    fn next_allowed() {
        for special in [Timestamp::PRE_STREAM, Timestamp::MAX, Timestamp::POST_STREAM] {
            assert_eq!(
                special.next_allowed_in_stream(),
                Timestamp::ONE_OVER_POST_STREAM,
                "{special}"
            );
        }
        for special in [Timestamp::UNSET, Timestamp::UNSTARTED] {
            assert_eq!(special.next_allowed_in_stream(), Timestamp::MIN, "{special}");
        }
        assert_eq!(at(-1000).next_allowed_in_stream(), at(-999));
    }

    #[test]
    fn previous_allowed() {
        for special in [
            Timestamp::UNSET,
            Timestamp::PRE_STREAM,
            Timestamp::MIN,
            Timestamp::POST_STREAM,
        ] {
            assert_eq!(
                special.previous_allowed_in_stream(),
                Timestamp::UNSTARTED,
                "{special}"
            );
        }
        for special in [Timestamp::ONE_OVER_POST_STREAM, Timestamp::DONE] {
            assert_eq!(special.previous_allowed_in_stream(), Timestamp::MAX, "{special}");
        }
        assert_eq!(at(10).previous_allowed_in_stream(), at(9));
    }

    #[test]
    fn shifting_stays_in_the_range() {
        let near_max = Timestamp::MAX.shifted(-100).unwrap();
        let near_min = Timestamp::MIN.shifted(100).unwrap();
        assert_eq!(near_max.shifted(200), Some(Timestamp::MAX));
        assert_eq!(near_min.shifted(-200), Some(Timestamp::MIN));
        assert_eq!(Timestamp::PRE_STREAM.shifted(1), None);
        assert_eq!(Timestamp::DONE.since(at(0)), None);
    }

    #[test]
    fn predicates() {
        use Timestamp as T;
        let table = [
            (T::UNSET, false, false, true),
            (T::UNSTARTED, false, false, true),
            (T::PRE_STREAM, false, true, true),
            (T::MIN, true, true, true),
            (T(T::MIN.0 + 1), true, true, false),
            (at(-1), true, true, false),
            (at(0), true, true, false),
            (T(T::MAX.0 - 1), true, true, false),
            (T::MAX, true, true, true),
            (T::POST_STREAM, false, true, true),
            (T::ONE_OVER_POST_STREAM, false, false, true),
            (T::DONE, false, false, true),
        ];
        for (timestamp, range, allowed, special) in table {
            let seen = (
                timestamp.is_range_value(),
                timestamp.is_allowed_in_stream(),
                timestamp.is_special(),
            );
            assert_eq!(seen, (range, allowed, special), "{timestamp}");
        }
    }

    #[test]
    fn text_goes_both_ways() {
        for text in [
            "Unset",
            "PreStream",
            "Min",
            "-5",
            "0",
            "1700000000000000",
            "Max",
            "PostStream",
            "Done",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        for text in ["", "never", "1.5", "9223372036854775807"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
