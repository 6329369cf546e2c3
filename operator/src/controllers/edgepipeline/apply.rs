//! Performs a plan: rows and documents in one transaction, then the broker, then events.
//!
//! Makes no choice. A plan made on rows that have changed since is refused as a whole and made anew.

use protocol::desired::Desired;
use protocol::id::{DeviceId, SiteId};
use protocol::topic::{Channel, Topic};
use sqlx::{PgConnection, PgPool};

use super::plan::Planned;
use super::{Error, Shared};
use crate::mqtt::PublishError;
use crate::store::desired::{self, Draft};
use crate::store::{StoreError, leadership, revisions, rollouts};

/// A document as it goes to the broker.
pub type Outgoing = (DeviceId, SiteId, Option<Desired>);

/// What came of a plan besides what it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// The revision was never there before.
    pub new_revision: bool,
}

pub async fn apply(shared: &Shared, planned: Option<&Planned>, orphans: &[Draft]) -> Result<Applied, Error> {
    let (applied, outgoing) = store(&shared.ctx.db, shared.ctx.epoch, planned, orphans).await?;
    for document in &outgoing {
        if let Err(error) = publish(shared, document).await {
            // The table holds what is wanted; all of it is sent again.
            tracing::warn!(%error, "can't publish a desired document now; all are published again");
            shared.resend.notify_one();
        }
    }
    Ok(applied)
}

/// All rows and documents in one transaction, or nothing; no transaction where nothing changes.
pub async fn store(
    db: &PgPool,
    epoch: u64,
    planned: Option<&Planned>,
    orphans: &[Draft],
) -> Result<(Applied, Vec<Outgoing>), Error> {
    let (mut applied, mut outgoing) = (Applied::default(), Vec::new());
    let changed = planned.filter(|p| p.begin.is_some() || !p.plan.changes_nothing(&p.facts));
    if changed.is_none() && orphans.is_empty() {
        return Ok((applied, outgoing));
    }
    let mut tx = db.begin().await.map_err(StoreError::from)?;
    leadership::fence(&mut tx, epoch).await?;
    rollouts::lock(&mut tx).await?;
    for orphan in orphans {
        outgoing.push(desired::write(&mut tx, epoch, orphan.clone()).await?);
    }
    if let Some(planned) = changed {
        applied.new_revision = write(&mut tx, epoch, planned, &mut outgoing).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok((applied, outgoing))
}

/// Clears the documents of a pipeline that is gone.
pub async fn clear(shared: &Shared, pipeline: &str) -> Result<(), Error> {
    let ctx = &shared.ctx;
    let mut tx = ctx.db.begin().await.map_err(StoreError::from)?;
    leadership::fence(&mut tx, ctx.epoch).await?;
    rollouts::lock(&mut tx).await?;
    rollouts::end(&mut tx, pipeline).await?;
    let mut outgoing = Vec::new();
    for last in desired::relevant(&mut tx, pipeline, &[])
        .await?
        .into_iter()
        .filter(|w| w.document.is_some())
    {
        let draft = Draft {
            device: last.device,
            site: last.site,
            pipeline: last.pipeline,
            rollout: last.rollout,
            attempt: last.attempt,
            document: None,
            settled: true,
        };
        outgoing.push(desired::write(&mut tx, ctx.epoch, draft).await?);
    }
    tx.commit().await.map_err(StoreError::from)?;
    for document in &outgoing {
        if publish(shared, document).await.is_err() {
            shared.resend.notify_one();
        }
    }
    Ok(())
}

/// Queues one retained document; an empty message clears it.
pub async fn publish(shared: &Shared, (device, site, document): &Outgoing) -> Result<(), Error> {
    let topic = Topic::new(site, device, Channel::Desired);
    let bytes = match document {
        Some(document) => protocol::to_bytes(document).map_err(Error::Document)?,
        None => Vec::new(),
    };
    match shared.ctx.mqtt.publish(&topic, bytes, true, None).await {
        Ok(()) => Ok(()),
        Err(error @ (PublishError::QueueFull { .. } | PublishError::TooLarge { .. })) => Err(error.into()),
    }
}

async fn write(
    conn: &mut PgConnection,
    epoch: u64,
    planned: &Planned,
    outgoing: &mut Vec<Outgoing>,
) -> Result<bool, Error> {
    let Planned {
        begin,
        facts,
        plan,
        documents,
        first,
        from_revision: _,
    } = planned;
    let mut new_revision = false;
    if let Some((new, content)) = begin {
        new_revision = revisions::record(conn, &new.pipeline, &plan.rollout.revision, content).await?;
        rollouts::begin(conn, new, &plan.rollout).await?;
    }
    if begin.is_some() || plan.rollout != facts.rollout || plan.waves != facts.waves {
        rollouts::save(conn, &plan.rollout, &plan.waves).await?;
    }
    for (device, row) in &plan.rows {
        let was = facts
            .devices
            .iter()
            .find(|d| d.id == *device)
            .and_then(|d| d.row.as_ref());
        if !rollouts::save_row(conn, &plan.rollout.uid, device, was, row).await? {
            return Err(Error::Overtaken {
                device: device.clone(),
            });
        }
    }
    for device in first {
        rollouts::keep_previous(conn, &plan.rollout.uid, device).await?;
    }
    for document in documents {
        outgoing.push(desired::write(conn, epoch, document.clone()).await?);
    }
    Ok(new_revision)
}
