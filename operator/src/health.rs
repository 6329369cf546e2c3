//! What this process depends on and whether it is there: the reasons behind `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Something the operator can't do its work without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Dependency {
    Postgres,
    Schema,
    Kubernetes,
    CustomResources,
    /// Only on the leader.
    Broker,
    /// Only on the leader: what devices send can be stored.
    Ingest,
}

/// Cheap to clone; a dependency that was never mentioned is not waited for.
#[derive(Debug, Clone, Default)]
pub struct Health {
    reasons: Arc<Mutex<BTreeMap<Dependency, Option<String>>>>,
}

impl Health {
    /// Not ready until all of `waited` are up.
    pub fn waiting_for(waited: &[Dependency]) -> Self {
        let health = Self::default();
        for dependency in waited {
            health.wait_for(*dependency);
        }
        health
    }

    /// Not ready until this is up as well.
    pub fn wait_for(&self, dependency: Dependency) {
        self.set(dependency, Some("not tried yet".into()));
    }

    pub fn up(&self, dependency: Dependency) {
        if self.set(dependency, None) {
            tracing::info!(?dependency, "is there");
        }
    }

    pub fn down(&self, dependency: Dependency, reason: impl Into<String>) {
        let reason = reason.into();
        if self.set(dependency, Some(reason.clone())) {
            tracing::warn!(?dependency, reason, "is away");
        }
    }

    pub fn is_up(&self, dependency: Dependency) -> bool {
        matches!(self.lock().get(&dependency), Some(None))
    }

    /// Why this process isn't ready; empty when it is.
    pub fn reasons(&self) -> BTreeMap<Dependency, String> {
        self.lock()
            .iter()
            .filter_map(|(d, reason)| Some((*d, reason.clone()?)))
            .collect()
    }

    /// True if this turned the state.
    fn set(&self, dependency: Dependency, reason: Option<String>) -> bool {
        let down = reason.is_some();
        let was = self.lock().insert(dependency, reason);
        was.is_none_or(|was| was.is_some() != down)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Dependency, Option<String>>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with all its causes: the last one often is what a person can mend.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors repeat their cause in their own text.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_all_are_up() {
        let health = Health::waiting_for(&[Dependency::Postgres, Dependency::Kubernetes]);
        health.up(Dependency::Postgres);
        health.down(Dependency::Kubernetes, "connection refused");
        let text = serde_json::to_string(&health.reasons()).unwrap();
        assert_eq!(text, r#"{"kubernetes":"connection refused"}"#);
        health.up(Dependency::Kubernetes);
        assert!(health.reasons().is_empty());
    }
}
