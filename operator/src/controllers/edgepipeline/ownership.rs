//! Which pipeline a device belongs to when several match it: highest priority, then lowest name.

use std::collections::BTreeMap;

use crds::EdgePipeline;
use crds::selector::DeviceSelector;
use kube::ResourceExt as _;

use crate::store::devices::Device;

/// A pipeline's wish for devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// `namespace/name`.
    pub pipeline: String,
    pub priority: i32,
    pub selector: DeviceSelector,
}

impl Claim {
    pub fn of(pipeline: &EdgePipeline) -> Self {
        Self {
            pipeline: key(pipeline),
            priority: pipeline.spec.priority,
            selector: pipeline.spec.device_selector.clone(),
        }
    }
}

pub fn key(pipeline: &EdgePipeline) -> String {
    format!(
        "{}/{}",
        pipeline.namespace().unwrap_or_default(),
        pipeline.name_any()
    )
}

/// Every device carries its class, site and id as labels, whatever it says of itself.
pub fn labels(device: &Device) -> BTreeMap<String, String> {
    let mut labels = device.labels.clone();
    labels.insert("haizen.dev/class".into(), device.class.to_string());
    labels.insert("haizen.dev/site".into(), device.site.to_string());
    labels.insert("haizen.dev/device".into(), device.device.to_string());
    labels
}

pub fn owner<'a>(labels: &BTreeMap<String, String>, claims: &'a [Claim]) -> Option<&'a Claim> {
    claims
        .iter()
        .filter(|claim| claim.selector.matches(labels))
        .min_by(|a, b| {
            b.priority
                .cmp(&a.priority)
                .then_with(|| a.pipeline.cmp(&b.pipeline))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_decides_then_the_name() {
        let claim = |pipeline: &str, priority, role: &str| Claim {
            pipeline: pipeline.into(),
            priority,
            selector: DeviceSelector {
                match_labels: [("role".to_owned(), role.to_owned())].into(),
                match_expressions: vec![],
            },
        };
        let labels = BTreeMap::from([("role".to_owned(), "counter".to_owned())]);
        let owner_of = |claims: &[Claim]| owner(&labels, claims).map(|c| c.pipeline.clone());
        let (a, b, c) = (
            claim("n/a", 1, "counter"),
            claim("n/b", 1, "counter"),
            claim("n/c", 9, "oven"),
        );
        assert_eq!(
            owner_of(&[b.clone(), a.clone(), c.clone()]).as_deref(),
            Some("n/a")
        );
        let higher = Claim { priority: 2, ..b };
        assert_eq!(owner_of(&[a, higher]).as_deref(), Some("n/b"));
        assert_eq!(owner_of(&[c]), None);
    }
}
