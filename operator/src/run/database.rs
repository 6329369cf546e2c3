//! The pool, the schema, and the housekeeping of partitions.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::args::Database;
use crate::health::{Dependency, Health, causes};
use crate::store;

/// Connects when first used: the database may be away at the start.
pub(super) fn pool(database: &Database) -> anyhow::Result<PgPool> {
    // Never the URL itself in the error: it may hold a password.
    let mut options: PgConnectOptions = database
        .database_url
        .parse()
        .context("--database-url is no postgres:// URL")?;
    if let Some(path) = &database.database_password_file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("password file of the database {}", path.display()))?;
        options = options.password(text.trim_end());
    } else if let Some(password) = &database.database_password {
        options = options.password(password);
    }
    let options = options.application_name("haizen-operator");
    Ok(PgPoolOptions::new()
        .max_connections(database.database_connections)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(Duration::from_mins(1))
        .connect_lazy_with(options))
}

/// Until the schema is as this binary needs it.
pub(super) async fn migrate(db: &PgPool, health: &Health) {
    let mut pause = Duration::from_millis(250);
    loop {
        match store::migrator().run(db).await {
            Ok(()) => break,
            Err(error) => health.down(
                Dependency::Schema,
                format!("migrating the database: {}", causes(&error)),
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
    health.up(Dependency::Schema);
}

/// Makes partitions ahead and drops old ones, now and every hour.
pub(super) async fn keep_partitions(db: PgPool, days: u32, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_hours(1));
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let kept = async {
            store::telemetry::make_partitions(&db, today).await?;
            store::telemetry::drop_old(&db, today, days).await
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "partitions of telemetry wait for the next hour; the default one takes the rows");
        }
    }
}
