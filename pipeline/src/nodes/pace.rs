//! Keeps a source to its frame rate: ticks on a fixed grid, and a tick that was missed is not made up for.

use crate::options::OptionError;

#[derive(Debug, Clone)]
pub(crate) struct Pace {
    fps: f64,
    start: Option<i64>,
}

impl Pace {
    /// `fps` of 0 means no pace.
    pub(crate) fn new(fps: f64) -> Self {
        Self { fps, start: None }
    }

    /// The time of the tick after `now` (microseconds); none when the source runs as fast as it is taken.
    pub(crate) fn next(&mut self, now: i64) -> Option<i64> {
        let start = *self.start.get_or_insert(now);
        if self.fps <= 0.0 {
            return None;
        }
        let period = 1e6 / self.fps;
        let ticks = ((now - start) as f64 / period).floor() + 1.0;
        // A source that runs a little early (a rounded microsecond) must not get the same tick again.
        let next = start + (ticks * period).round() as i64;
        Some(if next <= now {
            start + ((ticks + 1.0) * period).round() as i64
        } else {
            next
        })
    }
}

pub(crate) fn check_fps(fps: f64) -> Result<(), OptionError> {
    if (0.0..=1e5).contains(&fps) {
        Ok(())
    } else {
        Err(OptionError::value(
            "fps",
            format!("{fps} isn't possible; use 0 (no pace) to 100000"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stay_on_the_grid() {
        let mut pace = Pace::new(30.0);
        let mut now = 1_000;
        let mut ticks = Vec::new();
        for _ in 0..3 {
            now = pace.next(now).unwrap();
            ticks.push(now);
        }
        assert_eq!(ticks, [34_333, 67_667, 101_000]);
    }

    #[test]
    fn a_missed_tick_is_gone() {
        let mut pace = Pace::new(10.0);
        assert_eq!(pace.next(0), Some(100_000));
        assert_eq!(pace.next(350_000), Some(400_000));
    }

    #[test]
    fn no_pace_never_waits() {
        assert_eq!(Pace::new(0.0).next(5), None);
    }
}
