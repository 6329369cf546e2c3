//! Controller of EdgePipeline: brings a graph and its models to the devices, wave by wave.
//!
//! Five steps, of which only the first and the last two touch the world. Which event woke it doesn't matter.

mod apply;
mod artifacts;
mod events;
mod finalize;
mod observe;
mod ownership;
mod plan;
mod resend;
mod status;
#[cfg(test)]
mod stories;
mod validate;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::edgepipeline::EdgePipelineStatus;
use crds::{EdgePipeline, NasJob};
use futures::{StreamExt as _, stream};
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::Store;
use kube::runtime::{Controller, WatchStreamExt as _, reflector, watcher};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::blobs::BlobError;
use crate::change::Change;
use crate::context::Context;
use crate::metrics::{Kind, Outcome};
use crate::mqtt::PublishError;
use crate::store::StoreError;
use artifacts::Artifacts;

/// Owner of every field this controller writes.
const MANAGER: &str = "haizen-edgepipeline";
/// Looked at so often even if nothing is heard: a message may be lost.
const LOOK: Duration = Duration::from_secs(30);
/// Counts of a status that change fast are written at most so often; conditions at once.
const STATUS_REST: Duration = Duration::from_secs(1);

/// Which step failed, on what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("can't {step}: {source}")]
    Kube { step: &'static str, source: kube::Error },
    #[error("can't publish: {0}")]
    Publish(#[from] PublishError),
    #[error("can't write a document: {0}")]
    Document(protocol::WireError),
    #[error("{device} took a step while its next one was planned")]
    Overtaken { device: String },
}

/// What reconciles share.
pub(crate) struct Shared {
    ctx: Context,
    pipelines: Store<EdgePipeline>,
    nas_jobs: Store<NasJob>,
    artifacts: Artifacts,
    /// One pipeline plans at a time: they compete for devices and for places of sites.
    planning: tokio::sync::Mutex<()>,
    /// All documents are to be published again.
    resend: Notify,
    /// Another pipeline came, changed or went: devices may have changed hands.
    claims: Notify,
    /// What was written last, by uid: the cache of the API server's state lags behind.
    written: Mutex<HashMap<String, Written>>,
}

#[derive(Clone)]
struct Written {
    generation: i64,
    status: EdgePipelineStatus,
    at: Instant,
}

/// Reconciles until `shutdown` is cancelled.
pub async fn run(ctx: Context, shutdown: CancellationToken) {
    let nas_api: Api<NasJob> = api(&ctx);
    let (nas_jobs, writer) = reflector::store();
    let nas_changes = reflector(writer, watcher(nas_api, watcher::Config::default()))
        .default_backoff()
        .touched_objects()
        .map(|_| ());
    let changes = ctx
        .changes
        .subscribe(&[Change::Device, Change::Ack, Change::Model]);
    let controller = Controller::new(api::<EdgePipeline>(&ctx), watcher::Config::default());
    let shared = Arc::new(Shared {
        artifacts: Artifacts::new(ctx.blobs.clone(), ctx.changes.clone(), ctx.config.max_blob),
        pipelines: controller.store(),
        nas_jobs,
        planning: tokio::sync::Mutex::default(),
        resend: Notify::new(),
        claims: Notify::new(),
        written: Mutex::default(),
        ctx,
    });
    let resending = tokio::spawn(resend::run(shared.clone()));
    let claims = stream::unfold(shared.clone(), |shared| async move {
        shared.claims.notified().await;
        Some(((), shared))
    });
    controller
        .reconcile_all_on(changes)
        .reconcile_all_on(nas_changes)
        .reconcile_all_on(claims)
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(reconcile, |pipeline, error, _| failed(&pipeline, error), shared)
        .for_each(|_| std::future::ready(()))
        .await;
    resending.abort();
}

async fn reconcile(pipeline: Arc<EdgePipeline>, shared: Arc<Shared>) -> Result<Action, Error> {
    let started = Instant::now();
    let result = steps(&pipeline, &shared).await;
    let outcome = if result.is_ok() {
        Outcome::success
    } else {
        Outcome::error
    };
    shared
        .ctx
        .metrics
        .reconciled(Kind::EdgePipeline, outcome, started.elapsed());
    result
}

async fn steps(pipeline: &EdgePipeline, shared: &Shared) -> Result<Action, Error> {
    if pipeline.metadata.deletion_timestamp.is_some() {
        return finalize::finalize(shared, pipeline).await;
    }
    finalize::guard(shared, pipeline).await?;
    let resources = observe::resources(shared, pipeline).await?;
    let validated = validate::validate(pipeline, &resources);

    let planning = shared.planning.lock().await;
    let others = observe::other_claims(shared, pipeline);
    let silence = shared.ctx.config.device_silence();
    let stored = observe::stored(&shared.ctx.db, silence, others, pipeline).await?;
    let content = validated
        .as_ref()
        .ok()
        .map(|v| &v.content)
        .or(stored.content.as_ref());
    let fleet = plan::fleet(pipeline, content, &stored);
    let planned = plan::plan(pipeline, &validated, &fleet, &stored);
    let applied = apply::apply(shared, planned.as_ref(), &fleet.orphans).await?;
    drop(planning);

    let refused = validated
        .as_ref()
        .err()
        .and_then(|refusal| events::of_refusal(pipeline, refusal));
    let said: Vec<_> = planned
        .iter()
        .flat_map(|p| events::of_plan(p, applied))
        .chain(refused)
        .collect();
    events::publish(shared, pipeline, &said).await;
    let told = status::Told {
        generation: pipeline.metadata.generation.unwrap_or_default(),
        now: stored.now,
        policy: &pipeline.spec.rollout,
        validated: &validated,
        fleet: &fleet,
        planned: planned.as_ref(),
    };
    let rest = write_status(shared, pipeline, &told).await?;
    Ok(Action::requeue(
        next(planned.as_ref(), stored.now).min(rest.unwrap_or(LOOK)),
    ))
}

/// When to look again if nothing is heard.
fn next(planned: Option<&plan::Planned>, now: jiff::Timestamp) -> Duration {
    let wake_at = planned.and_then(|p| p.plan.wake_at);
    // A little late, so that what is due is due.
    let until = wake_at.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    until.map_or(LOOK, |until| (until + Duration::from_millis(50)).min(LOOK))
}

/// Writes the status if it differs from the one that is there. Answers with how long to wait if it must wait.
async fn write_status(
    shared: &Shared,
    pipeline: &EdgePipeline,
    told: &status::Told<'_>,
) -> Result<Option<Duration>, Error> {
    let uid = pipeline.uid().unwrap_or_default();
    let last = shared
        .written
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&uid)
        .cloned();
    let generation = pipeline.metadata.generation.unwrap_or_default();
    let old = last.as_ref().map(|w| &w.status).or(pipeline.status.as_ref());
    let new = status::status(old, told);
    if old == Some(&new) {
        return Ok(None);
    }
    let flips = old.is_none_or(|old| shape(old) != shape(&new));
    let rested = last.as_ref().is_none_or(|w| w.at.elapsed() >= STATUS_REST);
    if !flips && !rested {
        return Ok(Some(STATUS_REST));
    }
    let patch = json!({
        "apiVersion": EdgePipeline::api_version(&()),
        "kind": EdgePipeline::kind(&()),
        "metadata": {"name": pipeline.name_any(), "uid": uid},
        "status": new,
    });
    let params = PatchParams::apply(MANAGER).force();
    let api = namespaced(shared, pipeline);
    match api
        .patch_status(&pipeline.name_any(), &params, &Patch::Apply(&patch))
        .await
    {
        Ok(_) => shared.ctx.metrics.status_written(Kind::EdgePipeline),
        // Deleted meanwhile.
        Err(kube::Error::Api(error)) if error.code == 404 => return Ok(None),
        Err(source) => {
            return Err(Error::Kube {
                step: "write the status",
                source,
            });
        }
    }
    let mut written = shared.written.lock().unwrap_or_else(PoisonError::into_inner);
    let before = written.insert(
        uid,
        Written {
            generation,
            status: new,
            at: Instant::now(),
        },
    );
    if before.is_none_or(|before| before.generation != generation) {
        shared.claims.notify_one();
    }
    Ok(None)
}

/// What is written at once when it changes.
fn shape(status: &EdgePipelineStatus) -> Vec<(&str, &str, &str, Option<i64>)> {
    let condition = |c| {
        let c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition = c;
        (
            c.type_.as_str(),
            c.status.as_str(),
            c.reason.as_str(),
            c.observed_generation,
        )
    };
    status.conditions.iter().map(condition).collect()
}

fn failed(pipeline: &EdgePipeline, error: &Error) -> Action {
    if let Error::Overtaken { .. } = error {
        return Action::requeue(Duration::from_millis(50));
    }
    let (namespace, name) = (pipeline.namespace(), pipeline.name_any());
    tracing::warn!(namespace, name, %error, "EdgePipeline: reconcile failed");
    Action::requeue(Duration::from_secs(2))
}

fn namespaced(shared: &Shared, pipeline: &EdgePipeline) -> Api<EdgePipeline> {
    Api::namespaced(
        shared.ctx.client.clone(),
        &pipeline.namespace().unwrap_or_default(),
    )
}

fn api<K>(ctx: &Context) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match &ctx.config.watch_namespace {
        Some(namespace) => Api::namespaced(ctx.client.clone(), namespace),
        None => Api::all(ctx.client.clone()),
    }
}
