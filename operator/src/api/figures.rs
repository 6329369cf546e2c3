//! Read-only figures of fleet, telemetry and profiles, for screens and reports.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use protocol::id::{DeviceClass, DeviceId, SiteId};
use protocol::reported::Reported;
use serde::Serialize;

use super::{Api, ApiError};
use crate::store;

pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/telemetry/summary", get(telemetry))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceRow {
    device: DeviceId,
    site: SiteId,
    class: DeviceClass,
    online: bool,
    last_seen: jiff::Timestamp,
    reported_at: jiff::Timestamp,
    reported: Reported,
}

async fn devices(State(api): State<Api>) -> Result<Json<Vec<DeviceRow>>, ApiError> {
    let devices = store::devices::list(&api.db, api.config.device_silence()).await?;
    let rows = devices.into_iter().map(|d| DeviceRow {
        device: d.device,
        site: d.site,
        class: d.class,
        online: d.online,
        last_seen: d.last_seen,
        reported_at: d.reported_at,
        reported: d.reported,
    });
    Ok(Json(rows.collect()))
}

async fn telemetry(State(api): State<Api>) -> Result<Json<store::telemetry::Summary>, ApiError> {
    Ok(Json(store::telemetry::summary(&api.db).await?))
}
