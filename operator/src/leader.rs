//! One leader at a time, by a Lease. Fail-stop: who can't renew it ends its process before another may take it,
//! and Kubernetes starts a fresh one. What a frozen process might still write, the term in the database refuses.
//!
//! Expiry is judged by this process's own clock since it saw the lease change: clocks of nodes never matter.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;

const NAME: &str = "haizen-operator";

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("lease {NAME}: {0}")]
    Kubernetes(#[from] Box<kube::Error>),
}

/// Takes part in the election.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    holder: String,
    duration: Duration,
    /// The lease as last seen to change, and when.
    seen: Option<(Seen, Instant)>,
    /// Since when it is surely ours.
    renewed: Instant,
}

/// What of a lease tells that its holder lives.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    holder: Option<String>,
    renewed: Option<MicroTime>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Create,
    Take,
    Renew,
    Wait,
}

impl Election {
    pub fn new(client: kube::Client, namespace: &str, holder: &str, duration: Duration) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self {
            leases,
            holder: holder.to_owned(),
            duration,
            seen: None,
            renewed: Instant::now(),
        }
    }

    /// Until this process leads.
    pub async fn win(&mut self) {
        loop {
            let began = Instant::now();
            match self.attempt().await {
                Ok(true) => {
                    self.renewed = began;
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "can't take the lease yet"),
            }
            tokio::time::sleep(self.pace()).await;
        }
    }

    /// Until this process leads no more; tells why. May be dropped and called again.
    pub async fn hold(&mut self) -> String {
        // Others wait for the whole duration: this one stops well before.
        let patience = self.duration * 2 / 3;
        loop {
            tokio::time::sleep(self.pace()).await;
            let began = Instant::now();
            let left = patience.saturating_sub(self.renewed.elapsed());
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(true)) => self.renewed = began,
                Ok(Ok(false)) => return "another replica has taken the lease".into(),
                Ok(Err(error)) if self.renewed.elapsed() < patience => {
                    tracing::warn!(%error, "can't renew the lease, trying again");
                }
                Ok(Err(error)) => return format!("the lease was not renewed for {patience:?}: {error}"),
                Err(_) => return format!("the lease was not renewed for {patience:?}: no answer"),
            }
        }
    }

    /// Hands over at once instead of letting the others wait.
    pub async fn release(&self) -> Result<(), LeaseError> {
        let Some(lease) = self.leases.get_opt(NAME).await.map_err(Box::new)? else {
            return Ok(());
        };
        if seen(&lease).holder.as_deref() != Some(&self.holder) {
            return Ok(());
        }
        let spec = LeaseSpec {
            holder_identity: None,
            renew_time: None,
            ..lease.spec.clone().unwrap_or_default()
        };
        self.write(Lease {
            spec: Some(spec),
            ..lease
        })
        .await?;
        Ok(())
    }

    /// One look at the lease, and one write if it is ours or free: true if it is ours then.
    async fn attempt(&mut self) -> Result<bool, LeaseError> {
        let lease = self.leases.get_opt(NAME).await.map_err(Box::new)?;
        let now = Instant::now();
        let current = lease.as_ref().map(seen);
        if current != self.seen.as_ref().map(|(seen, _)| seen.clone()) {
            self.seen = current.map(|seen| (seen, now));
        }
        let step = decide(self.seen.as_ref(), &self.holder, self.duration, now);
        let spec = lease
            .as_ref()
            .and_then(|lease| lease.spec.clone())
            .unwrap_or_default();
        let time = MicroTime(jiff::Timestamp::now());
        let ours = LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: Some(self.duration.as_secs() as i32),
            renew_time: Some(time.clone()),
            ..spec.clone()
        };
        let taken = LeaseSpec {
            acquire_time: Some(time),
            lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + 1),
            ..ours.clone()
        };
        match (step, lease) {
            (Step::Wait, _) => Ok(false),
            (Step::Renew, Some(lease)) => {
                self.write(Lease {
                    spec: Some(ours),
                    ..lease
                })
                .await
            }
            (Step::Take, Some(lease)) => {
                self.write(Lease {
                    spec: Some(taken),
                    ..lease
                })
                .await
            }
            (Step::Create | Step::Take | Step::Renew, _) => {
                let metadata = ObjectMeta {
                    name: Some(NAME.into()),
                    ..ObjectMeta::default()
                };
                won(self
                    .leases
                    .create(
                        &PostParams::default(),
                        &Lease {
                            metadata,
                            spec: Some(taken),
                        },
                    )
                    .await)
            }
        }
    }

    /// Only if nobody else wrote since it was read.
    async fn write(&self, lease: Lease) -> Result<bool, LeaseError> {
        won(self.leases.replace(NAME, &PostParams::default(), &lease).await)
    }

    fn pace(&self) -> Duration {
        self.duration / 6
    }
}

fn won(written: Result<Lease, kube::Error>) -> Result<bool, LeaseError> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(LeaseError::Kubernetes(Box::new(error))),
    }
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    Seen {
        holder,
        renewed: spec.renew_time,
    }
}

fn decide(seen: Option<&(Seen, Instant)>, us: &str, duration: Duration, now: Instant) -> Step {
    match seen {
        None => Step::Create,
        Some((Seen { holder: None, .. }, _)) => Step::Take,
        Some((
            Seen {
                holder: Some(holder), ..
            },
            _,
        )) if holder == us => Step::Renew,
        Some((_, since)) if now.duration_since(*since) > duration => Step::Take,
        Some(_) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_what_is_free_or_silent_for_the_whole_duration() {
        let duration = Duration::from_secs(15);
        let start = Instant::now();
        let held = |holder: &str| {
            Some((
                Seen {
                    holder: Some(holder.into()),
                    renewed: None,
                },
                start,
            ))
        };
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(decide(None, "a", duration, start), Step::Create);
        let free = Some((
            Seen {
                holder: None,
                renewed: None,
            },
            start,
        ));
        assert_eq!(decide(free.as_ref(), "a", duration, start), Step::Take);
        assert_eq!(decide(held("a").as_ref(), "a", duration, start), Step::Renew);
        assert_eq!(decide(held("b").as_ref(), "a", duration, after(15)), Step::Wait);
        assert_eq!(decide(held("b").as_ref(), "a", duration, after(16)), Step::Take);
    }
}
