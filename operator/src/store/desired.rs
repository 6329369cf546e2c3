//! The document each device was last told to run, and the one it was last healthy with.
//!
//! A document lies here without its order; order is this table's: the generation of a device only rises.

use protocol::desired::{Desired, Order};
use protocol::id::{DeviceId, SiteId};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::StoreError;

/// What was last written for a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub device: DeviceId,
    pub site: SiteId,
    pub order: Order,
    pub pipeline: String,
    pub rollout: String,
    pub attempt: u32,
    /// With its order. None: run nothing.
    pub document: Option<Desired>,
    pub settled: bool,
    pub written_at: jiff::Timestamp,
    /// The last one it was healthy with.
    pub good: Option<Desired>,
}

/// What to write for a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub device: DeviceId,
    pub site: SiteId,
    pub pipeline: String,
    pub rollout: String,
    pub attempt: u32,
    /// Its order means nothing. None: run nothing.
    pub document: Option<Desired>,
    /// Nothing will be heard of it.
    pub settled: bool,
}

/// Answers with the document as it is to be published.
pub async fn write(
    conn: &mut PgConnection,
    epoch: u64,
    draft: Draft,
) -> Result<(DeviceId, SiteId, Option<Desired>), StoreError> {
    let Draft {
        device,
        site,
        pipeline,
        rollout,
        attempt,
        document,
        settled,
    } = draft;
    let sql = "INSERT INTO desired AS known
            (device, site, epoch, generation, pipeline, rollout, attempt, document, settled)
        VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8)
        ON CONFLICT (device) DO UPDATE SET site = $2, epoch = $3, generation = known.generation + 1,
            pipeline = $4, rollout = $5, attempt = $6, document = $7, settled = $8, written_at = now(),
            good = CASE WHEN $7::jsonb IS NULL THEN NULL ELSE known.good END
        RETURNING generation";
    let generation: i64 = sqlx::query_scalar(sql)
        .bind(device.as_str())
        .bind(site.as_str())
        .bind(epoch as i64)
        .bind(pipeline)
        .bind(rollout)
        .bind(attempt as i32)
        .bind(document.as_ref().map(Json))
        .bind(settled)
        .fetch_one(conn)
        .await?;
    let order = Order {
        epoch,
        generation: generation as u64,
    };
    Ok((
        device,
        site,
        document.map(|document| Desired { order, ..document }),
    ))
}

/// Of the given devices, and of all that were last written to for a pipeline.
pub async fn relevant(
    conn: &mut PgConnection,
    pipeline: &str,
    devices: &[String],
) -> Result<Vec<Written>, StoreError> {
    let sql = format!("{SELECT} WHERE pipeline = $1 OR device = ANY($2) ORDER BY device");
    let rows = sqlx::query_as::<_, Row>(&sql)
        .bind(pipeline)
        .bind(devices)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Written::try_from).collect()
}

/// Some rows after a device, by device: for looking through all of them.
pub async fn page(db: &PgPool, after: &str, limit: i64) -> Result<Vec<Written>, StoreError> {
    let sql = format!("{SELECT} WHERE device > $1 ORDER BY device LIMIT $2");
    let rows = sqlx::query_as::<_, Row>(&sql)
        .bind(after)
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.into_iter().map(Written::try_from).collect()
}

/// Devices of each site that are changing because of a document written lately, with the rollout it belongs to.
pub async fn changing(
    conn: &mut PgConnection,
    since: jiff::Timestamp,
) -> Result<Vec<(String, String, String)>, StoreError> {
    let sql = "SELECT device, site, rollout FROM desired WHERE NOT settled AND written_at > hz_time($1)";
    Ok(sqlx::query_as(sql)
        .bind(super::micros(since))
        .fetch_all(conn)
        .await?)
}

/// Devices that still run something although they were told to run nothing: an empty message is not kept for who
/// is away when it comes.
pub async fn strays(db: &PgPool) -> Result<Vec<(DeviceId, SiteId)>, StoreError> {
    let sql = "SELECT d.device, d.site FROM desired d JOIN devices r USING (device)
        WHERE d.document IS NULL AND r.reported ? 'active'";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(db).await?;
    let read = |(device, site): (String, String)| match (device.parse(), site.parse()) {
        (Ok(device), Ok(site)) => Ok((device, site)),
        (Err(e), _) | (_, Err(e)) => Err(StoreError::Corrupt {
            table: "desired",
            reason: format!("{device}: {e}"),
        }),
    };
    rows.into_iter().map(read).collect()
}

/// Pipelines whose documents devices hold.
pub async fn pipelines(db: &PgPool) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT DISTINCT pipeline FROM desired WHERE document IS NOT NULL";
    Ok(sqlx::query_scalar(sql).fetch_all(db).await?)
}

const SELECT: &str = "SELECT device, site, epoch, generation, pipeline, rollout, attempt, document, settled,
    hz_micros(written_at) AS written_at, good FROM desired";

#[derive(sqlx::FromRow)]
struct Row {
    device: String,
    site: String,
    epoch: i64,
    generation: i64,
    pipeline: String,
    rollout: String,
    attempt: i32,
    document: Option<serde_json::Value>,
    settled: bool,
    written_at: i64,
    good: Option<serde_json::Value>,
}

impl TryFrom<Row> for Written {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let Row {
            device,
            site,
            epoch,
            generation,
            pipeline,
            rollout,
            attempt,
            document,
            settled,
            written_at,
            good,
        } = row;
        let corrupt = |e: &dyn std::fmt::Display| StoreError::Corrupt {
            table: "desired",
            reason: format!("{device}: {e}"),
        };
        let read = |value: Option<serde_json::Value>| {
            value
                .map(serde_json::from_value::<Desired>)
                .transpose()
                .map_err(|e| corrupt(&e))
        };
        let order = Order {
            epoch: epoch as u64,
            generation: generation as u64,
        };
        Ok(Self {
            document: read(document)?.map(|document| Desired { order, ..document }),
            good: read(good)?,
            device: device.parse().map_err(|e| corrupt(&e))?,
            site: site.parse().map_err(|e| corrupt(&e))?,
            order,
            pipeline,
            rollout,
            attempt: attempt as u32,
            settled,
            written_at: super::time(written_at),
        })
    }
}
