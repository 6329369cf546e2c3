//! Health and metrics of this process.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;

/// The process runs. Nothing else: restarting it mends no database.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready, or the reasons why not: `{"ready": false, "reasons": {"postgres": "..."}}`.
pub(super) async fn readyz(State(api): State<Api>) -> Response {
    let reasons = api.health.reasons();
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(serde_json::json!({"ready": reasons.is_empty(), "reasons": reasons})),
    )
        .into_response()
}

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    match api.metrics.text() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
