//! Fetches everything a plan looks at. No judgement here.
//!
//! Kubernetes comes first: what a Job's ended pods have written is in the rows that are read after it.

use std::collections::{BTreeMap, BTreeSet};

use crds::nasjob::NasJob;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use uuid::Uuid;

use super::Error;
use super::facts::{DeviceFact, Facts, JobFact, JobState, Place, Table};
use super::job::{Owner, TOKEN_KEY, UID_LABEL, secret_name, token_hash};
use crate::context::Context;
use crate::store;
use crate::store::studies::StudyRow;

pub async fn observe(ctx: &Context, nas: &NasJob, owner: &Owner) -> Result<Facts, Error> {
    let jobs = jobs(ctx, owner).await?;
    let study = store::studies::get(&ctx.db, owner.uid).await?;
    let over =
        |study: &StudyRow| study.outcome.is_some() && Some(study.generation) == nas.metadata.generation;
    if study.as_ref().is_some_and(over) {
        // Nothing more is decided on: a fleet's chatter must not cost a finished search anything.
        return rest(ctx, owner, jobs, study).await;
    }
    let token = token(ctx, owner).await?;
    let devices = devices(ctx, nas).await?;
    let mut tables = BTreeMap::new();
    for place in places(&devices, study.as_ref()) {
        let table = Table {
            rows: store::profiles::rows(&ctx.db, &place.class, &place.runtime_hash).await?,
            failures: store::profiles::failures(&ctx.db, &place.class, &place.runtime_hash).await?,
        };
        tables.insert(place, table);
    }
    let classes: BTreeSet<_> = devices.iter().map(|d| d.place.class.as_str()).collect();
    let mut silent = BTreeMap::new();
    for class in classes {
        silent.extend(store::profiles::silent(&ctx.db, class).await?);
    }
    let requests = store::profiles::open_requests(&ctx.db).await?;
    let mut conn = ctx.db.acquire().await.map_err(store::StoreError::from)?;
    Ok(Facts {
        now: store::studies::now(&mut conn).await?,
        devices,
        study,
        tables,
        silent,
        requests,
        trials: store::trials::of_job(&mut conn, owner.uid).await?,
        records: store::records::of_job(&mut conn, owner.uid).await?,
        training: store::studies::training(&mut conn, owner.uid).await?,
        jobs,
        token,
        concurrency: ctx.config.profile_concurrency,
        http_url: ctx.config.http_url.clone(),
    })
}

/// What a finished search is told of by.
async fn rest(
    ctx: &Context,
    owner: &Owner,
    jobs: Vec<JobFact>,
    study: Option<StudyRow>,
) -> Result<Facts, Error> {
    let mut conn = ctx.db.acquire().await.map_err(store::StoreError::from)?;
    Ok(Facts {
        now: store::studies::now(&mut conn).await?,
        trials: store::trials::of_job(&mut conn, owner.uid).await?,
        study,
        jobs,
        ..Facts::default()
    })
}

/// Those that a target means.
async fn devices(ctx: &Context, nas: &NasJob) -> Result<Vec<DeviceFact>, Error> {
    let all = store::devices::list(&ctx.db, ctx.config.device_silence()).await?;
    let meant = |device: &DeviceFact| {
        nas.spec
            .targets
            .iter()
            .any(|t| t.device_selector.matches(&device.labels))
    };
    Ok(all.into_iter().map(DeviceFact::from).filter(meant).collect())
}

/// Where the devices are, and where the search was made.
fn places(devices: &[DeviceFact], study: Option<&StudyRow>) -> BTreeSet<Place> {
    let kept = study.map(|study| [study.basis.as_ref(), study.shortlist.as_ref()]);
    let kept = kept.into_iter().flatten().flatten();
    let searched = kept.filter_map(|kept| kept.get("targets")?.as_array());
    let text =
        |target: &serde_json::Value, key: &str| target.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let searched = searched.flatten().filter_map(|target| {
        Some(Place {
            class: text(target, "class")?,
            runtime_hash: text(target, "runtimeHash")?,
        })
    });
    devices.iter().map(|d| d.place.clone()).chain(searched).collect()
}

async fn jobs(ctx: &Context, owner: &Owner) -> Result<Vec<JobFact>, Error> {
    let api: Api<Job> = Api::namespaced(ctx.client.clone(), &owner.namespace);
    let ours = ListParams::default().labels(&format!("{UID_LABEL}={}", owner.uid));
    let found = api.list(&ours).await.map_err(|source| Error::Kube {
        step: "list the trainer Jobs",
        source,
    })?;
    let alive = found
        .items
        .into_iter()
        .filter(|job| job.metadata.deletion_timestamp.is_none());
    Ok(alive
        .map(|job| JobFact {
            name: job.metadata.name.clone().unwrap_or_default(),
            state: state(&job),
        })
        .collect())
}

fn state(job: &Job) -> JobState {
    let conditions = job
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let holds = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
    if let Some(failed) = holds("Failed") {
        let reason = failed.reason.clone().unwrap_or_default();
        return JobState::Failed(format!(
            "{reason}: {}",
            failed.message.clone().unwrap_or_default()
        ));
    }
    if holds("Complete").is_some() {
        JobState::Complete
    } else {
        JobState::Running
    }
}

async fn token(ctx: &Context, owner: &Owner) -> Result<Option<String>, Error> {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &owner.namespace);
    let found = api
        .get_opt(&secret_name(owner))
        .await
        .map_err(|source| Error::Kube {
            step: "read the trainers' Secret",
            source,
        })?;
    let ours = found.filter(|secret| belongs(secret, owner.uid));
    Ok(ours.and_then(|secret| Some(token_hash(&secret.data?.get(TOKEN_KEY)?.0))))
}

/// A Secret of an earlier NasJob of the same name is on its way out.
fn belongs(secret: &Secret, uid: Uuid) -> bool {
    let owners = secret.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().any(|owner| owner.uid == uid.to_string()) && secret.metadata.deletion_timestamp.is_none()
}
