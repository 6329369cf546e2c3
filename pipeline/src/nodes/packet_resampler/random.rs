//! Chance from a text: the same text gives the same numbers everywhere.

/// SplitMix64 (Steele, Lea and Flood 2014), started from the text's FNV-1a hash.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: &str) -> Self {
        let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(seed.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    /// From 0 on, below `limit`; 0 for a limit below 1.
    pub(super) fn below(&mut self, limit: i64) -> i64 {
        let limit = u64::try_from(limit).unwrap_or(0);
        // The upper half of the product: no remainder, hence no bias worth mentioning at these sizes.
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as i64
    }

    /// From 0 on, below 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
