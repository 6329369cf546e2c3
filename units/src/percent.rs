use std::fmt;
use std::str::FromStr;

use crate::{QuantityError, split_number, textual};

/// A share of a whole, written `10%` or `12.5%`, from 0 to 100; held in hundredths of a percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

impl Percent {
    pub const ALL: Self = Self(10_000);

    /// How many of `total` the share covers, rounded up, so that a share above zero of something is something.
    pub fn of(self, total: usize) -> usize {
        (total * usize::from(self.0)).div_ceil(10_000)
    }
}

impl FromStr for Percent {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError {
            kind: "percent",
            text: text.to_owned(),
            example: "10%, 12.5% or 100%",
        };
        let (value, unit) = split_number(text).ok_or_else(error)?;
        if unit != "%" || value > 100.0 {
            return Err(error());
        }
        Ok(Self((value * 100.0).round() as u16))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

textual!(
    Percent,
    r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$",
    "A share such as 10% or 12.5%, at most 100%."
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_at_least_one_of_something() {
        let share = |text: &str, total| text.parse::<Percent>().map(|p| p.of(total));
        assert_eq!(share("10%", 4), Ok(1));
        assert_eq!(share("50%", 5), Ok(3));
        assert_eq!(share("100%", 7), Ok(7));
        assert_eq!(share("0%", 7), Ok(0));
        assert!(share("101%", 1).is_err());
        assert!(share("10", 1).is_err());
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(hundredths in 0_u16..=10_000) {
            let percent = Percent(hundredths);
            prop_assert_eq!(percent.to_string().parse(), Ok(percent));
        }
    }
}
