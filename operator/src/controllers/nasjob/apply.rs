//! Carries a plan out, in an order that is safe to be broken off anywhere: what another step relies on comes first.

use crds::nasjob::NasJob;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Resource as _, ResourceExt as _};
use protocol::profile::{ProfileFile, ProfileRequest};
use protocol::topic::{Channel, Topic};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Error;
use super::job::{Owner, secret, token_hash};
use super::measure::{Ask, Wanted};
use super::plan::{Plan, StudyChange};
use super::status::status;
use crate::context::Context;
use crate::metrics::Kind;
use crate::store::profiles::NewRequest;
use crate::store::{StoreError, leadership, models, profiles, records, studies, trials};

const MANAGER: &str = "haizen-operator";

/// What could not be done because another search was first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    pub deferred: bool,
}

pub async fn apply(ctx: &Context, nas: &NasJob, owner: &Owner, plan: &Plan) -> Result<Applied, Error> {
    // Pods that nobody needs stop before their trials are given to others.
    for name in &plan.delete_jobs {
        delete_job(ctx, owner, name).await?;
    }
    let told = write_rows(ctx, owner, plan).await?;
    if let Some(StudyChange::Tell(said)) = &plan.study {
        for one in said {
            ctx.metrics.learned(one.learned);
        }
    }
    let mut applied = Applied::default();
    for ask in &plan.asks {
        applied.deferred |= !send(ctx, owner, ask).await?;
    }
    if plan.token {
        ensure_token(ctx, owner).await?;
    }
    if let Some(job) = &plan.pods {
        applied.deferred |= !start(ctx, owner, job).await?;
    }
    // Events come last: they tell of what is done.
    let object = nas.object_ref(&());
    if !applied.deferred {
        for event in &plan.events {
            ctx.recorder
                .publish(&object, &event.reason, event.note.clone(), event.warning)
                .await;
        }
    }
    for (id, event) in &plan.announce {
        if told.contains(id) {
            ctx.recorder
                .publish(&object, &event.reason, event.note.clone(), event.warning)
                .await;
        }
    }
    Ok(applied)
}

/// Writes the status if it differs from the one that is there.
pub async fn write_status(
    ctx: &Context,
    nas: &NasJob,
    plan: &Plan,
    now: jiff::Timestamp,
) -> Result<(), Error> {
    let generation = nas.metadata.generation.unwrap_or_default();
    let new = status(nas.status.as_ref(), &plan.report, generation, now);
    if nas.status.as_ref() == Some(&new) {
        return Ok(());
    }
    let api: Api<NasJob> = Api::namespaced(ctx.client.clone(), &nas.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": NasJob::api_version(&()),
        "kind": NasJob::kind(&()),
        "metadata": {"name": nas.name_any(), "uid": nas.metadata.uid},
        "status": new,
    });
    let params = PatchParams::apply(MANAGER).force();
    match api
        .patch_status(&nas.name_any(), &params, &Patch::Apply(&patch))
        .await
    {
        Ok(_) => ctx.metrics.status_written(Kind::NasJob),
        // Deleted meanwhile.
        Err(kube::Error::Api(error)) if error.code == 404 => {}
        Err(source) => {
            return Err(Error::Kube {
                step: "write the status",
                source,
            });
        }
    }
    Ok(())
}

/// One transaction for all rows; gives the trials whose end nobody has told yet.
async fn write_rows(ctx: &Context, owner: &Owner, plan: &Plan) -> Result<Vec<String>, Error> {
    let Plan {
        study,
        expire,
        want,
        cancel,
        announce,
        ..
    } = plan;
    let mut told = Vec::new();
    if study.is_none() && expire.is_empty() && want.is_empty() && cancel.is_empty() && announce.is_empty() {
        return Ok(told);
    }
    let mut tx = ctx.db.begin().await.map_err(StoreError::from)?;
    leadership::fence(&mut tx, ctx.epoch).await?;
    for id in cancel {
        trials::cancel(&mut tx, id).await?;
    }
    if let Some(change) = study {
        write_study(&mut tx, owner, change).await?;
    }
    for id in expire {
        profiles::expire(&mut tx, id).await?;
    }
    for new in want {
        trials::want(&mut tx, new).await?;
    }
    for (id, _) in announce {
        if trials::announce(&mut tx, id).await? {
            told.push(id.clone());
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(told)
}

pub async fn write_study(
    conn: &mut PgConnection,
    owner: &Owner,
    change: &StudyChange,
) -> Result<(), StoreError> {
    match change {
        StudyChange::Begin { new, forgive } => {
            studies::begin(conn, new).await?;
            for class in forgive {
                profiles::forgive(conn, class).await?;
            }
        }
        StudyChange::Generation(generation) => studies::set_generation(conn, owner.uid, *generation).await?,
        StudyChange::Shortlist(shortlist) => {
            studies::set_shortlist(conn, owner.uid, Some(&json!(shortlist))).await?;
        }
        StudyChange::Basis(basis) => studies::set_basis(conn, owner.uid, Some(&json!(basis))).await?,
        StudyChange::Ask(rows) => records::ask(conn, owner.uid, rows).await?,
        StudyChange::Tell(said) => {
            for one in said {
                records::tell(conn, owner.uid, &one.target, one.trial, &one.feedback).await?;
            }
        }
        StudyChange::Forget => {
            studies::set_shortlist(conn, owner.uid, None).await?;
            studies::set_basis(conn, owner.uid, None).await?;
            records::forget(conn, owner.uid).await?;
        }
        StudyChange::Attempt(attempt) => studies::set_attempt(conn, owner.uid, *attempt).await?,
        StudyChange::Finish { outcome, models } => {
            for (model, latency) in models {
                models::record(conn, model).await?;
                models::record_latency(conn, latency).await?;
            }
            studies::finish(conn, owner.uid, &json!(outcome)).await?;
        }
    }
    Ok(())
}

/// Written down first: if the message is lost with this process, its deadline brings it again. `false`: others
/// were first.
async fn send(ctx: &Context, owner: &Owner, ask: &Ask) -> Result<bool, Error> {
    let Ask {
        device,
        files,
        plan,
        deadline,
    } = ask;
    let request = NewRequest {
        id: Uuid::new_v4().to_string(),
        job: owner.uid,
        class: device.place.class.clone(),
        runtime_hash: device.place.runtime_hash.clone(),
        device: device.id.to_string(),
        boot_id: Some(device.boot_id),
        files: files
            .iter()
            .map(|file| (file.sha256.clone(), file.key.clone()))
            .collect(),
        deadline: *deadline,
    };
    let mut tx = ctx.db.begin().await.map_err(StoreError::from)?;
    leadership::fence(&mut tx, ctx.epoch).await?;
    studies::lock(&mut tx).await?;
    let room = studies::measuring(&mut tx).await? < ctx.config.profile_concurrency.max(1);
    if !room
        || studies::training(&mut tx, owner.uid).await?.is_some()
        || !profiles::ask(&mut tx, &request).await?
    {
        return Ok(false);
    }
    tx.commit().await.map_err(StoreError::from)?;
    let message = ProfileRequest {
        version: protocol::VERSION,
        id: request.id,
        files: files.iter().map(file).collect(),
        plan: *plan,
    };
    let topic = Topic::new(&device.site, &device.id, Channel::ProfileRequest);
    let bytes = protocol::to_bytes(&message).map_err(Error::Message)?;
    let patience = deadline.duration_since(jiff::Timestamp::now());
    let expiry = std::time::Duration::try_from(patience).unwrap_or_default();
    ctx.mqtt.publish(&topic, bytes, false, Some(expiry)).await?;
    Ok(true)
}

fn file(wanted: &Wanted) -> ProfileFile {
    ProfileFile {
        sha256: wanted.sha256.clone(),
        content: wanted.content.clone(),
    }
}

/// The Secret is the truth: the database follows it, so that a stop between the two heals.
async fn ensure_token(ctx: &Context, owner: &Owner) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &owner.namespace);
    let name = super::job::secret_name(owner);
    let known = api.get_opt(&name).await.map_err(|source| Error::Kube {
        step: "read the trainers' Secret",
        source,
    })?;
    let of_us = |secret: &Secret| {
        secret
            .owner_references()
            .iter()
            .any(|o| o.uid == owner.uid.to_string())
    };
    let hash = match known {
        Some(secret) if of_us(&secret) => secret
            .data
            .and_then(|data| Some(token_hash(&data.get(super::job::TOKEN_KEY)?.0))),
        Some(_) => return Err(Error::SecretTaken { name }),
        None => None,
    };
    let hash = if let Some(hash) = hash {
        hash
    } else {
        // 244 bits of the system's randomness.
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let params = PatchParams::apply(MANAGER).force();
        api.patch(&name, &params, &Patch::Apply(secret(owner, &token)))
            .await
            .map_err(|source| Error::Kube {
                step: "write the trainers' Secret",
                source,
            })?;
        token_hash(token.as_bytes())
    };
    let mut tx = ctx.db.begin().await.map_err(StoreError::from)?;
    leadership::fence(&mut tx, ctx.epoch).await?;
    studies::set_token(&mut tx, owner.uid, &hash).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// `false`: a device measures, so nobody may train yet.
async fn start(ctx: &Context, owner: &Owner, job: &Job) -> Result<bool, Error> {
    let mut tx = ctx.db.begin().await.map_err(StoreError::from)?;
    leadership::fence(&mut tx, ctx.epoch).await?;
    studies::lock(&mut tx).await?;
    if studies::measuring(&mut tx).await? > 0 {
        return Ok(false);
    }
    studies::set_pods(&mut tx, owner.uid).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let api: Api<Job> = Api::namespaced(ctx.client.clone(), &owner.namespace);
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&job.name_any(), &params, &Patch::Apply(job))
        .await
        .map_err(|source| Error::Kube {
            step: "create the trainer Job",
            source,
        })?;
    Ok(true)
}

async fn delete_job(ctx: &Context, owner: &Owner, name: &str) -> Result<(), Error> {
    let api: Api<Job> = Api::namespaced(ctx.client.clone(), &owner.namespace);
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(error)) if error.code == 404 => Ok(()),
        Err(source) => Err(Error::Kube {
            step: "delete a trainer Job",
            source,
        }),
    }
}
