use std::fmt;
use std::str::FromStr;

use crate::{QuantityError, split_number, textual};

/// A span of time, written `20ms`, `1.5s`, `10m`, `6h`, `2d`, `250us`, or joined as in `1h30m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Duration {
    pub const ZERO: Self = Self(std::time::Duration::ZERO);

    pub const fn from_micros(micros: u64) -> Self {
        Self(std::time::Duration::from_micros(micros))
    }

    pub const fn from_millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    pub const fn from_secs(secs: u64) -> Self {
        Self(std::time::Duration::from_secs(secs))
    }

    pub fn as_micros(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }

    pub fn as_millis_f64(self) -> f64 {
        self.0.as_secs_f64() * 1e3
    }

    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl From<std::time::Duration> for Duration {
    fn from(span: std::time::Duration) -> Self {
        Self(span)
    }
}

impl FromStr for Duration {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError {
            kind: "duration",
            text: text.to_owned(),
            example: "20ms, 1.5s, 10m, 6h or 1h30m",
        };
        let mut rest = text.trim();
        let mut micros = 0.0_f64;
        if rest.is_empty() {
            return Err(error());
        }
        while !rest.is_empty() {
            let (value, tail) = split_number(rest).ok_or_else(error)?;
            let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, next) = tail.split_at_checked(end).ok_or_else(error)?;
            let unit = if unit == "µs" { "us" } else { unit };
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
            micros += value * *factor as f64;
            rest = next;
        }
        // 100 years: far above any deadline, far below an overflow.
        if micros > 3.2e15 {
            return Err(error());
        }
        Ok(Self::from_micros(micros.round() as u64))
    }
}

impl fmt::Display for Duration {
    /// Below a second in one unit with decimals (`18.02ms`), above it joined (`1h30m`) or in seconds (`1.5s`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.as_micros();
        match micros {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{micros}us"),
            1_000..1_000_000 => decimals(f, micros, 1_000, "ms"),
            _ if !micros.is_multiple_of(1_000_000) => decimals(f, micros, 1_000_000, "s"),
            _ => joined(f, micros),
        }
    }
}

/// `micros / unit` exactly, without trailing zeros.
fn decimals(f: &mut fmt::Formatter<'_>, micros: u64, unit: u64, name: &str) -> fmt::Result {
    let digits = unit.ilog10() as usize;
    let fraction = format!("{:0digits$}", micros % unit);
    match fraction.trim_end_matches('0') {
        "" => write!(f, "{}{name}", micros / unit),
        fraction => write!(f, "{}.{fraction}{name}", micros / unit),
    }
}

fn joined(f: &mut fmt::Formatter<'_>, mut micros: u64) -> fmt::Result {
    for (unit, factor) in UNITS {
        let count = micros / factor;
        if count > 0 {
            write!(f, "{count}{unit}")?;
            micros %= factor;
        }
    }
    Ok(())
}

textual!(
    Duration,
    r"^([0-9]+(\.[0-9]+)?(us|µs|ms|s|m|h|d))+$",
    "A duration such as 20ms, 1.5s, 10m, 6h or 1h30m."
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, micros) in [
            ("20ms", 20_000),
            ("1.5s", 1_500_000),
            ("1h30m", 5_400_000_000),
            ("250µs", 250),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in [
            "",
            "20",
            "ms",
            "-1s",
            "1x",
            "1s x",
            "99999999999d",
            "NaNs",
            "1.2.3s",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }

    #[test]
    fn prints_what_people_read() {
        let texts =
            [18_020, 250, 2_000, 1_500_000, 5_400_000_000].map(|m| Duration::from_micros(m).to_string());
        assert_eq!(texts, ["18.02ms", "250us", "2ms", "1.5s", "1h30m"]);
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(micros in 0_u64..3_000_000_000_000_000) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn never_panics(text in ".{0,12}") {
            drop(text.parse::<Duration>());
        }
    }
}
