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
mod tests {
    use std::sync::Arc;

    use clap::Parser as _;
    use reqwest::{Client, Method};
    use serde_json::{Value, json};

    use super::*;
    use crate::args::{Args, Command};
    use crate::blobs::Blobs;
    use crate::change::Changes;
    use crate::health::Health;
    use crate::metrics::Metrics;
    use crate::store::testing::{TestDb, database};
    use crate::store::trials::tests::{metrics, study};

    /// The true router on a port, a database, and two jobs with the tokens `one` and `two`.
    struct Server {
        address: String,
        db: TestDb,
        _blobs: tempfile::TempDir,
    }

    const ONE: Uuid = Uuid::nil();
    const TWO: Uuid = Uuid::max();

    async fn server() -> Server {
        let db = database().await;
        let mut conn = db.pool.acquire().await.unwrap();
        for (job, token) in [(ONE, "one"), (TWO, "two")] {
            study(&mut conn, job).await;
            studies::set_token(&mut conn, job, Digest::of(token.as_bytes()).as_str())
                .await
                .unwrap();
        }
        drop(conn);
        let folder = tempfile::tempdir().unwrap();
        let args = [
            "operator",
            "run",
            "--database-url",
            "postgres://x",
            "--mqtt-host",
            "x",
        ];
        let Command::Run(config) = Args::try_parse_from(args).unwrap().command else {
            unreachable!()
        };
        let api = Api {
            db: db.pool.clone(),
            blobs: Blobs::in_folder(folder.path()).unwrap(),
            changes: Changes::new(),
            metrics: Arc::new(Metrics::new()),
            health: Health::waiting_for(&[]),
            config: Arc::new(*config),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/trainer/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, super::super::router(api)).await });
        Server {
            address,
            db,
            _blobs: folder,
        }
    }

    impl Server {
        async fn send(&self, method: Method, token: &str, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
            let request = Client::new().request(method, format!("{}/{path}", self.address));
            let request = request
                .bearer_auth(token)
                .header("content-type", "application/json")
                .body(body);
            let response = request.send().await.unwrap();
            (
                response.status().as_u16(),
                response.bytes().await.unwrap().to_vec(),
            )
        }

        async fn post(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
            let (status, body) = self
                .send(Method::POST, token, path, body.to_string().into_bytes())
                .await;
            (status, serde_json::from_slice(&body).unwrap_or_default())
        }

        async fn claim(&self, worker: &str) -> (u16, Value) {
            self.post("one", &format!("jobs/{ONE}/claim"), json!({"worker": worker}))
                .await
        }

        async fn end_leases(&self) {
            let sql = "UPDATE trials SET lease_expires_at = now() + interval '300 milliseconds'";
            sqlx::query(sql).execute(&self.db.pool).await.unwrap();
        }
    }

    fn said((status, body): (u16, Value)) -> String {
        format!("{status} {}", body["reason"].as_str().unwrap_or("-"))
    }

    #[tokio::test]
    async fn a_trial_from_claim_to_result() {
        let server = server().await;
        let (status, document) = server.claim("w1").await;
        assert_eq!(
            (status, document["checkpoint"].as_bool(), &document["epochs"]),
            (200, Some(false), &json!(4))
        );
        let trial = document["trial"].as_str().unwrap();
        let path = |end: &str| format!("trials/{trial}/{end}");
        let (status, body) = server.send(Method::GET, "one", &path("checkpoint"), vec![]).await;
        assert_eq!(
            (
                status,
                serde_json::from_slice::<Value>(&body).unwrap()["reason"].clone()
            ),
            (404, json!("NoCheckpoint"))
        );
        let progress = json!({"worker": "w1", "epoch": 1, "epochs": 4, "fraction": 0.5, "loss": 0.3, "secondsLeft": 5.0});
        assert_eq!(
            server.post("one", &path("progress"), progress).await,
            (200, json!({"leaseSeconds": 30}))
        );
        for content in [b"first".to_vec(), b"second".to_vec()] {
            let put = server
                .send(Method::PUT, "one", &path("checkpoint?worker=w1"), content)
                .await;
            assert_eq!(put.0, 204);
        }
        // The pod is gone: its replacement waits for the end of the lease and goes on where it was.
        server.end_leases().await;
        let (_, again) = server.claim("w2").await;
        let (other, resumed) = if again["trial"] == document["trial"] {
            (None, again)
        } else {
            (Some(again), server.claim("w3").await.1)
        };
        assert_eq!(
            (&resumed["trial"], &resumed["checkpoint"]),
            (&document["trial"], &json!(true)),
            "{other:?}"
        );
        let worker = if other.is_some() { "w3" } else { "w2" };
        let kept = server.send(Method::GET, "one", &path("checkpoint"), vec![]).await;
        assert_eq!(kept, (200, b"second".to_vec()));
        let lost = json!({"worker": "w1", "epoch": 2, "epochs": 4, "fraction": 0.0, "loss": 0.3, "secondsLeft": 5.0});
        assert_eq!(
            said(server.post("one", &path("progress"), lost).await),
            "409 TrialLost"
        );
        let model = Digest::of(b"onnx");
        let result = json!({"worker": worker, "model": model.as_str(), "size": 4, "metrics": metrics(0.9)});
        assert_eq!(
            said(server.post("one", &path("result"), result.clone()).await),
            "409 ModelMissing"
        );
        let put = |bytes: &'static [u8]| {
            let path = path(&format!("model?worker={worker}&sha256={}", model.as_str()));
            let server = &server;
            async move { server.send(Method::PUT, "one", &path, bytes.to_vec()).await }
        };
        let (status, body) = put(b"broken").await;
        assert_eq!(
            (
                status,
                serde_json::from_slice::<Value>(&body).unwrap()["reason"].clone()
            ),
            (400, json!("DigestMismatch"))
        );
        assert_eq!(put(b"onnx").await.0, 204);
        for _ in 0..2 {
            assert_eq!(server.post("one", &path("result"), result.clone()).await.0, 204);
        }
        assert_eq!(put(b"onnx").await.0, 204);
    }

    #[tokio::test]
    async fn a_token_reaches_its_own_job_only() {
        let server = server().await;
        let (a, of_two) = (format!("trials/a-{ONE}"), format!("trials/a-{TWO}"));
        let claim = json!({"worker": "w1"});
        let failure = json!({"worker": "w1", "code": "X", "message": "", "retryable": true});
        let bad =
            json!({"worker": "w1", "model": Digest::of(b"").as_str(), "size": 0, "metrics": metrics(1.5)});
        for (token, path, body, expected) in [
            (
                "none",
                format!("jobs/{ONE}/claim"),
                claim.clone(),
                "401 Unauthorized",
            ),
            ("one", format!("jobs/{TWO}/claim"), claim.clone(), "403 Forbidden"),
            ("one", "jobs/nonsense/claim".to_owned(), claim, "403 Forbidden"),
            (
                "one",
                format!("{of_two}/failure"),
                failure.clone(),
                "403 Forbidden",
            ),
            (
                "one",
                "trials/zz/failure".to_owned(),
                failure.clone(),
                "404 TrialNotFound",
            ),
            ("one", format!("{a}/failure"), failure, "409 TrialLost"),
            (
                "one",
                format!("{a}/failure"),
                json!({"worker": 3}),
                "400 BadRequest",
            ),
            ("one", format!("{a}/result"), bad, "400 BadRequest"),
            (
                "one",
                format!("jobs/{ONE}/claim"),
                json!({"worker": ""}),
                "400 BadRequest",
            ),
        ] {
            assert_eq!(
                said(server.post(token, &path, body.clone()).await),
                expected,
                "{path} {body}"
            );
        }
        let (_, body) = server
            .post("none", &format!("jobs/{ONE}/claim"), json!({"worker": "w"}))
            .await;
        for field in ["code", "reason", "message", "next"] {
            assert!(!body[field].is_null(), "{field} is missing in {body}");
        }
    }

    #[tokio::test]
    async fn nothing_left_is_said_once_every_worker_was_heard_of() {
        let server = server().await;
        let trials = [server.claim("w1").await.1, server.claim("w2").await.1].map(|d| d["trial"].clone());
        let renew = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            loop {
                ticks.tick().await;
                for (trial, worker) in trials.iter().zip(["w1", "w2"]) {
                    let path = format!("trials/{}/progress", trial.as_str().unwrap());
                    let progress = json!({"worker": worker, "epoch": 1, "epochs": 4, "fraction": 0.5, "loss": 0.3, "secondsLeft": 5.0});
                    server.post("one", &path, progress).await;
                }
            }
        };
        let status = tokio::select! {
            (status, _) = server.claim("w3") => status,
            () = renew => unreachable!(),
        };
        assert_eq!(status, 204);
    }
}
