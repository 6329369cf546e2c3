//! Who belongs to which wave: by hash, so that retries and resizes never reshuffle.

use sha2::{Digest, Sha256};

use crate::policy::RolloutPolicy;

/// The order in which devices of a rollout come; another rollout has another order, so that not always the
/// same restaurant is the canary.
pub fn rank(rollout: &str, device: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(rollout)
        .chain_update([0])
        .chain_update(device)
        .finalize()
        .into()
}

/// Waves of a policy: the canary if it has one, then the shares; without shares everything else at once.
pub fn wave_count(policy: &RolloutPolicy) -> usize {
    usize::from(policy.canary.count > 0) + policy.waves.len().max(1)
}

/// The wave of the device at `position` (by rank) of `total`.
pub fn wave_of(policy: &RolloutPolicy, position: usize, total: usize) -> usize {
    let canary = policy.canary.count as usize;
    if position < canary {
        return 0;
    }
    let first = usize::from(canary > 0);
    let wave = policy.waves.iter().position(|share| position < share.of(total));
    first + wave.unwrap_or(policy.waves.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(json: &str, total: usize) -> Vec<usize> {
        let policy: RolloutPolicy = serde_json::from_str(json).unwrap();
        let mut sizes = vec![0; wave_count(&policy)];
        for position in 0..total {
            sizes[wave_of(&policy, position, total)] += 1;
        }
        sizes
    }

    #[test]
    fn shares_are_cumulative_and_hold_the_canary() {
        assert_eq!(
            sizes(r#"{"canary": {"count": 1}, "waves": ["10%", "50%", "100%"]}"#, 40),
            [1, 3, 16, 20]
        );
        assert_eq!(
            sizes(r#"{"canary": {"count": 0}, "waves": ["50%", "100%"]}"#, 5),
            [3, 2]
        );
        assert_eq!(
            sizes(r#"{"canary": {"count": 3}, "waves": ["50%", "100%"]}"#, 4),
            [3, 0, 1]
        );
        assert_eq!(sizes(r#"{"canary": {"count": 2}, "waves": []}"#, 1), [1, 0]);
        assert_eq!(sizes(r#"{"canary": {"count": 0}, "waves": []}"#, 3), [3]);
    }

    #[test]
    fn order_differs_between_rollouts() {
        let order = |rollout: &str| {
            let mut devices: Vec<_> = (0..8).map(|n| format!("d{n}")).collect();
            devices.sort_by_key(|d| rank(rollout, d));
            devices
        };
        assert_eq!(order("a"), order("a"));
        assert_ne!(order("a"), order("b"));
    }
}
