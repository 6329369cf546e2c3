//! "Something changed, look again": wakes controllers from ingest and HTTP. Carries no data, so it can't be stale,
//! and coalesces, so a fleet's chatter costs a few looks a second.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream;
use tokio::sync::watch;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A device's reported state or presence.
    Device,
    /// A profile response is recorded.
    Profile,
    /// A trainer claimed, finished or failed a trial.
    Trial,
    /// A device took a step of a rollout.
    Ack,
    /// A model is stored.
    Model,
    /// Connected to the broker (again): retained state may be lost, publish desired documents again.
    Broker,
}

const KINDS: usize = Change::Broker as usize + 1;

/// A subscriber is woken at most this often.
const REST: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub struct Changes {
    counts: Arc<watch::Sender<[u64; KINDS]>>,
}

impl Changes {
    pub fn new() -> Self {
        Self {
            counts: Arc::new(watch::Sender::new([0; KINDS])),
        }
    }

    pub fn notify(&self, change: Change) {
        self.counts.send_modify(|counts| counts[change as usize] += 1);
    }

    /// One item for any number of changes of these kinds since the last item.
    /// For `kube::runtime::Controller::reconcile_all_on`.
    pub fn subscribe(&self, kinds: &[Change]) -> impl Stream<Item = ()> + Send + 'static + use<> {
        let wanted: Vec<usize> = kinds.iter().map(|kind| *kind as usize).collect();
        let counts = self.counts.subscribe();
        let seen = *counts.borrow();
        stream::unfold(
            (counts, seen, wanted, false),
            |(mut counts, mut seen, wanted, woken)| async move {
                if woken {
                    tokio::time::sleep(REST).await;
                }
                loop {
                    let now = *counts.borrow_and_update();
                    let changed = wanted.iter().any(|kind| now[*kind] != seen[*kind]);
                    seen = now;
                    if changed {
                        return Some(((), (counts, seen, wanted, true)));
                    }
                    counts.changed().await.ok()?;
                }
            },
        )
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    #[tokio::test]
    async fn wakes_once_for_many_and_never_for_others() {
        let changes = Changes::new();
        let stream = changes.subscribe(&[Change::Ack, Change::Broker]);
        let mut stream = std::pin::pin!(stream);
        changes.notify(Change::Device);
        assert!(stream.next().now_or_never().is_none());
        changes.notify(Change::Ack);
        changes.notify(Change::Ack);
        changes.notify(Change::Broker);
        assert_eq!(stream.next().await, Some(()));
        assert!(stream.next().now_or_never().is_none());
        changes.notify(Change::Ack);
        assert_eq!(stream.next().await, Some(()));
    }
}
