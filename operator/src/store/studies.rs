//! One row a NasJob: what of its search can't be derived from the resource, and the hash of its trainers' token.
//!
//! Also owns the rule that devices measure only while nobody trains: [`measuring`] and [`training`] are asked under
//! one lock, so that two searches can't both be first.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::{StoreError, time};

#[derive(Debug, Clone, PartialEq)]
pub struct StudyRow {
    pub job: Uuid,
    pub generation: i64,
    /// Names everything the result depends on.
    pub spec_key: String,
    /// Names everything the choice of candidates depends on.
    pub search_key: String,
    pub token_hash: Option<String>,
    /// What a strategy that learns goes by.
    pub basis: Option<Value>,
    pub shortlist: Option<Value>,
    /// Trainer Jobs that ended before all trials did.
    pub attempt: i32,
    pub outcome: Option<Value>,
    pub started_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStudy {
    pub job: Uuid,
    pub namespace: String,
    pub name: String,
    pub generation: i64,
    pub spec_key: String,
    pub search_key: String,
}

pub async fn get(db: &PgPool, job: Uuid) -> Result<Option<StudyRow>, StoreError> {
    let sql = "SELECT job, generation, spec_key, search_key, token_hash, basis, shortlist, attempt, outcome,
                      hz_micros(started_at) AS started_at FROM studies WHERE job = $1";
    let row = sqlx::query(sql).bind(job).fetch_optional(db).await?;
    row.map(|row| {
        Ok(StudyRow {
            job: row.try_get("job")?,
            generation: row.try_get("generation")?,
            spec_key: row.try_get("spec_key")?,
            search_key: row.try_get("search_key")?,
            token_hash: row.try_get("token_hash")?,
            basis: row.try_get("basis")?,
            shortlist: row.try_get("shortlist")?,
            attempt: row.try_get("attempt")?,
            outcome: row.try_get("outcome")?,
            started_at: time(row.try_get("started_at")?),
        })
    })
    .transpose()
}

/// Starts a search, or starts it again for a changed spec. What was searched and a shortlist stay while the search
/// key does, failed trials get their tries back, and trained ones stay: what didn't change isn't done twice.
pub async fn begin(conn: &mut PgConnection, new: &NewStudy) -> Result<(), StoreError> {
    let void = "DELETE FROM search_records r USING studies s
                WHERE r.job = s.job AND s.job = $1 AND s.search_key <> $2";
    sqlx::query(void)
        .bind(new.job)
        .bind(&new.search_key)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "INSERT INTO studies AS old (job, namespace, name, generation, spec_key, search_key)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (job) DO UPDATE SET
             basis = CASE WHEN old.search_key = excluded.search_key THEN old.basis END,
             shortlist = CASE WHEN old.search_key = excluded.search_key THEN old.shortlist END,
             generation = excluded.generation, spec_key = excluded.spec_key, search_key = excluded.search_key,
             attempt = 0, pods_at = NULL, outcome = NULL, started_at = now(), finished_at = NULL",
    )
    .bind(new.job)
    .bind(&new.namespace)
    .bind(&new.name)
    .bind(new.generation)
    .bind(&new.spec_key)
    .bind(&new.search_key)
    .execute(&mut *conn)
    .await?;
    let again = "UPDATE trials SET state = 'pending', failures = 0, announced = false
                 WHERE job = $1 AND state = 'failed'";
    sqlx::query(again).bind(new.job).execute(conn).await?;
    Ok(())
}

/// The spec changed in something the result doesn't depend on.
pub async fn set_generation(conn: &mut PgConnection, job: Uuid, generation: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE studies SET generation = $2 WHERE job = $1")
        .bind(job)
        .bind(generation)
        .execute(conn)
        .await?;
    Ok(())
}

/// From now on this token is the job's only one.
pub async fn set_token(conn: &mut PgConnection, job: Uuid, hash: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE studies SET token_hash = $2 WHERE job = $1")
        .bind(job)
        .bind(hash)
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn set_basis(conn: &mut PgConnection, job: Uuid, basis: Option<&Value>) -> Result<(), StoreError> {
    sqlx::query("UPDATE studies SET basis = $2 WHERE job = $1")
        .bind(job)
        .bind(basis)
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn set_shortlist(
    conn: &mut PgConnection,
    job: Uuid,
    shortlist: Option<&Value>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE studies SET shortlist = $2 WHERE job = $1")
        .bind(job)
        .bind(shortlist)
        .execute(conn)
        .await?;
    Ok(())
}

/// A trainer Job ended before its trials did; the next one gets another name.
pub async fn set_attempt(conn: &mut PgConnection, job: Uuid, attempt: i32) -> Result<(), StoreError> {
    sqlx::query("UPDATE studies SET attempt = $2 WHERE job = $1")
        .bind(job)
        .bind(attempt)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes the result down, stops what is left of the training and takes its token's right away.
pub async fn finish(conn: &mut PgConnection, job: Uuid, outcome: &Value) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE studies SET outcome = $2, finished_at = now(), token_hash = NULL, pods_at = NULL WHERE job = $1",
    )
    .bind(job)
    .bind(outcome)
    .execute(&mut *conn)
    .await?;
    sqlx::query("UPDATE trials SET state = 'cancelled' WHERE job = $1 AND state IN ('pending', 'running')")
        .bind(job)
        .execute(conn)
        .await?;
    Ok(())
}

/// The job a trainer's token belongs to.
pub async fn job_of_token(db: &PgPool, hash: &str) -> Result<Option<Uuid>, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT job FROM studies WHERE token_hash = $1")
            .bind(hash)
            .fetch_optional(db)
            .await?,
    )
}

/// Until the transaction ends nobody else starts to measure or to train.
pub async fn lock(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('haizen measure or train'))")
        .execute(conn)
        .await?;
    Ok(())
}

/// Which job other than `asking` trains now, `namespace/name`: a worker holds a lease, or its pods are about to
/// start. A job never waits for itself: its own stages follow each other.
pub async fn training(conn: &mut PgConnection, asking: Uuid) -> Result<Option<String>, StoreError> {
    let sql = "SELECT s.namespace || '/' || s.name FROM studies s WHERE s.job <> $1 AND EXISTS (
                   SELECT 1 FROM trials t WHERE t.job = s.job AND (
                       (t.state = 'running' AND t.lease_expires_at > now())
                       OR (t.state = 'pending' AND s.pods_at > now() - interval '2 minutes')))
               ORDER BY 1 LIMIT 1";
    Ok(sqlx::query_scalar(sql).bind(asking).fetch_optional(conn).await?)
}

/// How many devices are measuring.
pub async fn measuring(conn: &mut PgConnection) -> Result<usize, StoreError> {
    let sql = "SELECT count(*) FROM profile_requests WHERE state = 'open' AND deadline > now()";
    let count: i64 = sqlx::query_scalar(sql).fetch_one(conn).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// The one clock of all that happens here.
pub async fn now(conn: &mut PgConnection) -> Result<Timestamp, StoreError> {
    Ok(time(
        sqlx::query_scalar("SELECT hz_micros(clock_timestamp())")
            .fetch_one(conn)
            .await?,
    ))
}

/// The trainer pods of this job are asked for now.
pub async fn set_pods(conn: &mut PgConnection, job: Uuid) -> Result<(), StoreError> {
    sqlx::query("UPDATE studies SET pods_at = now() WHERE job = $1")
        .bind(job)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets the searches of all other jobs (of the namespace, if only one is watched): their resources are gone.
pub async fn retain(db: &PgPool, jobs: &[Uuid], namespace: Option<&str>) -> Result<u64, StoreError> {
    let sql = "DELETE FROM studies WHERE job <> ALL($1) AND ($2::text IS NULL OR namespace = $2)";
    let done = sqlx::query(sql).bind(jobs).bind(namespace).execute(db).await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{records, testing, trials};

    #[tokio::test]
    async fn nobody_measures_while_another_trains() {
        let db = testing::database().await;
        let mut conn = db.pool.acquire().await.unwrap();
        let (ours, other) = (Uuid::nil(), Uuid::max());
        trials::tests::study(&mut conn, ours).await;
        assert_eq!(training(&mut conn, other).await.unwrap(), None);
        set_pods(&mut conn, ours).await.unwrap();
        assert_eq!(
            training(&mut conn, other).await.unwrap().as_deref(),
            Some("shop/dish")
        );
        assert_eq!(
            training(&mut conn, ours).await.unwrap(),
            None,
            "a search doesn't wait for itself"
        );
        while trials::claim(&mut conn, ours, "w1", Duration::from_mins(1))
            .await
            .unwrap()
            .is_some_and(|t| t.number < 1)
        {
            sqlx::query("UPDATE trials SET worker = 'w0' WHERE worker = 'w1'")
                .execute(&mut *conn)
                .await
                .unwrap();
        }
        assert!(training(&mut conn, other).await.unwrap().is_some());
        finish(&mut conn, ours, &serde_json::json!({})).await.unwrap();
        assert_eq!(training(&mut conn, other).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_shortlist_stays_while_what_it_depends_on_does() {
        let db = testing::database().await;
        let mut conn = db.pool.acquire().await.unwrap();
        let new = |spec_key: &str, search_key: &str| NewStudy {
            job: Uuid::nil(),
            namespace: "shop".into(),
            name: "dish".into(),
            generation: 1,
            spec_key: spec_key.into(),
            search_key: search_key.into(),
        };
        begin(&mut conn, &new("s1", "c1")).await.unwrap();
        set_shortlist(&mut conn, Uuid::nil(), Some(&serde_json::json!([1])))
            .await
            .unwrap();
        set_basis(&mut conn, Uuid::nil(), Some(&serde_json::json!([2])))
            .await
            .unwrap();
        let asked = records::RecordRow {
            target: "pi".into(),
            record: serde_json::from_str(r#"{"id":0,"choices":[1],"feedback":[]}"#).unwrap(),
        };
        records::ask(&mut conn, Uuid::nil(), &[asked]).await.unwrap();
        set_token(&mut conn, Uuid::nil(), "hash").await.unwrap();
        assert_eq!(job_of_token(&db.pool, "hash").await.unwrap(), Some(Uuid::nil()));
        finish(&mut conn, Uuid::nil(), &serde_json::json!({"reason": "x"}))
            .await
            .unwrap();
        assert_eq!(
            job_of_token(&db.pool, "hash").await.unwrap(),
            None,
            "a finished job's pods have no right left"
        );
        begin(&mut conn, &new("s2", "c1")).await.unwrap();
        let study = get(&db.pool, Uuid::nil()).await.unwrap().unwrap();
        let kept = records::of_job(&mut conn, Uuid::nil()).await.unwrap().len();
        assert_eq!((study.shortlist.is_some(), study.outcome), (true, None));
        assert_eq!((study.basis.is_some(), kept), (true, 1));
        begin(&mut conn, &new("s3", "c2")).await.unwrap();
        let study = get(&db.pool, Uuid::nil()).await.unwrap().unwrap();
        assert_eq!((study.shortlist, study.basis), (None, None));
        assert_eq!(records::of_job(&mut conn, Uuid::nil()).await.unwrap(), []);
        assert_eq!(retain(&db.pool, &[Uuid::nil()], None).await.unwrap(), 0);
        assert_eq!(retain(&db.pool, &[], Some("other")).await.unwrap(), 0);
        assert_eq!(retain(&db.pool, &[], Some("shop")).await.unwrap(), 1);
    }
}
