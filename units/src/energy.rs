use std::fmt;
use std::str::FromStr;

use crate::{QuantityError, split_number, textual};

/// Energy, written `50mJ`, `1.2J` or `800uJ`; held in whole microjoules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Energy(u64);

const UNITS: [(&str, u64); 3] = [("J", 1_000_000), ("mJ", 1_000), ("uJ", 1)];

impl Energy {
    pub const fn from_microjoules(microjoules: u64) -> Self {
        Self(microjoules)
    }

    pub const fn as_microjoules(self) -> u64 {
        self.0
    }
}

impl FromStr for Energy {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError {
            kind: "energy",
            text: text.to_owned(),
            example: "50mJ, 1.2J or 800uJ",
        };
        let (value, unit) = split_number(text).ok_or_else(error)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let microjoules = value * *factor as f64;
        if microjoules > 1e18 {
            return Err(error());
        }
        Ok(Self(microjoules.round() as u64))
    }
}

impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.0.is_multiple_of(*factor))
            .unwrap_or(&("uJ", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

textual!(
    Energy,
    r"^[0-9]+(\.[0-9]+)?(uJ|mJ|J)$",
    "An energy such as 50mJ or 1.2J."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for (text, microjoules) in [
            ("50mJ", 50_000),
            ("1200mJ", 1_200_000),
            ("7uJ", 7),
            ("3J", 3_000_000),
        ] {
            let energy = Energy::from_microjoules(microjoules);
            assert_eq!(text.parse(), Ok(energy), "{text}");
            assert_eq!(energy.to_string().parse(), Ok(energy), "{energy}");
        }
        for text in ["", "50", "mJ", "-1J", "5kJ"] {
            assert!(text.parse::<Energy>().is_err(), "{text}");
        }
    }
}
