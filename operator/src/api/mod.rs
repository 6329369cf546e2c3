//! HTTP: blobs, the trainer's contract, read-only figures, health and metrics. Served by every replica.

mod blobs;
mod error;
mod figures;
mod profiles;
mod rollouts;
mod state;
mod trainer;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use sqlx::PgPool;

use crate::args::Config;
use crate::blobs::Blobs;
use crate::change::Changes;
use crate::health::Health;
use crate::metrics::Metrics;

pub use error::ApiError;

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct Api {
    pub db: PgPool,
    pub blobs: Blobs,
    pub changes: Changes,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    pub config: Arc<Config>,
}

/// All routes; one line an area.
pub fn router(api: Api) -> Router {
    Router::new()
        .merge(blobs::router())
        .merge(figures::router())
        .merge(profiles::router())
        .merge(rollouts::router())
        .merge(trainer::router())
        .route("/healthz", get(state::healthz))
        .route("/readyz", get(state::readyz))
        .route("/metrics", get(state::metrics))
        .fallback(|| async { ApiError::NotFound("no such path".into()) })
        .with_state(api)
}

#[cfg(test)]
mod tests;
