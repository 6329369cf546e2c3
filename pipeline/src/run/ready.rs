//! The nodes that can run, as bits: setting, finding and claiming the most urgent one allocates nothing.

use crate::sync::atomic::{AtomicU64, Ordering};

/// A set of node numbers; the highest number is the most urgent.
#[derive(Debug)]
pub(crate) struct ReadySet(Vec<AtomicU64>);

impl ReadySet {
    pub(crate) fn new(nodes: usize) -> Self {
        Self(
            (0..nodes.div_ceil(64).max(1))
                .map(|_| AtomicU64::new(0))
                .collect(),
        )
    }

    pub(crate) fn insert(&self, node: usize) {
        if let Some(word) = self.0.get(node / 64) {
            word.fetch_or(1 << (node % 64), Ordering::SeqCst);
        }
    }

    /// Takes the node out; false when another worker was faster.
    pub(crate) fn claim(&self, node: usize) -> bool {
        let bit = 1 << (node % 64);
        self.0
            .get(node / 64)
            .is_some_and(|word| word.fetch_and(!bit, Ordering::SeqCst) & bit != 0)
    }

    pub(crate) fn contains(&self, node: usize) -> bool {
        let word = self.0.get(node / 64);
        word.is_some_and(|word| word.load(Ordering::SeqCst) >> (node % 64) & 1 == 1)
    }

    pub(crate) fn clear(&self) {
        for word in &self.0 {
            word.store(0, Ordering::SeqCst);
        }
    }

    /// Takes all members out.
    pub(crate) fn take_all(&self) -> Vec<usize> {
        let members: Vec<usize> = self.below(self.0.len() * 64).collect();
        members.into_iter().filter(|node| self.claim(*node)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::SeqCst) == 0)
    }

    pub(crate) fn highest(&self) -> Option<usize> {
        self.0.iter().enumerate().rev().find_map(|(index, word)| {
            let bits = word.load(Ordering::SeqCst);
            (bits != 0).then(|| index * 64 + 63 - bits.leading_zeros() as usize)
        })
    }

    /// All members below `limit`.
    pub(crate) fn below(&self, limit: usize) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate().take(limit.div_ceil(64));
        words
            .flat_map(move |(index, word)| {
                let bits = word.load(Ordering::SeqCst);
                (0..64)
                    .filter(move |bit| bits >> bit & 1 == 1)
                    .map(move |bit| index * 64 + bit)
            })
            .filter(move |node| *node < limit)
    }
}
