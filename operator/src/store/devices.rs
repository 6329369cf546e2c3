//! Devices as they describe themselves, and whether they are there.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::id::{DeviceClass, DeviceId, SiteId};
use protocol::presence::Presence;
use protocol::reported::Reported;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::StoreError;

/// One device: its last report and its presence.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    pub device: DeviceId,
    pub site: SiteId,
    pub class: DeviceClass,
    pub labels: BTreeMap<String, String>,
    pub reported: Reported,
    pub reported_at: jiff::Timestamp,
    /// Connected by its presence, and heard of lately.
    pub online: bool,
    /// Last sign of life: report, presence, ack or telemetry.
    pub last_seen: jiff::Timestamp,
    /// Since when it is connected or not.
    pub since: jiff::Timestamp,
}

/// How many devices are there and not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Count {
    pub online: i64,
    pub offline: i64,
}

pub async fn record_reported(conn: &mut PgConnection, reported: &Reported) -> Result<(), StoreError> {
    let sql = "INSERT INTO devices (device, site, class, labels, boot_id, runtime_hash, reported)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (device) DO UPDATE SET site = $2, class = $3, labels = $4, boot_id = $5, runtime_hash = $6,
            reported = $7, reported_at = now()";
    sqlx::query(sql)
        .bind(reported.device.as_str())
        .bind(reported.site.as_str())
        .bind(reported.class.as_str())
        .bind(Json(&reported.labels))
        .bind(reported.boot_id.0)
        .bind(&reported.runtime.hash)
        .bind(Json(reported))
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a birth or a will; false if it is stale: of an earlier connection, or a will of one that isn't the known one.
pub async fn record_presence(
    conn: &mut PgConnection,
    site: &SiteId,
    presence: &Presence,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO presence AS known (device, site, online, boot_id, connection)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (device) DO UPDATE SET site = $2, online = $3, boot_id = $4, connection = $5,
            since = CASE WHEN known.online = $3 THEN known.since ELSE now() END,
            last_seen = CASE WHEN $3 AND known.connection IS DISTINCT FROM $5 THEN now() ELSE known.last_seen END
        WHERE CASE WHEN $3 THEN known.boot_id <> $4 OR known.connection <= $5
                   ELSE known.boot_id = $4 AND known.connection = $5 END";
    let done = sqlx::query(sql)
        .bind(presence.device.as_str())
        .bind(site.as_str())
        .bind(presence.online)
        .bind(presence.boot_id.0)
        .bind(presence.connection as i64)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// A sign of life of these devices; written at most every few seconds.
pub async fn seen(conn: &mut PgConnection, devices: &[String]) -> Result<(), StoreError> {
    let sql = "UPDATE presence SET last_seen = now()
        WHERE device = ANY($1) AND last_seen < now() - interval '5 seconds'";
    sqlx::query(sql).bind(devices).execute(conn).await?;
    Ok(())
}

/// All devices, by name. `silence`: who wasn't heard of for so long counts as offline.
pub async fn list(db: &PgPool, silence: Duration) -> Result<Vec<Device>, StoreError> {
    let rows = sqlx::query_as::<_, Row>(&format!("{SELECT} ORDER BY d.device"))
        .bind(silence.as_secs() as i64)
        .fetch_all(db)
        .await?;
    rows.into_iter().map(Device::try_from).collect()
}

pub async fn get(db: &PgPool, device: &DeviceId, silence: Duration) -> Result<Option<Device>, StoreError> {
    let row = sqlx::query_as::<_, Row>(&format!("{SELECT} WHERE d.device = $2"))
        .bind(silence.as_secs() as i64)
        .bind(device.as_str())
        .fetch_optional(db)
        .await?;
    row.map(Device::try_from).transpose()
}

pub async fn count(db: &PgPool, silence: Duration) -> Result<Count, StoreError> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE online) AS online, count(*) FILTER (WHERE NOT online) AS offline
         FROM ({SELECT}) AS device"
    );
    Ok(sqlx::query_as(&sql)
        .bind(silence.as_secs() as i64)
        .fetch_one(db)
        .await?)
}

const SELECT: &str = "SELECT d.device, d.reported, hz_micros(d.reported_at) AS reported_at,
        coalesce(p.online AND p.last_seen > now() - $1 * interval '1 second', false) AS online,
        hz_micros(coalesce(p.last_seen, d.reported_at)) AS last_seen,
        hz_micros(coalesce(p.since, d.first_seen)) AS since
    FROM devices d LEFT JOIN presence p USING (device)";

#[derive(sqlx::FromRow)]
struct Row {
    device: String,
    reported: serde_json::Value,
    reported_at: i64,
    online: bool,
    last_seen: i64,
    since: i64,
}

impl TryFrom<Row> for Device {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let Row {
            device,
            reported,
            reported_at,
            online,
            last_seen,
            since,
        } = row;
        let reported: Reported = serde_json::from_value(reported).map_err(|e| StoreError::Corrupt {
            table: "devices",
            reason: format!("{device}: {e}"),
        })?;
        Ok(Self {
            device: reported.device.clone(),
            site: reported.site.clone(),
            class: reported.class.clone(),
            labels: reported.labels.clone(),
            reported,
            reported_at: super::time(reported_at),
            online,
            last_seen: super::time(last_seen),
            since: super::time(since),
        })
    }
}
