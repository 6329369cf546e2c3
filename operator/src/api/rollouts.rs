//! The current rollout of each pipeline, for screens and reports.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::{Api, ApiError};
use crate::store::rollouts::{Summary, summaries};

pub(super) fn router() -> Router<Api> {
    Router::new().route("/api/v1/rollouts", get(rollouts))
}

async fn rollouts(State(api): State<Api>) -> Result<Json<Vec<Summary>>, ApiError> {
    Ok(Json(summaries(&api.db).await?))
}
