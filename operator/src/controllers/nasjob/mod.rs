//! Controller of NasJob: searches a model for each target, under its bounds, on measured latencies.
//!
//! Five steps, of which only the first and the last two touch the world. Which event woke it doesn't matter.

mod apply;
mod basis;
mod facts;
mod job;
mod measure;
mod observe;
mod outcome;
mod plan;
mod searching;
mod select;
mod shortlist;
mod stages;
mod status;
#[cfg(test)]
mod stories;
mod target;
mod training;
mod validate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::nasjob::NasJob;
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use crate::blobs::BlobError;
use crate::change::Change;
use crate::context::Context;
use crate::metrics::{Kind, Outcome};
use crate::mqtt::PublishError;
use crate::store::{StoreError, profiles, studies, trials};

/// Looked at so often even if nothing is heard: a trainer's request may land on another replica.
const LOOK: Duration = Duration::from_secs(30);
/// A finished or refused one waits for its spec, or its devices, to change.
const REST: Duration = Duration::from_mins(5);
/// What another search was first to do is tried again.
const DEFERRED: Duration = Duration::from_secs(2);
/// How often rows of deleted resources are looked for.
const SWEEP: Duration = Duration::from_mins(10);

/// Which step failed, on what.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("can't {step}: {source}")]
    Kube { step: &'static str, source: kube::Error },
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("can't ask a device: {0}")]
    Publish(#[from] PublishError),
    #[error("can't write a message: {0}")]
    Message(protocol::WireError),
    #[error("Secret {name} is there and not ours: delete or rename it, the trainer's token goes there")]
    SecretTaken { name: String },
    #[error("the plan could not be made: {0}")]
    Plan(tokio::task::JoinError),
}

/// Reconciles until `shutdown` is cancelled.
pub async fn run(ctx: Context, shutdown: CancellationToken) {
    let ours: Api<NasJob> = api(&ctx);
    let jobs: Api<Job> = api(&ctx);
    let changes = ctx
        .changes
        .subscribe(&[Change::Device, Change::Profile, Change::Trial, Change::Broker]);
    let sweeper = tokio::spawn(sweep(ctx.clone(), shutdown.clone()));
    Controller::new(ours, watcher::Config::default())
        .owns(
            jobs,
            watcher::Config::default().labels("app.kubernetes.io/name=haizen-trainer"),
        )
        .reconcile_all_on(changes)
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(reconcile, |nas, error, _| failed(&nas, error), Arc::new(ctx))
        .for_each(|_| std::future::ready(()))
        .await;
    sweeper.abort();
}

async fn reconcile(nas: Arc<NasJob>, ctx: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let result = steps(&nas, &ctx).await;
    let outcome = if result.is_ok() {
        Outcome::success
    } else {
        Outcome::error
    };
    ctx.metrics.reconciled(Kind::NasJob, outcome, started.elapsed());
    result
}

async fn steps(nas: &NasJob, ctx: &Context) -> Result<Action, Error> {
    if nas.metadata.deletion_timestamp.is_some() {
        // Its Jobs and its Secret go with it; its rows with the next sweep.
        return Ok(Action::await_change());
    }
    let owner = job::Owner {
        namespace: nas.namespace().unwrap_or_default(),
        name: nas.name_any(),
        uid: validate::uid(nas).unwrap_or_default(),
    };
    let facts = observe::observe(ctx, nas, &owner).await?;
    let now = facts.now;
    let validated = validate::validate(nas, &ctx.config.trainer_image);
    // A search takes a moment: not on the thread that answers others.
    let plan = tokio::task::spawn_blocking(move || {
        let planned = validated.and_then(|v| plan::plan(&v, &facts));
        planned.unwrap_or_else(|refusal| plan::refused(&refusal, &facts))
    })
    .await
    .map_err(Error::Plan)?;
    let applied = apply::apply(ctx, nas, &owner, &plan).await?;
    apply::write_status(ctx, nas, &plan, now).await?;
    if matches!(plan.study, Some(plan::StudyChange::Finish { .. })) {
        ctx.changes.notify(Change::Model);
    }
    Ok(Action::requeue(next(&plan, applied, now)))
}

/// When to look again if nothing is heard.
fn next(plan: &plan::Plan, applied: apply::Applied, now: jiff::Timestamp) -> Duration {
    if plan.again() {
        return Duration::ZERO;
    }
    if applied.deferred {
        return DEFERRED;
    }
    match (&plan.report, plan.wake_at) {
        (plan::Report::Working { .. }, Some(at)) => {
            // A little late, so that what is due is due.
            let until = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            (until + Duration::from_millis(50)).min(LOOK)
        }
        (plan::Report::Working { .. }, None) => LOOK,
        (plan::Report::Ended(_) | plan::Report::Refused { .. }, _) => REST,
    }
}

fn failed(nas: &NasJob, error: &Error) -> Action {
    tracing::warn!(namespace = nas.namespace(), name = nas.name_any(), %error, "NasJob: reconcile failed");
    Action::requeue(Duration::from_secs(5))
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

/// Removes rows of resources that are gone, and requests nobody looks at any more.
async fn sweep(ctx: Context, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = sweep_once(&ctx).await {
            tracing::warn!(%error, "can't sweep the searches");
        }
    }
}

async fn sweep_once(ctx: &Context) -> Result<(), Error> {
    let there = api::<NasJob>(ctx)
        .list(&kube::api::ListParams::default())
        .await
        .map_err(|source| Error::Kube {
            step: "list the NasJobs",
            source,
        })?;
    let uids: Vec<_> = there.items.iter().filter_map(validate::uid).collect();
    let namespace = ctx.config.watch_namespace.as_deref();
    let mut conn = ctx.db.acquire().await.map_err(StoreError::from)?;
    for digest in trials::drop_checkpoints_except(&mut conn, &uids, namespace).await? {
        ctx.blobs.delete(&digest).await?;
    }
    drop(conn);
    let gone = studies::retain(&ctx.db, &uids, namespace).await?;
    let old = profiles::sweep(&ctx.db).await?;
    if gone + old > 0 {
        tracing::info!(searches = gone, requests = old, "swept");
    }
    Ok(())
}
