//! The latencies that were measured, for screens and reports.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::{Api, ApiError};
use crate::store;
use crate::store::profiles::ProfileRow;

pub(super) fn router() -> Router<Api> {
    Router::new().route("/api/v1/profiles", get(profiles))
}

#[derive(Deserialize)]
struct Filter {
    class: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    class: String,
    runtime_hash: String,
    sha256: String,
    key: String,
    p50_us: f64,
    p95_us: f64,
    min_us: f64,
    runs: i32,
    disturbed: bool,
    measurements: i32,
    device: String,
    measured_at: jiff::Timestamp,
}

/// Of one class, or of all.
async fn profiles(State(api): State<Api>, Query(filter): Query<Filter>) -> Result<Json<Vec<Row>>, ApiError> {
    let rows = store::profiles::list(&api.db, filter.class.as_deref()).await?;
    let row = |ProfileRow {
                   class,
                   runtime_hash,
                   sha256,
                   key,
                   p50_us,
                   p95_us,
                   min_us,
                   runs,
                   disturbed,
                   measurements,
                   device,
                   measured_at,
               }| Row {
        class,
        runtime_hash,
        sha256: sha256.as_str().to_owned(),
        key,
        p50_us,
        p95_us,
        min_us,
        runs,
        disturbed,
        measurements,
        device,
        measured_at,
    };
    Ok(Json(rows.into_iter().map(row).collect()))
}
