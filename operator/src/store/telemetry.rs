//! Telemetry: samples by (device, boot, number), what is stored of each boot, and the daily partitions.
//!
//! A sample is stored once, however often it arrives; counts say what the tables hold, not what was received.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use protocol::id::{BootId, DeviceId, SiteId, StreamId};
use protocol::telemetry::Batch;
use serde::Serialize;
use sqlx::{Executor as _, PgConnection, PgPool};

use super::StoreError;

/// Days that have a partition before their time comes.
const AHEAD: i64 = 3;

/// Times the store takes, microseconds since 1970: up to the year 2200. Outside of it they are moved to the edge.
const LATEST: i64 = 7_258_118_400_000_000;

/// A batch with what its topic says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    pub site: SiteId,
    pub stream: StreamId,
    pub batch: Batch,
}

/// What became of the batches of one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub site: SiteId,
    pub device: DeviceId,
    pub boot_id: BootId,
    pub stored: u64,
    pub duplicates: u64,
    /// All samples up to here are in the database.
    pub contiguous: u64,
}

/// What the tables hold, over the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub stored: i64,
    /// Numbers below each boot's highest that are missing.
    pub gaps: i64,
    pub duplicates: i64,
    pub per_device: Vec<BootSummary>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct BootSummary {
    pub device: String,
    pub boot_id: uuid::Uuid,
    pub max_seq: i64,
    pub stored: i64,
    pub duplicates: i64,
}

/// Inserts what isn't there yet and updates the counts of each boot; call it within a transaction.
pub async fn insert(conn: &mut PgConnection, incoming: &[Incoming]) -> Result<Vec<Stored>, StoreError> {
    // Sorted by key: two writers take their row locks in one order.
    let mut sites: BTreeMap<(&DeviceId, BootId), &SiteId> = BTreeMap::new();
    let mut received: BTreeMap<(&DeviceId, BootId), i64> = BTreeMap::new();
    let mut columns = Columns::default();
    for Incoming { site, stream, batch } in incoming {
        sites.insert((&batch.device, batch.boot_id), site);
        *received.entry((&batch.device, batch.boot_id)).or_default() += batch.samples.len() as i64;
        for sample in &batch.samples {
            columns.device.push(batch.device.to_string());
            columns.boot.push(batch.boot_id.0);
            columns.seq.push(sample.seq as i64);
            columns.t.push(sample.t.clamp(0, LATEST));
            columns.site.push(site.to_string());
            columns.stream.push(stream.to_string());
            columns.value.push(sample.value.to_string());
        }
    }
    let devices: Vec<String> = received.keys().map(|(device, _)| device.to_string()).collect();
    let boots: Vec<uuid::Uuid> = received.keys().map(|(_, boot)| boot.0).collect();
    let counts: Vec<i64> = received.values().copied().collect();
    sqlx::query(TOUCH)
        .bind(&devices)
        .bind(&boots)
        .execute(&mut *conn)
        .await?;
    let Columns {
        device,
        boot,
        seq,
        t,
        site,
        stream,
        value,
    } = columns;
    let rows: Vec<Updated> = sqlx::query_as(INSERT)
        .bind(device)
        .bind(boot)
        .bind(seq)
        .bind(t)
        .bind(site)
        .bind(stream)
        .bind(value)
        .bind(&devices)
        .bind(&boots)
        .bind(&counts)
        .fetch_all(&mut *conn)
        .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let contiguous = if row.stored == row.max_seq {
            row.contiguous
        } else {
            advance(conn, &row).await?
        };
        let key = DeviceId::from_str(&row.device)
            .ok()
            .map(|device| (device, BootId(row.boot_id)));
        let Some((device, boot_id)) = key else { continue };
        let Some(site) = sites.get(&(&device, boot_id)) else {
            continue;
        };
        all.push(Stored {
            site: (*site).clone(),
            device,
            boot_id,
            stored: row.inserted as u64,
            duplicates: row.repeated as u64,
            contiguous: contiguous as u64,
        });
    }
    Ok(all)
}

pub async fn summary(db: &PgPool) -> Result<Summary, StoreError> {
    let sql = "SELECT device, boot_id, max_seq, stored, duplicates FROM telemetry_boots ORDER BY device, first_seen";
    let per_device: Vec<BootSummary> = sqlx::query_as(sql).fetch_all(db).await?;
    Ok(Summary {
        stored: per_device.iter().map(|b| b.stored).sum(),
        gaps: per_device.iter().map(|b| b.max_seq - b.stored).sum(),
        duplicates: per_device.iter().map(|b| b.duplicates).sum(),
        per_device,
    })
}

/// Makes the partitions of yesterday to some days ahead. What the default partition holds of such a day moves over.
pub async fn make_partitions(db: &PgPool, today: jiff::civil::Date) -> Result<(), StoreError> {
    for days in -1..=AHEAD {
        let day = today.saturating_add(jiff::Span::new().days(days));
        let next = day.saturating_add(jiff::Span::new().days(1));
        let name = partition(day);
        let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&name)
            .fetch_one(db)
            .await?;
        if exists {
            continue;
        }
        // Names and dates are made here: nothing of it comes from outside.
        let sql = format!(
            "CREATE TABLE {name} (LIKE telemetry INCLUDING ALL);
             WITH moved AS (DELETE FROM telemetry_default WHERE t >= '{day}Z' AND t < '{next}Z' RETURNING *)
                 INSERT INTO {name} SELECT * FROM moved;
             ALTER TABLE telemetry ATTACH PARTITION {name} FOR VALUES FROM ('{day}Z') TO ('{next}Z')"
        );
        let mut tx = db.begin().await?;
        tx.execute(sql.as_str()).await?;
        tx.commit().await?;
        tracing::info!(partition = name, "made a partition of telemetry");
    }
    Ok(())
}

/// Deletes what is older than `days`; the counts of boots stay.
pub async fn drop_old(db: &PgPool, today: jiff::civil::Date, days: u32) -> Result<(), StoreError> {
    let oldest = partition(today.saturating_sub(jiff::Span::new().days(i64::from(days))));
    let sql = "SELECT relid::regclass::text FROM pg_partition_tree('telemetry')
        WHERE isleaf AND relid::regclass::text ~ '^telemetry_[0-9]{8}$' AND relid::regclass::text < $1";
    let old: Vec<String> = sqlx::query_scalar(sql).bind(oldest).fetch_all(db).await?;
    for name in old {
        db.execute(format!("DROP TABLE {name}").as_str()).await?;
        tracing::info!(partition = name, "dropped an old partition of telemetry");
    }
    let sql = "DELETE FROM telemetry_default WHERE received < now() - $1 * interval '1 day'";
    sqlx::query(sql).bind(i64::from(days)).execute(db).await?;
    Ok(())
}

/// Moves `contiguous` up to the first number that is missing.
async fn advance(conn: &mut PgConnection, row: &Updated) -> Result<i64, StoreError> {
    let sql = "WITH numbers AS (
            SELECT $3::bigint AS seq
            UNION ALL SELECT seq FROM telemetry WHERE device = $1 AND boot_id = $2 AND seq > $3
        ), last AS (
            SELECT seq FROM (SELECT seq, lead(seq) OVER (ORDER BY seq) AS next FROM numbers) AS pairs
            WHERE next IS DISTINCT FROM seq + 1 ORDER BY seq LIMIT 1
        )
        UPDATE telemetry_boots SET contiguous = (SELECT seq FROM last)
        WHERE device = $1 AND boot_id = $2 RETURNING contiguous";
    let contiguous = sqlx::query_scalar(sql)
        .bind(&row.device)
        .bind(row.boot_id)
        .bind(row.contiguous)
        .fetch_one(conn)
        .await?;
    Ok(contiguous)
}

fn partition(day: jiff::civil::Date) -> String {
    format!("telemetry_{}", day.strftime("%Y%m%d"))
}

/// Rows of boots exist and are locked from here on.
const TOUCH: &str = "INSERT INTO telemetry_boots (device, boot_id)
    SELECT * FROM unnest($1::text[], $2::uuid[])
    ON CONFLICT (device, boot_id) DO UPDATE SET last_seen = now()";

/// Numbers up to `contiguous` are stored for sure, those above `max_seq` are not: only between them is a look needed.
const INSERT: &str = "WITH incoming AS (
        SELECT DISTINCT ON (device, boot_id, seq) *
        FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[])
            AS sample (device, boot_id, seq, t, site, stream, value)
        ORDER BY device, boot_id, seq
    ), inserted AS (
        INSERT INTO telemetry (device, boot_id, seq, t, site, stream, value)
        SELECT i.device, i.boot_id, i.seq, hz_time(i.t), i.site, i.stream, i.value::jsonb
        FROM incoming i JOIN telemetry_boots b USING (device, boot_id)
        WHERE i.seq > b.contiguous AND (i.seq > b.max_seq OR NOT EXISTS (
            SELECT 1 FROM telemetry k WHERE k.device = i.device AND k.boot_id = i.boot_id AND k.seq = i.seq))
        ON CONFLICT DO NOTHING
        RETURNING device, boot_id, seq
    ), counted AS (
        SELECT r.device, r.boot_id, r.received, count(n.seq) AS inserted, coalesce(max(n.seq), 0) AS max_seq
        FROM unnest($8::text[], $9::uuid[], $10::bigint[]) AS r (device, boot_id, received)
            LEFT JOIN inserted n USING (device, boot_id)
        GROUP BY 1, 2, 3
    )
    UPDATE telemetry_boots b SET
        stored = b.stored + c.inserted,
        duplicates = b.duplicates + c.received - c.inserted,
        max_seq = greatest(b.max_seq, c.max_seq),
        contiguous = CASE WHEN b.stored + c.inserted = greatest(b.max_seq, c.max_seq)
            THEN b.stored + c.inserted ELSE b.contiguous END
    FROM counted c WHERE b.device = c.device AND b.boot_id = c.boot_id
    RETURNING b.device, b.boot_id, b.stored, b.max_seq, b.contiguous, c.inserted, c.received - c.inserted AS repeated";

#[derive(Default)]
struct Columns {
    device: Vec<String>,
    boot: Vec<uuid::Uuid>,
    seq: Vec<i64>,
    t: Vec<i64>,
    site: Vec<String>,
    stream: Vec<String>,
    value: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct Updated {
    device: String,
    boot_id: uuid::Uuid,
    stored: i64,
    max_seq: i64,
    contiguous: i64,
    inserted: i64,
    repeated: i64,
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::store::testing::database;

    fn sample(seq: u64, at: &str) -> Incoming {
        let t = at.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let sample = protocol::telemetry::Sample {
            seq,
            t,
            value: serde_json::json!(seq),
        };
        Incoming {
            site: "s1".parse().unwrap(),
            stream: "dishes".parse().unwrap(),
            batch: Batch {
                version: 1,
                device: "d1".parse().unwrap(),
                boot_id: BootId(uuid::Uuid::nil()),
                samples: vec![sample],
            },
        }
    }

    #[tokio::test]
    async fn days_get_their_partitions_and_old_ones_go() {
        let db = database().await;
        let mut conn = db.pool.acquire().await.unwrap();
        let of = async |table: &str| -> i64 {
            sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
                .fetch_one(&db.pool)
                .await
                .unwrap()
        };
        let early = [
            sample(1, "2026-11-24T10:00:00Z"),
            sample(2, "1970-01-01T00:00:07Z"),
        ];
        insert(&mut conn, &early).await.unwrap();
        assert_eq!(of("telemetry_default").await, 2);
        let today = date(2026, 11, 24);
        make_partitions(&db.pool, today).await.unwrap();
        make_partitions(&db.pool, today).await.unwrap();
        assert_eq!(
            (of("telemetry_20261124").await, of("telemetry_default").await),
            (1, 1)
        );
        // A number that is stored stays a duplicate, whatever time it claims.
        let again = [
            sample(1, "2026-11-25T10:00:00Z"),
            sample(3, "2026-11-27T23:59:59.999999Z"),
        ];
        let stored = insert(&mut conn, &again).await.unwrap();
        assert_eq!(
            (stored[0].stored, stored[0].duplicates, stored[0].contiguous),
            (1, 1, 3)
        );
        assert_eq!(of("telemetry_20261127").await, 1);
        drop_old(&db.pool, date(2026, 11, 27), 2).await.unwrap();
        assert_eq!(
            (of("telemetry").await, summary(&db.pool).await.unwrap().stored),
            (2, 3)
        );
        // Also after its row is gone.
        assert_eq!(insert(&mut conn, &again).await.unwrap()[0].duplicates, 2);
    }
}
