//! The largest and the smallest network of a space: the ends between which a supernet is trained.

use super::{Choices, Space};

impl Space {
    /// The network of the most work.
    pub fn largest(&self) -> Choices {
        self.climb(|work, best| work > best)
    }

    /// The network of the least work.
    pub fn smallest(&self) -> Choices {
        self.climb(|work, best| work < best)
    }

    /// Slot by slot, which is exact: more of one slot is more work whatever the others are.
    fn climb(&self, is_better: impl Fn(u64, u64) -> bool) -> Choices {
        let mut best = Choices(vec![0; self.slots().len()]);
        // Depths before the blocks they let take part: a depth's slot comes before those of its stage.
        for slot in 0..best.0.len() {
            let work = |option: u8, point: &Choices| {
                let mut point = point.clone();
                point.0[slot] = option;
                self.decode(&point).map_or(0, |net| net.cost().macs)
            };
            for option in 1..self.slots()[slot].options as u8 {
                if is_better(work(option, &best), work(best.0[slot], &best)) {
                    best.0[slot] = option;
                }
            }
        }
        self.without_idle(best)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SearchSpaceConfig, Space};
    use crate::random::{Purpose, generator};

    #[test]
    fn every_other_network_lies_between() {
        for preset in ["mobile-small", "mobile"] {
            let text = format!(
                r#"{{"mobileBlocks":{{"preset":"{preset}","expands":[1,3],"squeezeExcite":[false,true]}}}}"#
            );
            let config: SearchSpaceConfig = serde_json::from_str(&text).unwrap();
            let space = Space::from_config(&config).unwrap();
            let work = |choices| space.decode(&choices).unwrap().cost().macs;
            let (least, most) = (work(space.smallest()), work(space.largest()));
            for index in 0..200 {
                let other = work(space.sample(&mut generator(1, index, Purpose::Ask)));
                assert!(
                    (least..=most).contains(&other),
                    "{preset}: {least} {other} {most}"
                );
            }
        }
    }
}
