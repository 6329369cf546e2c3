//! The space as strategies see it: slots with numbered options.

/// What a slot decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlotKind {
    Resolution,
    Width,
    /// How many blocks a stage has.
    Depth {
        stage: usize,
    },
    /// What the block at this place of a stage is; without effect beyond the stage's depth.
    Block {
        stage: usize,
        place: usize,
    },
}

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub kind: SlotKind,
    pub options: usize,
}

/// One option for each slot: a point of the space. Slots without effect hold 0, so that equal networks are
/// equal points.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Choices(pub Vec<u8>);

impl Choices {
    /// In how many slots the two differ.
    pub fn distance(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).filter(|(a, b)| a != b).count()
    }
}
