//! Desired documents at the broker: published again whenever it may have lost them, and cleared where the
//! pipeline is gone. A document is read and published while nobody plans, so that no older one overtakes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;

use super::apply::{self, Outgoing};
use super::{Error, LOOK, Shared, ownership};
use crate::change::Change;
use crate::store::desired;

/// Documents published at once.
const PAGE: i64 = 100;
/// After a full queue or a database that is away.
const REST: Duration = Duration::from_secs(1);

/// Until it is aborted.
pub async fn run(shared: Arc<Shared>) {
    let mut broker = Box::pin(shared.ctx.changes.subscribe(&[Change::Broker]));
    // Asked again and again: the store wakes only the last of several who wait for it, and the controller waits too.
    while tokio::time::timeout(REST, shared.pipelines.wait_until_ready())
        .await
        .is_err()
    {}
    loop {
        while let Err(error) = everything(&shared).await {
            tracing::warn!(%error, "can't publish all desired documents; trying again");
            tokio::time::sleep(REST).await;
        }
        loop {
            tokio::select! {
                _ = broker.next() => break,
                () = shared.resend.notified() => break,
                () = tokio::time::sleep(LOOK) => {
                    if let Err(error) = clear_strays(&shared).await {
                        tracing::warn!(%error, "can't look for devices that run what they shouldn't");
                    }
                }
            }
        }
    }
}

/// An empty message is published again until the device says that it runs nothing.
async fn clear_strays(shared: &Shared) -> Result<(), Error> {
    let _planning = shared.planning.lock().await;
    for (device, site) in desired::strays(&shared.ctx.db).await? {
        apply::publish(shared, &(device, site, None)).await?;
    }
    Ok(())
}

async fn everything(shared: &Shared) -> Result<(), Error> {
    clear_orphans(shared).await?;
    let (mut after, mut documents) = (String::new(), 0);
    loop {
        let planning = shared.planning.lock().await;
        let page = desired::page(&shared.ctx.db, &after, PAGE).await?;
        let Some(last) = page.last() else {
            tracing::info!(documents, "published all desired documents");
            return Ok(());
        };
        documents += page.len();
        after = last.device.to_string();
        for written in page {
            let document: Outgoing = (written.device, written.site, written.document);
            while let Err(error) = apply::publish(shared, &document).await {
                match error {
                    Error::Publish(crate::mqtt::PublishError::QueueFull { .. }) => {
                        tokio::time::sleep(REST).await;
                    }
                    error => return Err(error),
                }
            }
        }
        drop(planning);
    }
}

/// Pipelines that went while no operator was there, or without one having cleared their devices.
async fn clear_orphans(shared: &Shared) -> Result<(), Error> {
    let there: BTreeSet<_> = shared
        .pipelines
        .state()
        .iter()
        .map(|p| ownership::key(p))
        .collect();
    let _planning = shared.planning.lock().await;
    let watched = shared.ctx.config.watch_namespace.as_deref();
    for pipeline in desired::pipelines(&shared.ctx.db).await? {
        let ours = watched.is_none_or(|namespace| pipeline.starts_with(&format!("{namespace}/")));
        if ours && !there.contains(&pipeline) {
            tracing::info!(pipeline, "clears the devices of a pipeline that is gone");
            apply::clear(shared, &pipeline).await?;
        }
    }
    Ok(())
}
