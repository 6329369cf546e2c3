//! Postgres: one file a table, concrete functions over `&PgPool` or `&mut PgConnection`, rows as plain structs.
//!
//! Times cross as [`jiff::Timestamp`] through the SQL functions `hz_time(bigint)` and `hz_micros(timestamptz)`
//! and [`time`] / [`micros`] here: microseconds on the wire, `timestamptz` in the tables.

pub mod desired;
pub mod devices;
pub mod leadership;
pub mod models;
pub mod profiles;
pub mod records;
pub mod revisions;
pub mod rollouts;
pub mod studies;
pub mod telemetry;
#[cfg(test)]
pub mod testing;
pub mod trials;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("database: row of {table} can't be read: {reason}")]
    Corrupt { table: &'static str, reason: String },
    #[error("this operator's term {ours} is over, term {current} has begun: restart")]
    Fenced { ours: u64, current: u64 },
}

impl StoreError {
    /// The database is away or overloaded: the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                // Connection, resources, operator intervention, rollback by concurrency, read-only after a failover.
                ["08", "53", "57", "40"]
                    .iter()
                    .any(|class| code.starts_with(class))
                    || code == "25006"
            }),
            Self::Sql(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            Self::Sql(_) | Self::Corrupt { .. } | Self::Fenced { .. } => false,
        }
    }

    /// A newer term has begun: nothing this process writes counts any more.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }

    /// The database refuses what it was given, and always will.
    pub fn is_refusal(&self) -> bool {
        match self {
            // Data, integrity, and limits such as the size of an index row.
            Self::Sql(sqlx::Error::Database(error)) => error
                .code()
                .is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class))),
            Self::Sql(sqlx::Error::Encode(_)) => true,
            Self::Sql(_) | Self::Corrupt { .. } | Self::Fenced { .. } => false,
        }
    }
}

/// Embedded; an older binary runs on a newer schema.
pub fn migrator() -> sqlx::migrate::Migrator {
    let mut migrator = sqlx::migrate!("../migrations");
    migrator.set_ignore_missing(true);
    migrator
}

/// As much of a text as is kept; Postgres takes no NUL.
fn text(text: &str, limit: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(limit).collect()
}

/// Microseconds since 1970, for `hz_time($n)`.
pub fn micros(at: jiff::Timestamp) -> i64 {
    at.as_microsecond()
}

/// From `hz_micros(column)`.
pub fn time(micros: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default()
}
