//! Rollouts as screens and reports show them: the current one of each pipeline, in figures.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::PgPool;

use super::super::{StoreError, time};

/// One rollout in figures; its devices are rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// `namespace/name`.
    pub pipeline: String,
    pub rollout: String,
    pub revision: String,
    pub from_revision: Option<String>,
    pub state: String,
    pub failure: Option<String>,
    pub started_at: Timestamp,
    pub waves: Vec<WaveSummary>,
    /// Devices by state.
    pub devices: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveSummary {
    pub state: String,
    pub devices: i64,
    pub started_at: Option<Timestamp>,
    /// From its start to its end, or to now.
    pub seconds: Option<f64>,
}

pub async fn summaries(db: &PgPool) -> Result<Vec<Summary>, StoreError> {
    let sql = "SELECT uid, pipeline, revision, from_revision, state, failure_message,
            hz_micros(started_at) AS started_at
        FROM rollouts WHERE current ORDER BY pipeline";
    let rollouts: Vec<RolloutRow> = sqlx::query_as(sql).fetch_all(db).await?;
    let sql = "SELECT w.rollout, w.state, hz_micros(w.started_at) AS started_at,
            extract(epoch FROM coalesce(w.ended_at, now()) - w.started_at)::double precision AS seconds,
            (SELECT count(*) FROM rollout_devices d
                WHERE d.rollout = w.rollout AND d.wave = w.wave AND d.state <> 'Removed') AS devices
        FROM rollout_waves w JOIN rollouts r ON r.uid = w.rollout AND r.current ORDER BY w.rollout, w.wave";
    let waves: Vec<WaveRow> = sqlx::query_as(sql).fetch_all(db).await?;
    let sql = "SELECT d.rollout, d.state, count(*)
        FROM rollout_devices d JOIN rollouts r ON r.uid = d.rollout AND r.current GROUP BY d.rollout, d.state";
    let states: Vec<(String, String, i64)> = sqlx::query_as(sql).fetch_all(db).await?;
    let summary = |row: RolloutRow| {
        let of = |wave: &&WaveRow| wave.rollout == row.uid;
        let in_it = |(rollout, ..): &&(String, String, i64)| *rollout == row.uid;
        Summary {
            waves: waves.iter().filter(of).map(WaveSummary::from).collect(),
            devices: states
                .iter()
                .filter(in_it)
                .map(|(_, state, count)| (state.clone(), *count))
                .collect(),
            pipeline: row.pipeline,
            rollout: row.uid,
            revision: row.revision,
            from_revision: row.from_revision,
            state: row.state,
            failure: row.failure_message,
            started_at: time(row.started_at),
        }
    };
    Ok(rollouts.into_iter().map(summary).collect())
}

#[derive(sqlx::FromRow)]
struct RolloutRow {
    uid: String,
    pipeline: String,
    revision: String,
    from_revision: Option<String>,
    state: String,
    failure_message: Option<String>,
    started_at: i64,
}

#[derive(sqlx::FromRow)]
struct WaveRow {
    rollout: String,
    state: String,
    started_at: Option<i64>,
    seconds: Option<f64>,
    devices: i64,
}

impl From<&WaveRow> for WaveSummary {
    fn from(row: &WaveRow) -> Self {
        Self {
            state: row.state.clone(),
            devices: row.devices,
            started_at: row.started_at.map(time),
            seconds: row.seconds,
        }
    }
}
