//! Packets that were let go: how many for which reason, and which ones where somebody keeps a record.

use crate::stats::{DropReason, Drops};
use crate::timestamp::Timestamp;

/// Counts by reason.
pub(crate) type Counts = [u64; DropReason::ALL.len()];

#[derive(Debug, Default)]
pub(crate) struct Dropped {
    counts: Counts,
    /// Something was added since this was last absorbed.
    fresh: bool,
    /// Not told to the observer yet; none where nobody observes.
    log: Option<Vec<(DropReason, Timestamp)>>,
}

impl Dropped {
    /// `logged`: each packet is kept for `take_log`.
    pub(crate) fn new(logged: bool) -> Self {
        Self {
            counts: Counts::default(),
            fresh: false,
            log: logged.then(Vec::new),
        }
    }

    pub(crate) fn add(&mut self, reason: DropReason, at: Timestamp) {
        self.counts[reason as usize] += 1;
        self.fresh = true;
        if let Some(log) = &mut self.log {
            log.push((reason, at));
        }
    }

    /// Takes over all that another counted.
    pub(crate) fn absorb(&mut self, other: &mut Self) {
        if !std::mem::take(&mut other.fresh) {
            return;
        }
        self.fresh = true;
        for (sum, count) in self.counts.iter_mut().zip(&mut other.counts) {
            *sum += std::mem::take(count);
        }
        if let (Some(log), Some(others)) = (&mut self.log, &mut other.log) {
            log.append(others);
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn has_log(&self) -> bool {
        self.log.as_ref().is_some_and(|log| !log.is_empty())
    }

    pub(crate) fn take_log(&mut self) -> Vec<(DropReason, Timestamp)> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn figures(&self) -> Drops {
        let [late, age, full, limited, closed] = self.counts;
        Drops {
            late,
            age,
            full,
            limited,
            closed,
        }
    }
}
