//! Kubernetes events. Failing to write one is logged and never stops the work it tells of.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Longest note the API server takes is 1 kB.
const MAX_NOTE: usize = 1000;

#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    pub fn new(client: kube::Client, instance: &str) -> Self {
        let reporter = Reporter {
            controller: "haizen-operator".into(),
            instance: Some(instance.to_owned()),
        };
        Self {
            recorder: Recorder::new(client, reporter),
        }
    }

    /// `reason` is CamelCase; repeats of the same note within minutes become one event with a count.
    pub async fn publish(&self, object: &ObjectReference, reason: &str, note: String, warning: bool) {
        let event = Event {
            type_: if warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: reason.to_owned(),
            note: Some(note.chars().take(MAX_NOTE / 4).collect()),
            // The recorder merges events by all but their note: another note is another action.
            action: note.chars().filter(char::is_ascii).take(100).collect(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, object).await {
            tracing::warn!(%error, reason, object = object.name.as_deref(), "can't write an event");
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
