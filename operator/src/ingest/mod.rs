//! What devices say, into the database: at least once from them, once in the tables.
//!
//! A message is acknowledged to the broker after the commit that holds it, or when it is refused for good; while
//! Postgres is away nothing is acknowledged, and the broker holds back. Runs on the leader only.

mod message;
mod receipts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use self::message::{Message, Refusal};
use self::receipts::Receipts;
use crate::change::{Change, Changes};
use crate::health::{Dependency, Health};
use crate::metrics::{Drop, Metrics, Sample};
use crate::mqtt::{Deliveries, Delivery, Publisher};
use crate::store::telemetry::{Incoming, Stored};
use crate::store::{self, StoreError};

/// Messages of one transaction.
const BATCH: usize = 500;

/// A commit that takes longer is given up and tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Further ahead a device's epoch is no sign of a restored database but nonsense.
const EPOCH_LEAP: u64 = 1_000_000;

/// Ends the process.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "device {device} knows epoch {seen}, this term is {ours}: the database is older than the fleet; \
         the next term begins above"
    )]
    Behind { device: String, seen: u64, ours: u64 },
}

#[derive(Debug)]
pub struct Ingest {
    pub db: PgPool,
    pub publisher: Publisher,
    pub changes: Changes,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    pub epoch: u64,
}

/// A message on its way, and whether it came from the broker's memory.
#[derive(Debug)]
struct Taken {
    message: Message,
    retained: bool,
}

impl Ingest {
    /// Until `shutdown`, or an error that ends this process's term.
    pub async fn run(
        self,
        mut deliveries: Deliveries,
        shutdown: CancellationToken,
    ) -> Result<(), IngestError> {
        let mut receipts = Receipts::default();
        let mut limiter = Limiter::default();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let batch = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {
                    receipts.send(&self.publisher).await;
                    continue;
                }
                batch = deliveries.next(BATCH) => batch,
            };
            if batch.is_empty() {
                return Ok(());
            }
            let taken = self.take(&batch, &mut limiter);
            let Some(stored) = shutdown
                .run_until_cancelled(self.store(&taken, batch[0].received))
                .await
            else {
                return Ok(());
            };
            receipts.add(&stored?);
            deliveries.ack(&batch).await;
            self.notify(&taken);
        }
    }

    fn take(&self, batch: &[Delivery], limiter: &mut Limiter) -> Vec<Taken> {
        let mut taken = Vec::with_capacity(batch.len());
        for delivery in batch {
            match Message::read(&delivery.topic, &delivery.payload) {
                Ok(message) => taken.push(Taken {
                    message,
                    retained: delivery.retained,
                }),
                Err(refusal) => self.refuse(&delivery.topic, &refusal, limiter),
            }
        }
        taken
    }

    fn refuse(&self, topic: &str, refusal: &Refusal, limiter: &mut Limiter) {
        self.metrics.dropped(refusal.reason);
        if topic.contains("/t/") {
            self.metrics.samples(Sample::dropped, 1);
        }
        if let Some(untold) = limiter.allow(Instant::now()) {
            let topic: String = topic.chars().take(200).collect();
            tracing::warn!(topic, reason = ?refusal.reason, error = %refusal, untold, "dropped a message");
        }
    }

    /// Until all of it is committed, except what the database refuses for good.
    async fn store(&self, taken: &[Taken], oldest: Instant) -> Result<Vec<Stored>, IngestError> {
        match self.commit_patiently(taken, oldest).await {
            Err(IngestError::Store(error)) if error.is_refusal() => {}
            done => return done,
        }
        // One of them is bad: each for itself.
        let mut all = Vec::new();
        for one in taken {
            match self.commit_patiently(std::slice::from_ref(one), oldest).await {
                Ok(stored) => all.extend(stored),
                Err(IngestError::Store(error)) if error.is_refusal() => {
                    self.metrics.dropped(Drop::value);
                    let device = one.message.device().map(ToString::to_string);
                    tracing::warn!(device, %error, "dropped a message that the database refuses");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn commit_patiently(&self, taken: &[Taken], oldest: Instant) -> Result<Vec<Stored>, IngestError> {
        let mut pause = Duration::from_millis(100);
        loop {
            let reason = match tokio::time::timeout(PATIENCE, self.commit(taken)).await {
                Ok(Ok(stored)) => {
                    self.health.up(Dependency::Ingest);
                    self.metrics.oldest_unpersisted.set(0);
                    return Ok(stored);
                }
                Ok(Err(IngestError::Store(error))) if !error.is_refusal() && !error.is_fenced() => {
                    error.to_string()
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => format!("database: no answer within {PATIENCE:?}"),
            };
            self.health.down(
                Dependency::Ingest,
                format!("messages of devices wait for the database: {reason}"),
            );
            self.metrics
                .oldest_unpersisted
                .set(oldest.elapsed().as_secs() as i64);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(3));
        }
    }

    async fn commit(&self, taken: &[Taken]) -> Result<Vec<Stored>, IngestError> {
        // Before the transaction: it holds the row that this may have to change.
        for Taken { message, .. } in taken {
            if let Message::Reported(reported) = message {
                self.check_epoch(reported).await?;
            }
        }
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        store::leadership::fence(&mut tx, self.epoch).await?;
        let mut telemetry: Vec<Incoming> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for Taken { message, retained } in taken {
            if let Some(device) = message.device().filter(|_| !retained) {
                seen.push(device.to_string());
            }
            match message {
                Message::Reported(reported) => {
                    store::devices::record_reported(&mut tx, reported).await?;
                    store::rollouts::apply_progress(&mut tx, reported).await?;
                }
                Message::Presence(site, presence) => {
                    if !store::devices::record_presence(&mut tx, site, presence).await? {
                        tracing::debug!(device = %presence.device, "ignored a stale presence");
                    }
                }
                Message::Profile(response) => {
                    store::profiles::record(&mut tx, response).await?;
                }
                Message::Telemetry(incoming) => telemetry.push(incoming.clone()),
                Message::Ack(ack) => {
                    let applied = store::rollouts::apply_ack(&mut tx, ack).await?;
                    tracing::debug!(device = %ack.device, rollout = ack.rollout, phase = ?ack.phase, ?applied, "ack");
                }
                Message::Event(..) | Message::Cleared => {}
            }
        }
        let stored = if telemetry.is_empty() {
            Vec::new()
        } else {
            store::telemetry::insert(&mut tx, &telemetry).await?
        };
        seen.sort_unstable();
        seen.dedup();
        store::devices::seen(&mut tx, &seen).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.metrics
            .samples(Sample::stored, stored.iter().map(|s| s.stored).sum());
        self.metrics
            .samples(Sample::duplicate, stored.iter().map(|s| s.duplicates).sum());
        Ok(stored)
    }

    /// Devices refuse orders of a lower epoch than they know: a restored database must catch up.
    async fn check_epoch(&self, reported: &protocol::reported::Reported) -> Result<(), IngestError> {
        let known = reported
            .progress
            .as_ref()
            .map_or(0, |progress| progress.order.epoch);
        if known <= self.epoch || known > self.epoch + EPOCH_LEAP {
            return Ok(());
        }
        store::leadership::raise(&self.db, known).await?;
        Err(IngestError::Behind {
            device: reported.device.to_string(),
            seen: known,
            ours: self.epoch,
        })
    }

    fn notify(&self, taken: &[Taken]) {
        for Taken { message, .. } in taken {
            match message {
                Message::Reported(_) | Message::Presence(..) => self.changes.notify(Change::Device),
                Message::Ack(_) => self.changes.notify(Change::Ack),
                Message::Profile(_) => self.changes.notify(Change::Profile),
                Message::Event(device, text) => {
                    tracing::info!(%device, event = text.chars().take(500).collect::<String>(), "device event");
                }
                Message::Telemetry(_) | Message::Cleared => {}
            }
        }
    }
}

/// One line in ten seconds, with the number of those left out.
#[derive(Debug, Default)]
struct Limiter {
    last: Option<Instant>,
    untold: u64,
}

impl Limiter {
    fn allow(&mut self, now: Instant) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < Duration::from_secs(10))
        {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests;
