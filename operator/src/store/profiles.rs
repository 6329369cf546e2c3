//! Measured latencies and the requests that bring them.
//!
//! Owns which answers are believed: a row is written only for a file that was asked for, and only if the
//! figures can be true. Decides nothing about what to ask: that is the plan's.

use jiff::Timestamp;
use protocol::id::Digest;
use protocol::profile::{Measured, ProfileOutcome, ProfileResponse, ProfileResult};
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::{StoreError, micros, time};

/// One file as measured on one class with one runtime.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileRow {
    pub class: String,
    pub runtime_hash: String,
    pub sha256: Digest,
    pub key: String,
    pub p50_us: f64,
    pub p95_us: f64,
    pub min_us: f64,
    pub runs: i32,
    pub disturbed: bool,
    /// How often it was measured; the row holds the quietest of them.
    pub measurements: i32,
    pub device: String,
    pub measured_at: Timestamp,
}

/// Files sent to a device whose answer is awaited.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRow {
    pub id: String,
    pub job: Uuid,
    pub class: String,
    pub runtime_hash: String,
    pub device: String,
    /// The boot of the device that got it: another one has forgotten it.
    pub boot_id: Option<Uuid>,
    pub sha256s: Vec<Digest>,
    pub sent_at: Timestamp,
    pub deadline: Timestamp,
}

/// A request to be written down before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRequest {
    pub id: String,
    pub job: Uuid,
    pub class: String,
    pub runtime_hash: String,
    pub device: String,
    pub boot_id: Option<Uuid>,
    pub files: Vec<(Digest, String)>,
    pub deadline: Timestamp,
}

/// How often a device could not measure a file, or answered what can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    pub sha256: Digest,
    pub key: String,
    pub device: String,
    pub kind: FailureKind,
    pub reason: String,
    pub count: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The device says that it can't run the file.
    Failed,
    /// The device's figures can't be true.
    Implausible,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    pub measured: u32,
    pub failed: u32,
    /// Figures that can't be true; the files are asked for again.
    pub implausible: u32,
    /// Files nobody asked this device for, or an answer to no request.
    pub unasked: u32,
}

/// Everything measured on a class with one runtime.
pub async fn rows(db: &PgPool, class: &str, runtime_hash: &str) -> Result<Vec<ProfileRow>, StoreError> {
    let sql = format!("{SELECT} WHERE class = $1 AND runtime_hash = $2 ORDER BY key");
    sqlx::query(&sql)
        .bind(class)
        .bind(runtime_hash)
        .fetch_all(db)
        .await?
        .iter()
        .map(profile)
        .collect()
}

/// Everything measured, on one class or on all, with whatever runtime.
pub async fn list(db: &PgPool, class: Option<&str>) -> Result<Vec<ProfileRow>, StoreError> {
    let sql = format!("{SELECT} WHERE $1::text IS NULL OR class = $1 ORDER BY class, runtime_hash, key");
    sqlx::query(&sql)
        .bind(class)
        .fetch_all(db)
        .await?
        .iter()
        .map(profile)
        .collect()
}

/// Requests whose answers are awaited, of every job.
pub async fn open_requests(db: &PgPool) -> Result<Vec<RequestRow>, StoreError> {
    let sql = "SELECT id, job, class, runtime_hash, device, boot_id, sha256s, hz_micros(sent_at) AS sent_at,
                      hz_micros(deadline) AS deadline
               FROM profile_requests WHERE state = 'open' ORDER BY sent_at, id";
    sqlx::query(sql)
        .fetch_all(db)
        .await?
        .iter()
        .map(request)
        .collect()
}

/// How many requests each device of the class left unanswered lately.
pub async fn silent(db: &PgPool, class: &str) -> Result<Vec<(String, i64)>, StoreError> {
    let sql = "SELECT device, count(*) FROM profile_requests
               WHERE class = $1 AND state = 'expired' AND sent_at > now() - interval '15 minutes'
               GROUP BY device ORDER BY device";
    Ok(sqlx::query_as(sql).bind(class).fetch_all(db).await?)
}

pub async fn failures(db: &PgPool, class: &str, runtime_hash: &str) -> Result<Vec<FailureRow>, StoreError> {
    let sql = "SELECT sha256, key, device, kind, reason, count FROM profile_failures
               WHERE class = $1 AND runtime_hash = $2 ORDER BY key, device, kind";
    let rows = sqlx::query(sql)
        .bind(class)
        .bind(runtime_hash)
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            let kind: &str = row.try_get("kind")?;
            Ok(FailureRow {
                sha256: digest(row.try_get("sha256")?)?,
                key: row.try_get("key")?,
                device: row.try_get("device")?,
                kind: if kind == "failed" {
                    FailureKind::Failed
                } else {
                    FailureKind::Implausible
                },
                reason: row.try_get("reason")?,
                count: row.try_get("count")?,
            })
        })
        .collect()
}

/// Forgets that these files failed on the class, so that a changed spec may ask for them again.
pub async fn forgive(conn: &mut PgConnection, class: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM profile_failures WHERE class = $1")
        .bind(class)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes a request down. `false`: the device still works on another one.
pub async fn ask(conn: &mut PgConnection, new: &NewRequest) -> Result<bool, StoreError> {
    let sha256s: Vec<&str> = new.files.iter().map(|(sha256, _)| sha256.as_str()).collect();
    let keys: Vec<&str> = new.files.iter().map(|(_, key)| key.as_str()).collect();
    let done = sqlx::query(
        "INSERT INTO profile_requests (id, job, class, runtime_hash, device, boot_id, sha256s, keys, deadline)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, hz_time($9)) ON CONFLICT DO NOTHING",
    )
    .bind(&new.id)
    .bind(new.job)
    .bind(&new.class)
    .bind(&new.runtime_hash)
    .bind(&new.device)
    .bind(new.boot_id)
    .bind(sha256s)
    .bind(keys)
    .bind(micros(new.deadline))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives up waiting. An answer that still comes is taken.
pub async fn expire(conn: &mut PgConnection, id: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE profile_requests SET state = 'expired' WHERE id = $1 AND state = 'open'")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a device's answer; taking it twice changes nothing.
pub async fn record(conn: &mut PgConnection, response: &ProfileResponse) -> Result<Recorded, StoreError> {
    let mut recorded = Recorded::default();
    let asked = sqlx::query(
        "UPDATE profile_requests SET state = 'answered' WHERE id = $1 AND device = $2 AND state <> 'answered'
         RETURNING class, sha256s, keys",
    )
    .bind(&response.id)
    .bind(response.device.as_str())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(asked) = asked else {
        recorded.unasked = response.results.len().max(1) as u32;
        return Ok(recorded);
    };
    let class: String = asked.try_get("class")?;
    let sha256s: Vec<String> = asked.try_get("sha256s")?;
    let keys: Vec<String> = asked.try_get("keys")?;
    for result in &response.results {
        let Some((_, key)) = sha256s
            .iter()
            .zip(&keys)
            .find(|(sha256, _)| sha256.as_str() == result.sha256.as_str())
        else {
            recorded.unasked += 1;
            continue;
        };
        let place = Place {
            class: &class,
            key,
            response,
            result,
        };
        match &result.outcome {
            ProfileOutcome::Measured(measured) => match implausible(measured) {
                None => {
                    keep(conn, &place, measured).await?;
                    recorded.measured += 1;
                }
                Some(reason) => {
                    fail(conn, &place, "implausible", &reason).await?;
                    recorded.implausible += 1;
                }
            },
            ProfileOutcome::Failed(reason) => {
                fail(conn, &place, "failed", reason).await?;
                recorded.failed += 1;
            }
        }
    }
    if recorded.implausible + recorded.unasked > 0 {
        tracing::warn!(device = %response.device, request = response.id, ?recorded, "part of a profile is not believed");
    }
    Ok(recorded)
}

/// Removes answered and expired requests that no decision looks at any more.
pub async fn sweep(db: &PgPool) -> Result<u64, StoreError> {
    let sql = "DELETE FROM profile_requests WHERE state <> 'open' AND sent_at < now() - interval '1 day'";
    Ok(sqlx::query(sql).execute(db).await?.rows_affected())
}

/// Why the figures can't be true; a device may lie, be broken, or count in the wrong unit.
pub fn implausible(measured: &Measured) -> Option<String> {
    const FASTEST_US: f64 = 0.5;
    const SLOWEST_US: f64 = 60e6;
    let Measured {
        p50_us,
        p95_us,
        min_us,
        runs,
        disturbed: _,
    } = *measured;
    let figures = || format!("min {min_us} us, p50 {p50_us} us, p95 {p95_us} us in {runs} runs");
    let finite = [min_us, p50_us, p95_us].iter().all(|us| us.is_finite());
    if !finite || min_us < FASTEST_US || p95_us > SLOWEST_US {
        return Some(format!("{} is outside {FASTEST_US} us to 60 s", figures()));
    }
    if min_us > p50_us || p50_us > p95_us {
        return Some(format!("{} is not in order", figures()));
    }
    (runs == 0).then(|| format!("{} has no run", figures()))
}

struct Place<'a> {
    class: &'a str,
    key: &'a str,
    response: &'a ProfileResponse,
    result: &'a ProfileResult,
}

/// An undisturbed measurement beats a disturbed one, then the faster one: other load only ever adds time.
async fn keep(conn: &mut PgConnection, place: &Place<'_>, measured: &Measured) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO profiles AS old
             (class, runtime_hash, sha256, key, p50_us, p95_us, min_us, runs, disturbed, device)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (class, runtime_hash, sha256) DO UPDATE SET
             (p50_us, p95_us, min_us, runs, disturbed, device, measured_at) = (
                 SELECT p50_us, p95_us, min_us, runs, disturbed, device, measured_at FROM (VALUES
                     (old.p50_us, old.p95_us, old.min_us, old.runs, old.disturbed, old.device, old.measured_at),
                     (excluded.p50_us, excluded.p95_us, excluded.min_us, excluded.runs, excluded.disturbed,
                      excluded.device, now())
                 ) AS both_of (p50_us, p95_us, min_us, runs, disturbed, device, measured_at)
                 ORDER BY disturbed, p95_us LIMIT 1),
             measurements = old.measurements + 1, key = excluded.key",
    )
    .bind(place.class)
    .bind(&place.response.runtime.hash)
    .bind(place.result.sha256.as_str())
    .bind(place.key)
    .bind(measured.p50_us)
    .bind(measured.p95_us)
    .bind(measured.min_us)
    .bind(i32::try_from(measured.runs).unwrap_or(i32::MAX))
    .bind(measured.disturbed)
    .bind(place.response.device.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

async fn fail(
    conn: &mut PgConnection,
    place: &Place<'_>,
    kind: &str,
    reason: &str,
) -> Result<(), StoreError> {
    let reason: String = reason.chars().filter(|c| *c != '\0').take(500).collect();
    sqlx::query(
        "INSERT INTO profile_failures AS old (class, runtime_hash, sha256, device, key, kind, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (class, runtime_hash, sha256, device, kind) DO UPDATE SET
             count = old.count + 1, reason = excluded.reason, last_at = now()",
    )
    .bind(place.class)
    .bind(&place.response.runtime.hash)
    .bind(place.result.sha256.as_str())
    .bind(place.response.device.as_str())
    .bind(place.key)
    .bind(kind)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}

const SELECT: &str = "SELECT class, runtime_hash, sha256, key, p50_us, p95_us, min_us, runs, disturbed,
    measurements, device, hz_micros(measured_at) AS measured_at FROM profiles";

fn profile(row: &sqlx::postgres::PgRow) -> Result<ProfileRow, StoreError> {
    Ok(ProfileRow {
        class: row.try_get("class")?,
        runtime_hash: row.try_get("runtime_hash")?,
        sha256: digest(row.try_get("sha256")?)?,
        key: row.try_get("key")?,
        p50_us: row.try_get("p50_us")?,
        p95_us: row.try_get("p95_us")?,
        min_us: row.try_get("min_us")?,
        runs: row.try_get("runs")?,
        disturbed: row.try_get("disturbed")?,
        measurements: row.try_get("measurements")?,
        device: row.try_get("device")?,
        measured_at: time(row.try_get("measured_at")?),
    })
}

fn request(row: &sqlx::postgres::PgRow) -> Result<RequestRow, StoreError> {
    let sha256s: Vec<String> = row.try_get("sha256s")?;
    Ok(RequestRow {
        id: row.try_get("id")?,
        job: row.try_get("job")?,
        class: row.try_get("class")?,
        runtime_hash: row.try_get("runtime_hash")?,
        device: row.try_get("device")?,
        boot_id: row.try_get("boot_id")?,
        sha256s: sha256s
            .iter()
            .map(|text| digest(text))
            .collect::<Result<_, _>>()?,
        sent_at: time(row.try_get("sent_at")?),
        deadline: time(row.try_get("deadline")?),
    })
}

fn digest(text: &str) -> Result<Digest, StoreError> {
    text.parse().map_err(|e| StoreError::Corrupt {
        table: "profiles",
        reason: format!("{e}"),
    })
}

#[cfg(test)]
mod tests;
