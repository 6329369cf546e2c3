//! Conditions in the standard Kubernetes shape, and the one way to set them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Types of conditions our kinds carry.
pub mod types {
    /// Long-running kinds: the spec is met.
    pub const READY: &str = "Ready";
    /// Bounded kinds: the work ended well.
    pub const SUCCEEDED: &str = "Succeeded";
    /// Work is under way.
    pub const RECONCILING: &str = "Reconciling";
    /// Nothing will move until a person or the spec changes.
    pub const STALLED: &str = "Stalled";
    /// Devices that match also belong to a pipeline of higher priority.
    pub const OVERLAPPED: &str = "Overlapped";
}

/// `True`, `False` or `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    True,
    False,
    Unknown,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition to be set: everything but the times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    pub kind: &'static str,
    pub verdict: Verdict,
    /// CamelCase.
    pub reason: String,
    pub message: String,
}

/// The new list of conditions: the stated ones, each with its old transition time if its status is unchanged.
/// A condition that is not stated any more goes away. `now` has whole seconds in Kubernetes.
pub fn merge(old: &[Condition], stated: &[Stated], generation: i64, now: jiff::Timestamp) -> Vec<Condition> {
    stated
        .iter()
        .map(|s| {
            let status = s.verdict.as_str();
            let unchanged = old.iter().find(|c| c.type_ == s.kind && c.status == status);
            Condition {
                type_: s.kind.to_owned(),
                status: status.to_owned(),
                reason: s.reason.clone(),
                message: s.message.chars().take(MAX_MESSAGE).collect(),
                observed_generation: Some(generation),
                last_transition_time: unchanged
                    .map_or_else(|| Time(whole_seconds(now)), |c| c.last_transition_time.clone()),
            }
        })
        .collect()
}

/// A status stays under 16 KiB whatever goes wrong.
const MAX_MESSAGE: usize = 1024;

fn whole_seconds(now: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_time_of_an_unchanged_status() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let ready = |verdict, reason: &str| Stated {
            kind: types::READY,
            verdict,
            reason: reason.into(),
            message: String::new(),
        };
        let first = merge(&[], &[ready(Verdict::False, "A")], 1, at(10));
        let second = merge(&first, &[ready(Verdict::False, "B")], 2, at(20));
        assert_eq!(
            (second[0].last_transition_time.0, second[0].reason.as_str()),
            (at(10), "B")
        );
        let third = merge(&second, &[ready(Verdict::True, "C")], 2, at(30));
        assert_eq!(third[0].last_transition_time.0, at(30));
        assert!(merge(&third, &[], 2, at(40)).is_empty());
    }
}
