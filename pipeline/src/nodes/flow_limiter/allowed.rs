//! Which times were let in: a decision holds from its frame's time until the next decision.

use std::collections::BTreeMap;

use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(super) struct Allowed(BTreeMap<Timestamp, bool>);

impl Allowed {
    /// Everything before the first decision is allowed.
    pub(super) fn new() -> Self {
        Self(BTreeMap::from([(Timestamp::UNSET, true)]))
    }

    pub(super) fn decide(&mut self, at: Timestamp, allowed: bool) {
        self.0.insert(at, allowed);
    }

    pub(super) fn allows(&self, at: Timestamp) -> bool {
        self.0
            .range(..=at)
            .next_back()
            .is_none_or(|(_, allowed)| *allowed)
    }

    /// Forgets what no packet at or after `at` needs.
    pub(super) fn forget_before(&mut self, at: Timestamp) {
        if let Some(holding) = self.0.range(..=at).next_back().map(|(time, _)| *time) {
            self.0 = self.0.split_off(&holding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_holds_until_the_next() {
        let at = Timestamp::clamped;
        let mut allowed = Allowed::new();
        allowed.decide(at(5), false);
        allowed.decide(at(9), true);
        let ask = |allowed: &Allowed| [1, 5, 8, 9, 20].map(|time| allowed.allows(at(time)));
        assert_eq!(ask(&allowed), [true, false, false, true, true]);
        allowed.forget_before(at(6));
        assert_eq!(ask(&allowed), [true, false, false, true, true]);
        assert_eq!(allowed.0.len(), 2);
    }
}
