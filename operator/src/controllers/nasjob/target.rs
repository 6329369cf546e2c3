//! Which class, and which runtime of it, a target means: decided by the devices its selector matches.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{DeviceFact, Facts, Place};
use super::validate::{Refusal, Target};

/// Where a target's latencies are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    At(Place),
    /// No device matches, yet: waiting helps.
    NoDevice {
        target: String,
        selector: String,
    },
}

/// The runtime most matching devices have; those that are there count before those that are not.
pub fn resolve(index: usize, target: &Target, devices: &[DeviceFact]) -> Result<Resolved, Refusal> {
    let matching: Vec<_> = devices
        .iter()
        .filter(|d| target.selector.matches(&d.labels))
        .collect();
    let classes: BTreeSet<_> = matching.iter().map(|d| d.place.class.as_str()).collect();
    if classes.len() > 1 {
        let classes: Vec<_> = classes.into_iter().collect();
        return Err(Refusal::invalid(
            format!("spec.targets[{index}].deviceSelector"),
            format!(
                "matches devices of {} classes ({}): a target is one class, so make one target for each",
                classes.len(),
                classes.join(", ")
            ),
        ));
    }
    let mut votes: BTreeMap<&Place, (usize, usize)> = BTreeMap::new();
    for device in &matching {
        let vote = votes.entry(&device.place).or_default();
        *vote = (vote.0 + usize::from(device.online), vote.1 + 1);
    }
    // The first of equals, so that the answer doesn't change from look to look.
    let best = votes
        .into_iter()
        .reduce(|best, next| if next.1 > best.1 { next } else { best });
    Ok(match best {
        Some((place, _)) => Resolved::At(place.clone()),
        None => Resolved::NoDevice {
            target: target.name.clone(),
            selector: target.selector.to_string(),
        },
    })
}

/// No device of the class has this runtime any more.
pub fn moved(facts: &Facts, place: &Place) -> bool {
    let of_class: Vec<_> = facts
        .devices
        .iter()
        .filter(|d| d.place.class == place.class)
        .collect();
    of_class.iter().any(|d| d.online) && of_class.iter().all(|d| d.place != *place)
}
