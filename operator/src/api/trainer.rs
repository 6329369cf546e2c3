//! The trainer's contract (`protocol::trainer`): claims with leases, progress, checkpoints, models, results.
//!
//! Every request carries the token of one job and reaches that job's trials only. Errors are JSON
//! `{code, reason, message, next}`. What a lease means is decided in `store::trials`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use futures::StreamExt as _;
use protocol::id::Digest;
use protocol::trainer::{
    ClaimRequest, JobDocument, Lease, MAX_CHECKPOINT, MAX_TRAINER_MESSAGE, Metrics, Progress, TrialFailure,
    TrialResult,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Api;
use crate::blobs::BlobError;
use crate::change::Change;
use crate::store::trials::{TrialError, TrialRow};
use crate::store::{StoreError, studies, trials};

/// A worker that wasn't heard of for so long loses its trial.
const LEASE: Duration = Duration::from_secs(30);
/// How often a waiting claim looks again by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/trainer/v1/jobs/{job}/claim", post(claim))
        .route("/trainer/v1/trials/{trial}/progress", post(progress))
        .route("/trainer/v1/trials/{trial}/result", post(result))
        .route("/trainer/v1/trials/{trial}/failure", post(failure))
        .layer(DefaultBodyLimit::max(MAX_TRAINER_MESSAGE))
        .route(
            "/trainer/v1/trials/{trial}/checkpoint",
            put(put_checkpoint).get(get_checkpoint),
        )
        .route("/trainer/v1/trials/{trial}/model", put(put_model))
}

/// Why a trainer's request was refused.
#[derive(Debug, thiserror::Error)]
enum TrainerError {
    #[error("the request carries no valid token")]
    Unauthorized,
    #[error("the token is of another job")]
    Forbidden,
    #[error("{0}")]
    BadRequest(String),
    #[error("there is no checkpoint of trial {0}")]
    NoCheckpoint(String),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u16,
    reason: &'a str,
    message: String,
    next: &'a str,
}

impl TrainerError {
    /// Status, CamelCase reason, and what the trainer should do next.
    fn answer(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "Unauthorized",
                "end: the job is over, or its token was replaced and a new pod will have it",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Forbidden",
                "use the job of HAIZEN_JOB and its trials only",
            ),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequest", "correct the request"),
            Self::NoCheckpoint(_) => (StatusCode::NOT_FOUND, "NoCheckpoint", "train from the start"),
            Self::Trial(TrialError::NotFound(_)) => (StatusCode::NOT_FOUND, "TrialNotFound", "claim again"),
            Self::Trial(TrialError::Lost { .. }) => (
                StatusCode::CONFLICT,
                "TrialLost",
                "drop the trial and claim again",
            ),
            Self::Trial(TrialError::ModelMissing { .. }) => (
                StatusCode::CONFLICT,
                "ModelMissing",
                "PUT the model, then send the result again",
            ),
            Self::Trial(TrialError::Store(error)) if error.is_transient() => (
                StatusCode::SERVICE_UNAVAILABLE,
                "DatabaseUnavailable",
                "try again in a few seconds",
            ),
            Self::Blob(BlobError::DigestMismatch { .. }) => (
                StatusCode::BAD_REQUEST,
                "DigestMismatch",
                "send the file again with its SHA-256",
            ),
            Self::Blob(BlobError::Source(_)) => {
                (StatusCode::BAD_REQUEST, "UploadBroken", "send the file again")
            }
            Self::Blob(BlobError::TooLarge { .. }) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "TooLarge",
                "make the file smaller, or raise the operator's limit",
            ),
            Self::Trial(TrialError::Store(_)) | Self::Blob(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal",
                "try again; the operator's log has the cause",
            ),
        }
    }
}

impl IntoResponse for TrainerError {
    fn into_response(self) -> Response {
        let (status, reason, next) = self.answer();
        let message = self.to_string();
        if status.is_server_error() {
            tracing::warn!(error = %message, %status, "trainer's request failed");
        }
        (
            status,
            Json(ErrorBody {
                code: status.as_u16(),
                reason,
                message,
                next,
            }),
        )
            .into_response()
    }
}

impl From<StoreError> for TrainerError {
    fn from(error: StoreError) -> Self {
        Self::Trial(error.into())
    }
}

impl From<sqlx::Error> for TrainerError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<JsonRejection> for TrainerError {
    fn from(error: JsonRejection) -> Self {
        Self::BadRequest(error.body_text())
    }
}

/// The job whose token the request carries.
struct Caller(Uuid);

impl FromRequestParts<Api> for Caller {
    type Rejection = TrainerError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, TrainerError> {
        let value = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = value
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(TrainerError::Unauthorized)?;
        let hash = Digest::of(token.trim().as_bytes());
        let job = studies::job_of_token(&api.db, hash.as_str()).await?;
        job.map(Self).ok_or(TrainerError::Unauthorized)
    }
}

impl Caller {
    async fn trial(&self, conn: &mut PgConnection, id: &str) -> Result<TrialRow, TrainerError> {
        let trial = trials::get(conn, id)
            .await?
            .ok_or_else(|| TrialError::NotFound(id.to_owned()))?;
        if trial.job == self.0 {
            Ok(trial)
        } else {
            Err(TrainerError::Forbidden)
        }
    }
}

type Payload<T> = Result<Json<T>, JsonRejection>;

/// Waits while another worker's lease may be about to run out: a pod that takes a lost one's place must not
/// end for want of work. "Nothing left" is said once every open trial was seen to be renewed.
async fn claim(
    State(api): State<Api>,
    caller: Caller,
    Path(job): Path<String>,
    body: Payload<ClaimRequest>,
) -> Result<Response, TrainerError> {
    let ClaimRequest { worker } = body?.0;
    check_worker(&worker)?;
    if job.parse() != Ok(caller.0) {
        return Err(TrainerError::Forbidden);
    }
    let mut changes = std::pin::pin!(api.changes.subscribe(&[Change::Trial]));
    let mut seen: Option<Vec<(String, jiff::Timestamp)>> = None;
    loop {
        let mut conn = api.db.acquire().await?;
        if let Some(trial) = trials::claim(&mut conn, caller.0, &worker, LEASE).await? {
            let checkpoint = !trials::checkpoints(&mut conn, &trial.id).await?.is_empty();
            tracing::info!(trial = trial.id, worker, "trial claimed");
            api.changes.notify(Change::Trial);
            let lease_seconds = LEASE.as_secs() as u32;
            let document = JobDocument {
                trial: trial.id,
                lease_seconds,
                checkpoint,
                ..trial.document
            };
            return Ok(Json(document).into_response());
        }
        let leases = trials::leases(&mut conn, caller.0).await?;
        drop(conn);
        let first = seen.get_or_insert_with(|| leases.clone());
        let renewed = |id: &str, until| {
            first
                .iter()
                .find(|(known, _)| known == id)
                .is_none_or(|(_, was)| until > *was)
        };
        if leases.iter().all(|(id, until)| renewed(id, *until)) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        tokio::select! {
            _ = changes.next() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn progress(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    body: Payload<Progress>,
) -> Result<Json<Lease>, TrainerError> {
    let progress = body?.0;
    let mut tx = api.db.begin().await?;
    caller.trial(&mut tx, &id).await?;
    trials::renew(&mut tx, &id, &progress, LEASE).await?;
    tx.commit().await?;
    api.changes.notify(Change::Trial);
    Ok(Json(Lease {
        lease_seconds: LEASE.as_secs() as u32,
    }))
}

#[derive(Deserialize)]
struct CheckpointQuery {
    worker: String,
}

async fn put_checkpoint(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<CheckpointQuery>,
    request: Request,
) -> Result<StatusCode, TrainerError> {
    check_worker(&query.worker)?;
    caller.trial(&mut *api.db.acquire().await?, &id).await?;
    let stream = request.into_body().into_data_stream();
    let (digest, size) = api.blobs.put_stream(stream, MAX_CHECKPOINT as u64, None).await?;
    let mut tx = api.db.begin().await?;
    let gone = trials::add_checkpoint(&mut tx, &id, &query.worker, (&digest, size)).await?;
    tx.commit().await?;
    for digest in gone {
        api.blobs.delete(&digest).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The newest that can be read: a damaged one falls back to the one before it.
async fn get_checkpoint(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, TrainerError> {
    let mut conn = api.db.acquire().await?;
    caller.trial(&mut conn, &id).await?;
    for digest in trials::checkpoints(&mut conn, &id).await? {
        match api.blobs.get(&digest).await {
            Ok(bytes) if Digest::of(&bytes) == digest => {
                return Ok((
                    [(header::CONTENT_TYPE, "application/octet-stream")],
                    Body::from(bytes),
                )
                    .into_response());
            }
            Ok(_) => tracing::warn!(trial = id, %digest, "checkpoint is damaged"),
            Err(error) => tracing::warn!(trial = id, %digest, %error, "checkpoint can't be read"),
        }
    }
    Err(TrainerError::NoCheckpoint(id))
}

#[derive(Deserialize)]
struct ModelQuery {
    worker: String,
    sha256: Digest,
}

async fn put_model(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ModelQuery>,
    request: Request,
) -> Result<StatusCode, TrainerError> {
    let ModelQuery { worker, sha256 } = query;
    check_worker(&worker)?;
    caller.trial(&mut *api.db.acquire().await?, &id).await?;
    let stream = request.into_body().into_data_stream();
    let (digest, size) = api
        .blobs
        .put_stream(stream, api.config.max_blob, Some(&sha256))
        .await?;
    let mut tx = api.db.begin().await?;
    trials::set_model(&mut tx, &id, &worker, (&digest, size)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn result(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    body: Payload<TrialResult>,
) -> Result<StatusCode, TrainerError> {
    let result = body?.0;
    check_metrics(&result.metrics)?;
    let mut tx = api.db.begin().await?;
    caller.trial(&mut tx, &id).await?;
    trials::finish(&mut tx, &id, &result).await?;
    let gone = trials::drop_checkpoints(&mut tx, &id).await?;
    tx.commit().await?;
    for digest in gone {
        api.blobs.delete(&digest).await?;
    }
    api.changes.notify(Change::Trial);
    Ok(StatusCode::NO_CONTENT)
}

async fn failure(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    body: Payload<TrialFailure>,
) -> Result<StatusCode, TrainerError> {
    let failure = body?.0;
    let mut tx = api.db.begin().await?;
    caller.trial(&mut tx, &id).await?;
    trials::fail(&mut tx, &id, &failure).await?;
    tx.commit().await?;
    tracing::info!(
        trial = id,
        code = failure.code,
        retryable = failure.retryable,
        "trial failed"
    );
    api.changes.notify(Change::Trial);
    Ok(StatusCode::NO_CONTENT)
}

fn check_worker(worker: &str) -> Result<(), TrainerError> {
    if (1..=253).contains(&worker.len()) && !worker.contains('\0') {
        Ok(())
    } else {
        Err(TrainerError::BadRequest(
            "worker must be the pod's name: 1 to 253 characters".to_owned(),
        ))
    }
}

fn check_metrics(metrics: &Metrics) -> Result<(), TrainerError> {
    let shares = [
        ("accuracy", metrics.accuracy),
        ("validationAccuracy", metrics.validation_accuracy),
    ];
    for (name, share) in shares {
        if !(0.0..=1.0).contains(&share) {
            return Err(TrainerError::BadRequest(format!(
                "metrics.{name} is {share}, not from 0 to 1"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
