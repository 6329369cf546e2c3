//! Trials and their leases: who trains what, how far it is, what came of it.
//!
//! A worker owns a trial until another one takes it after its lease ran out. All rules of that are here, in the
//! database's time; HTTP is `api::trainer`.

use std::time::Duration;

use jiff::Timestamp;
use protocol::id::Digest;
use protocol::trainer::{JobDocument, Metrics, Progress, TrialFailure, TrialResult};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{StoreError, text, time};

/// A failure that another try may cure is tried so often in all.
pub const MAX_TRIES: i32 = 3;

#[derive(Debug, Clone, PartialEq)]
pub struct TrialRow {
    pub id: String,
    pub job: Uuid,
    pub key: String,
    pub number: i32,
    pub document: JobDocument,
    pub state: TrialState,
    pub worker: Option<String>,
    pub lease_expires_at: Option<Timestamp>,
    pub failures: i32,
    pub progress: TrialProgress,
    pub model: Option<(Digest, u64)>,
    pub metrics: Option<Metrics>,
    /// Code and message of the last failure.
    pub failure: Option<(String, String)>,
    /// Its end was told in an event.
    pub announced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialState {
    Pending,
    Running,
    Trained,
    Failed,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrialProgress {
    pub epoch: u32,
    pub epochs: u32,
    pub fraction: f64,
    pub loss: Option<f64>,
    pub seconds_left: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewTrial {
    pub id: String,
    pub job: Uuid,
    pub key: String,
    pub number: i32,
    pub document: JobDocument,
}

/// Why a worker may not do what it asks.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no trial {0}")]
    NotFound(String),
    #[error("worker {worker} has lost trial {trial}: {why}")]
    Lost {
        trial: String,
        worker: String,
        why: String,
    },
    #[error("trial {trial} has no model {model}: upload it before its result")]
    ModelMissing { trial: String, model: Digest },
}

impl From<sqlx::Error> for TrialError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

pub async fn of_job(conn: &mut PgConnection, job: Uuid) -> Result<Vec<TrialRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM trials WHERE job = $1 ORDER BY number, id");
    sqlx::query(&sql)
        .bind(job)
        .fetch_all(conn)
        .await?
        .iter()
        .map(trial)
        .collect()
}

pub async fn get(conn: &mut PgConnection, id: &str) -> Result<Option<TrialRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM trials WHERE id = $1");
    sqlx::query(&sql)
        .bind(id)
        .fetch_optional(conn)
        .await?
        .as_ref()
        .map(trial)
        .transpose()
}

/// Adds a trial, or wants a cancelled one again.
pub async fn want(conn: &mut PgConnection, new: &NewTrial) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO trials AS old (id, job, key, number, document, epochs) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (job, key) DO UPDATE SET state = 'pending', failures = 0, worker = NULL
         WHERE old.state = 'cancelled'",
    )
    .bind(&new.id)
    .bind(new.job)
    .bind(&new.key)
    .bind(new.number)
    .bind(Json(&new.document))
    .bind(int(new.document.epochs))
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn cancel(conn: &mut PgConnection, id: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE trials SET state = 'cancelled' WHERE id = $1 AND state IN ('pending', 'running')")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}

/// The trial's end is about to be told; `false`: it was already.
pub async fn announce(conn: &mut PgConnection, id: &str) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE trials SET announced = true WHERE id = $1 AND NOT announced")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives the worker a trial of the job: its own if it has one, else a free one or one whose lease ran out.
pub async fn claim(
    conn: &mut PgConnection,
    job: Uuid,
    worker: &str,
    lease: Duration,
) -> Result<Option<TrialRow>, StoreError> {
    let sql = format!(
        "UPDATE trials SET state = 'running', worker = $2, claims = claims + 1,
                lease_expires_at = now() + make_interval(secs => $3)
         WHERE id = (
             SELECT id FROM trials WHERE job = $1 AND (state = 'pending'
                 OR (state = 'running' AND (worker = $2 OR lease_expires_at <= now())))
             ORDER BY state = 'running' AND worker = $2 DESC, number, id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING {COLUMNS}"
    );
    let row = sqlx::query(&sql)
        .bind(job)
        .bind(worker)
        .bind(lease.as_secs_f64())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(trial).transpose()
}

/// Trials of the job that workers hold, with the end of each lease.
pub async fn leases(conn: &mut PgConnection, job: Uuid) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let sql = "SELECT id, hz_micros(lease_expires_at) FROM trials
               WHERE job = $1 AND state = 'running' AND lease_expires_at IS NOT NULL ORDER BY id";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).bind(job).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id, at)| (id, time(at))).collect())
}

/// The worker is alive and this far.
pub async fn renew(
    conn: &mut PgConnection,
    id: &str,
    progress: &Progress,
    lease: Duration,
) -> Result<(), TrialError> {
    owned(conn, id, &progress.worker).await?;
    sqlx::query(
        "UPDATE trials SET lease_expires_at = now() + make_interval(secs => $2), epoch = $3, fraction = $4,
                loss = $5, seconds_left = $6 WHERE id = $1",
    )
    .bind(id)
    .bind(lease.as_secs_f64())
    .bind(int(progress.epoch))
    .bind(progress.fraction.clamp(0.0, 1.0))
    .bind(progress.loss)
    .bind(progress.seconds_left)
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps a checkpoint and the one before it; gives the digests of those that are let go.
pub async fn add_checkpoint(
    conn: &mut PgConnection,
    id: &str,
    worker: &str,
    (digest, size): (&Digest, u64),
) -> Result<Vec<Digest>, TrialError> {
    owned(conn, id, worker).await?;
    sqlx::query("INSERT INTO checkpoints (trial, sha256, size) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(digest.as_str())
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .execute(&mut *conn)
        .await?;
    let gone: Vec<String> = sqlx::query_scalar(
        "DELETE FROM checkpoints WHERE trial = $1
            AND id NOT IN (SELECT id FROM checkpoints WHERE trial = $1 ORDER BY id DESC LIMIT 2)
         RETURNING sha256",
    )
    .bind(id)
    .fetch_all(&mut *conn)
    .await?;
    let kept: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT sha256 FROM checkpoints WHERE sha256 = ANY($1)")
            .bind(&gone)
            .fetch_all(conn)
            .await?;
    gone.iter()
        .filter(|sha256| !kept.contains(sha256))
        .map(|sha256| Ok(digest_of(sha256)?))
        .collect()
}

/// Lets a finished trial's checkpoints go; gives the digests nobody else needs.
pub async fn drop_checkpoints(conn: &mut PgConnection, id: &str) -> Result<Vec<Digest>, StoreError> {
    let sql = "DELETE FROM checkpoints WHERE trial = $1 RETURNING sha256";
    let gone: Vec<String> = sqlx::query_scalar(sql).bind(id).fetch_all(&mut *conn).await?;
    unneeded(conn, &gone).await
}

/// Lets the checkpoints of all other jobs go (of the namespace, if only one is watched).
pub async fn drop_checkpoints_except(
    conn: &mut PgConnection,
    jobs: &[Uuid],
    namespace: Option<&str>,
) -> Result<Vec<Digest>, StoreError> {
    let sql = "DELETE FROM checkpoints c USING trials t, studies s
               WHERE t.id = c.trial AND s.job = t.job AND s.job <> ALL($1)
                 AND ($2::text IS NULL OR s.namespace = $2)
               RETURNING c.sha256";
    let gone: Vec<String> = sqlx::query_scalar(sql)
        .bind(jobs)
        .bind(namespace)
        .fetch_all(&mut *conn)
        .await?;
    unneeded(conn, &gone).await
}

/// The newest first.
pub async fn checkpoints(conn: &mut PgConnection, id: &str) -> Result<Vec<Digest>, StoreError> {
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT sha256 FROM checkpoints WHERE trial = $1 ORDER BY id DESC")
            .bind(id)
            .fetch_all(conn)
            .await?;
    rows.iter().map(|sha256| digest_of(sha256)).collect()
}

/// The worker has uploaded this file as the trial's model.
pub async fn set_model(
    conn: &mut PgConnection,
    id: &str,
    worker: &str,
    (digest, size): (&Digest, u64),
) -> Result<(), TrialError> {
    let trial = locked(conn, id).await?;
    if trial.state == TrialState::Trained && trial.model.as_ref().is_some_and(|(model, _)| model == digest) {
        return Ok(());
    }
    owner(&trial, worker)?;
    sqlx::query("UPDATE trials SET model = $2, model_size = $3 WHERE id = $1")
        .bind(id)
        .bind(digest.as_str())
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .execute(conn)
        .await?;
    Ok(())
}

/// The trial is trained. Saying it again changes nothing.
pub async fn finish(conn: &mut PgConnection, id: &str, result: &TrialResult) -> Result<(), TrialError> {
    let trial = locked(conn, id).await?;
    let uploaded = trial
        .model
        .as_ref()
        .is_some_and(|(model, size)| *model == result.model && *size == result.size);
    if trial.state == TrialState::Trained && uploaded {
        return Ok(());
    }
    owner(&trial, &result.worker)?;
    if !uploaded {
        return Err(TrialError::ModelMissing {
            trial: id.to_owned(),
            model: result.model.clone(),
        });
    }
    sqlx::query(
        "UPDATE trials SET state = 'trained', metrics = $2, epoch = epochs, fraction = 0, seconds_left = 0,
                lease_expires_at = NULL, finished_at = now(), failure_code = NULL, failure_message = NULL
         WHERE id = $1",
    )
    .bind(id)
    .bind(Json(&result.metrics))
    .execute(conn)
    .await?;
    Ok(())
}

/// The worker gives up: the trial is free again while tries are left. Saying it again changes nothing.
pub async fn fail(conn: &mut PgConnection, id: &str, failure: &TrialFailure) -> Result<(), TrialError> {
    let trial = locked(conn, id).await?;
    let same = trial.worker.as_deref() == Some(failure.worker.as_str())
        && trial
            .failure
            .as_ref()
            .is_some_and(|(code, _)| *code == failure.code);
    if same && matches!(trial.state, TrialState::Pending | TrialState::Failed) {
        return Ok(());
    }
    owner(&trial, &failure.worker)?;
    let over = !failure.retryable || trial.failures + 1 >= MAX_TRIES;
    sqlx::query(
        "UPDATE trials SET state = $2, failures = failures + 1, failure_code = $3, failure_message = $4,
                lease_expires_at = NULL, finished_at = CASE WHEN $2 = 'failed' THEN now() END WHERE id = $1",
    )
    .bind(id)
    .bind(if over { "failed" } else { "pending" })
    .bind(text(&failure.code, 63))
    .bind(text(&failure.message, 1000))
    .execute(conn)
    .await?;
    Ok(())
}

/// Those that no checkpoint names any more.
async fn unneeded(conn: &mut PgConnection, gone: &[String]) -> Result<Vec<Digest>, StoreError> {
    let sql = "SELECT DISTINCT sha256 FROM checkpoints WHERE sha256 = ANY($1)";
    let kept: Vec<String> = sqlx::query_scalar(sql).bind(gone).fetch_all(conn).await?;
    gone.iter()
        .filter(|sha256| !kept.contains(sha256))
        .map(|sha256| digest_of(sha256))
        .collect()
}

/// Locks the trial until the transaction ends.
async fn locked(conn: &mut PgConnection, id: &str) -> Result<TrialRow, TrialError> {
    let sql = format!("SELECT {COLUMNS} FROM trials WHERE id = $1 FOR UPDATE");
    let row = sqlx::query(&sql).bind(id).fetch_optional(conn).await?;
    row.as_ref()
        .map(trial)
        .transpose()?
        .ok_or_else(|| TrialError::NotFound(id.to_owned()))
}

async fn owned(conn: &mut PgConnection, id: &str, worker: &str) -> Result<TrialRow, TrialError> {
    let trial = locked(conn, id).await?;
    owner(&trial, worker)?;
    Ok(trial)
}

/// A lease that ran out is still the worker's as long as nobody else has taken the trial.
fn owner(trial: &TrialRow, worker: &str) -> Result<(), TrialError> {
    let why = match (trial.state, trial.worker.as_deref()) {
        (TrialState::Running, Some(holder)) if holder == worker => return Ok(()),
        (TrialState::Running, Some(holder)) => format!("{holder} has it now"),
        (TrialState::Running | TrialState::Pending, _) => "nobody has claimed it since".to_owned(),
        (TrialState::Trained, _) => "it is trained".to_owned(),
        (TrialState::Failed, _) => "it has failed for good".to_owned(),
        (TrialState::Cancelled, _) => "it is not wanted any more".to_owned(),
    };
    Err(TrialError::Lost {
        trial: trial.id.clone(),
        worker: worker.to_owned(),
        why,
    })
}

const COLUMNS: &str =
    "id, job, key, number, document, state, worker, hz_micros(lease_expires_at) AS lease_expires_at,
    failures, epoch, epochs, fraction, loss, seconds_left, model, model_size, metrics, failure_code,
    failure_message, announced";

fn trial(row: &PgRow) -> Result<TrialRow, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt {
        table: "trials",
        reason,
    };
    let state = match row.try_get("state")? {
        "pending" => TrialState::Pending,
        "running" => TrialState::Running,
        "trained" => TrialState::Trained,
        "failed" => TrialState::Failed,
        "cancelled" => TrialState::Cancelled,
        other => return Err(corrupt(format!("state {other:?}"))),
    };
    let Json(document) = row.try_get("document")?;
    let count = |name: &str| -> Result<u32, sqlx::Error> {
        Ok(u32::try_from(row.try_get::<i32, _>(name)?).unwrap_or_default())
    };
    let model: Option<String> = row.try_get("model")?;
    let size: Option<i64> = row.try_get("model_size")?;
    let code: Option<String> = row.try_get("failure_code")?;
    let message: Option<String> = row.try_get("failure_message")?;
    Ok(TrialRow {
        id: row.try_get("id")?,
        job: row.try_get("job")?,
        key: row.try_get("key")?,
        number: row.try_get("number")?,
        document,
        state,
        worker: row.try_get("worker")?,
        lease_expires_at: row.try_get::<Option<i64>, _>("lease_expires_at")?.map(time),
        failures: row.try_get("failures")?,
        progress: TrialProgress {
            epoch: count("epoch")?,
            epochs: count("epochs")?,
            fraction: row.try_get("fraction")?,
            loss: row.try_get("loss")?,
            seconds_left: row.try_get("seconds_left")?,
        },
        model: match model {
            Some(text) => Some((
                digest_of(&text)?,
                u64::try_from(size.unwrap_or_default()).unwrap_or_default(),
            )),
            None => None,
        },
        metrics: row
            .try_get::<Option<Json<Metrics>>, _>("metrics")?
            .map(|Json(metrics)| metrics),
        failure: code.map(|code| (code, message.unwrap_or_default())),
        announced: row.try_get("announced")?,
    })
}

fn digest_of(text: &str) -> Result<Digest, StoreError> {
    text.parse().map_err(|e| StoreError::Corrupt {
        table: "trials",
        reason: format!("{e}"),
    })
}

fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[cfg(test)]
pub mod tests;
