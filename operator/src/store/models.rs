//! Models: files that may run on devices, and how long each takes on a class.

use protocol::id::{DeviceClass, Digest};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::StoreError;

#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub sha256: Digest,
    pub size: u64,
    /// `namespace/name` of the NasJob that made it; none for an artifact from elsewhere.
    pub nas_job: Option<String>,
    pub architecture: Option<serde_json::Value>,
    pub accuracy: Option<f64>,
    pub metrics: Option<serde_json::Value>,
}

/// A model measured on a class.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    pub sha256: Digest,
    pub class: DeviceClass,
    pub runtime_hash: String,
    pub predicted_p95_us: Option<f64>,
    pub measured_p95_us: f64,
}

/// Recording a model again fills in what was unknown and changes nothing else.
pub async fn record(conn: &mut PgConnection, model: &Model) -> Result<(), StoreError> {
    let Model {
        sha256,
        size,
        nas_job,
        architecture,
        accuracy,
        metrics,
    } = model;
    let sql = "INSERT INTO models AS known (sha256, size, nas_job, architecture, accuracy, metrics)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (sha256) DO UPDATE SET nas_job = coalesce(known.nas_job, $3),
            architecture = coalesce(known.architecture, $4), accuracy = coalesce(known.accuracy, $5),
            metrics = coalesce(known.metrics, $6)";
    sqlx::query(sql)
        .bind(sha256.as_str())
        .bind(*size as i64)
        .bind(nas_job)
        .bind(architecture.as_ref().map(Json))
        .bind(accuracy)
        .bind(metrics.as_ref().map(Json))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn get(db: &PgPool, sha256: &Digest) -> Result<Option<Model>, StoreError> {
    let sql = "SELECT sha256, size, nas_job, architecture, accuracy, metrics FROM models WHERE sha256 = $1";
    let row = sqlx::query_as::<_, Row>(sql)
        .bind(sha256.as_str())
        .fetch_optional(db)
        .await?;
    row.map(Model::try_from).transpose()
}

/// The newest measurement of a model on a class with a runtime counts.
pub async fn record_latency(conn: &mut PgConnection, latency: &Latency) -> Result<(), StoreError> {
    let Latency {
        sha256,
        class,
        runtime_hash,
        predicted_p95_us,
        measured_p95_us,
    } = latency;
    let sql = "INSERT INTO model_latencies (sha256, class, runtime_hash, predicted_p95_us, measured_p95_us)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (sha256, class, runtime_hash) DO UPDATE
            SET predicted_p95_us = $4, measured_p95_us = $5, measured_at = now()";
    sqlx::query(sql)
        .bind(sha256.as_str())
        .bind(class.as_str())
        .bind(runtime_hash)
        .bind(predicted_p95_us)
        .bind(measured_p95_us)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    sha256: String,
    size: i64,
    nas_job: Option<String>,
    architecture: Option<serde_json::Value>,
    accuracy: Option<f64>,
    metrics: Option<serde_json::Value>,
}

impl TryFrom<Row> for Model {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let Row {
            sha256,
            size,
            nas_job,
            architecture,
            accuracy,
            metrics,
        } = row;
        let sha256 = sha256.parse().map_err(|e| StoreError::Corrupt {
            table: "models",
            reason: format!("{e}"),
        })?;
        Ok(Self {
            sha256,
            size: size as u64,
            nas_job,
            architecture,
            accuracy,
            metrics,
        })
    }
}
