//! Looks up everything an EdgePipeline refers to, and what is known of its devices. Judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::EdgePipeline;
use crds::edgepipeline::ModelSource;
use crds::nasjob::NasJob;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use protocol::desired::Desired;
use protocol::id::Digest;
use sqlx::{PgConnection, PgPool};

use super::ownership::{self, Claim};
use super::validate::Resources;
use super::{Error, Shared};
use crate::store::desired::Written;
use crate::store::devices::Device;
use crate::store::revisions::Content;
use crate::store::rollouts::Current;
use crate::store::{self, StoreError, desired, devices, revisions, rollouts};

/// What the database knows, at one moment at which no other pipeline plans.
#[derive(Debug, Clone)]
pub struct Stored {
    pub now: Timestamp,
    pub devices: Vec<Device>,
    pub claims: Vec<Claim>,
    pub current: Option<Current>,
    /// Of the current rollout's revision.
    pub content: Option<Content>,
    /// What devices ran before the current rollout reached them.
    pub previous: BTreeMap<String, Desired>,
    /// Documents of the devices this is about, by device.
    pub written: BTreeMap<String, Written>,
    /// Device, site and rollout of every device that is changing, of all pipelines.
    pub changing: Vec<(String, String, String)>,
}

/// Everything outside the database.
pub async fn resources(shared: &Shared, pipeline: &EdgePipeline) -> Result<Resources, Error> {
    let namespace = pipeline.namespace().unwrap_or_default();
    let mut resources = Resources::default();
    for (name, source) in &pipeline.spec.models {
        match source {
            ModelSource::NasJob(nas) => {
                let job = shared
                    .nas_jobs
                    .get(&ObjectRef::<NasJob>::new(&nas.name).within(&namespace));
                for digest in job.as_deref().map(best_models).unwrap_or_default() {
                    if let Some(size) = shared.ctx.blobs.size(&digest).await? {
                        resources.sizes.insert(digest, size);
                    }
                }
                resources.nas_jobs.insert(nas.name.clone(), job);
            }
            ModelSource::Artifact(artifact) => {
                resources
                    .artifacts
                    .insert(name.clone(), shared.artifacts.state(artifact).await?);
            }
        }
    }
    Ok(resources)
}

/// What the other pipelines wish for.
pub fn other_claims(shared: &Shared, pipeline: &EdgePipeline) -> Vec<Claim> {
    let key = ownership::key(pipeline);
    let others = shared.pipelines.state();
    let alive = |other: &&std::sync::Arc<EdgePipeline>| {
        other.metadata.deletion_timestamp.is_none() && ownership::key(other) != key
    };
    others
        .iter()
        .filter(alive)
        .map(|other| Claim::of(other))
        .collect()
}

/// Everything in the database; to be called while no other pipeline plans. `silence`: see [`devices::list`].
pub async fn stored(
    db: &PgPool,
    silence: Duration,
    others: Vec<Claim>,
    pipeline: &EdgePipeline,
) -> Result<Stored, StoreError> {
    let key = ownership::key(pipeline);
    let devices = devices::list(db, silence).await?;
    let claims: Vec<_> = others.into_iter().chain([Claim::of(pipeline)]).collect();
    let mut conn = db.acquire().await?;
    let ids: Vec<_> = devices
        .iter()
        .filter(|device| pipeline.spec.device_selector.matches(&ownership::labels(device)))
        .map(|device| device.device.to_string())
        .collect();
    let mut written = desired::relevant(&mut conn, &key, &ids).await?;
    if repair(&mut conn, &devices, &written).await? {
        written = desired::relevant(&mut conn, &key, &ids).await?;
    }
    let current = rollouts::current(&mut conn, &key).await?;
    let (content, previous) = match &current {
        Some(current) => (
            revisions::get(&mut conn, &key, &current.rollout.revision).await?,
            rollouts::previous(&mut conn, &current.rollout.uid).await?,
        ),
        None => (None, BTreeMap::new()),
    };
    let now = Timestamp::now();
    let policy = &pipeline.spec.rollout;
    let longest = policy.device_timeout.get().saturating_add(policy.bake.get());
    let since = now.checked_sub(longest).unwrap_or(Timestamp::UNIX_EPOCH);
    let changing = desired::changing(&mut conn, since).await?;
    let written = written.into_iter().map(|w| (w.device.to_string(), w)).collect();
    Ok(Stored {
        now,
        devices,
        claims,
        current,
        content,
        previous,
        written,
        changing,
    })
}

/// A device that ran nothing all along has nothing to report when it is told to run nothing.
async fn repair(
    conn: &mut PgConnection,
    devices: &[Device],
    written: &[Written],
) -> Result<bool, StoreError> {
    let mut repaired = false;
    for device in devices.iter().filter(|device| device.reported.active.is_none()) {
        let open = |w: &&Written| w.device == device.device && w.document.is_none() && !w.settled;
        if written.iter().any(|w| open(&w)) {
            let mut tx = sqlx::Connection::begin(&mut *conn).await?;
            store::rollouts::apply_progress(&mut tx, &device.reported).await?;
            tx.commit().await?;
            repaired = true;
        }
    }
    Ok(repaired)
}

fn best_models(job: &NasJob) -> Vec<Digest> {
    let targets = job.status.iter().flat_map(|status| &status.targets);
    targets
        .filter_map(|target| target.best.as_ref()?.model.parse().ok())
        .collect()
}
