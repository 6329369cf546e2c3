//! The leader's term. Each new leader raises it; a write within a transaction that first calls [`fence`] can't come
//! from a leader whose term is over, however long its process was frozen.

use sqlx::{PgConnection, PgPool};

use super::StoreError;

/// Begins a new term.
pub async fn begin(db: &PgPool, holder: &str) -> Result<u64, StoreError> {
    let sql = "UPDATE leadership SET epoch = epoch + 1, holder = $1, since = now() RETURNING epoch";
    let epoch: i64 = sqlx::query_scalar(sql).bind(holder).fetch_one(db).await?;
    Ok(epoch as u64)
}

/// Refuses to go on if a newer term has begun; holds off a newer one until the transaction ends.
pub async fn fence(conn: &mut PgConnection, ours: u64) -> Result<(), StoreError> {
    let current: i64 = sqlx::query_scalar("SELECT epoch FROM leadership FOR SHARE")
        .fetch_one(conn)
        .await?;
    let current = current as u64;
    if current == ours {
        Ok(())
    } else {
        Err(StoreError::Fenced { ours, current })
    }
}

/// After the database was restored from an older copy, devices know higher epochs than it: catch up with them.
/// Ends the current term.
pub async fn raise(db: &PgPool, seen: u64) -> Result<(), StoreError> {
    let sql = "UPDATE leadership SET epoch = $1, since = now() WHERE epoch < $1";
    sqlx::query(sql).bind(seen as i64).execute(db).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn an_older_term_is_refused() {
        let db = testing::database().await;
        let first = begin(&db.pool, "a").await.unwrap();
        let mut conn = db.pool.acquire().await.unwrap();
        fence(&mut conn, first).await.unwrap();
        let second = begin(&db.pool, "b").await.unwrap();
        assert_eq!(second, first + 1);
        let refused = fence(&mut conn, first).await.unwrap_err();
        assert!(matches!(refused, StoreError::Fenced { .. }) && !refused.is_transient());
        raise(&db.pool, 70).await.unwrap();
        raise(&db.pool, 60).await.unwrap();
        assert_eq!(begin(&db.pool, "c").await.unwrap(), 71);
    }
}
