//! Where chance comes from: one generator per (seed, trial, purpose), so that a trial's draws depend neither on
//! the order of other trials nor on how often the search was interrupted.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the draws are for; each purpose has its own stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Ask = 1,
    Calibration = 2,
    /// Networks that a step of a supernet trains.
    Supernet = 3,
    Gates = 4,
    /// Networks by which a supernet's ranks are compared with those of networks trained alone.
    Comparison = 5,
    Finalists = 6,
}

pub fn generator(seed: u64, trial: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&trial.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(purpose as u64);
    rng
}
