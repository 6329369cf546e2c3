//! Rollouts, their waves and their devices.
//!
//! The planner decides, ingest takes devices' steps; both change the same rows. A change of the planner is
//! refused if the row is no longer what it planned on.

mod history;
mod steps;

use std::collections::BTreeMap;

use rollout::facts::{DeviceState, Failure, Rollout, RolloutState, Row, Wave, WaveState};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, micros, time};

pub use history::{Summary, WaveSummary, summaries};
pub use steps::{Applied, apply_ack, apply_progress};

/// The newest rollout of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    pub owner: Uuid,
    pub number: u32,
    pub from_revision: Option<String>,
    pub spec_key: String,
    pub rollout: Rollout,
    pub waves: Vec<Wave>,
    /// By device.
    pub rows: BTreeMap<String, Row>,
}

/// A rollout about to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct New {
    pub pipeline: String,
    pub owner: Uuid,
    pub number: u32,
    pub from_revision: Option<String>,
    pub spec_key: String,
}

pub async fn current(conn: &mut PgConnection, pipeline: &str) -> Result<Option<Current>, StoreError> {
    let sql = "SELECT uid, owner, number, revision, from_revision, spec_key, state, failure_reason,
            failure_message, hz_micros(progress_at) AS progress_at, hz_micros(paused_at) AS paused_at
        FROM rollouts WHERE pipeline = $1 AND current";
    let Some(row) = sqlx::query_as::<_, RolloutRow>(sql)
        .bind(pipeline)
        .fetch_optional(&mut *conn)
        .await?
    else {
        return Ok(None);
    };
    let waves = waves(conn, &row.uid).await?;
    let rows = rows(conn, &row.uid).await?;
    let RolloutRow {
        uid,
        owner,
        number,
        revision,
        from_revision,
        spec_key,
        state,
        ..
    } = row;
    let failure = row.failure_reason.zip(row.failure_message);
    let rollout = Rollout {
        state: RolloutState::parse(&state).ok_or_else(|| corrupt("rollouts", &uid, &state))?,
        uid,
        revision,
        failure: failure.map(|(reason, message)| Failure { reason, message }),
        progress_at: time(row.progress_at),
        paused_at: row.paused_at.map(time),
    };
    Ok(Some(Current {
        owner,
        number: number as u32,
        from_revision,
        spec_key,
        rollout,
        waves,
        rows,
    }))
}

/// Begins a rollout; the one before it is history from now on.
pub async fn begin(conn: &mut PgConnection, new: &New, rollout: &Rollout) -> Result<(), StoreError> {
    end(conn, &new.pipeline).await?;
    let New {
        pipeline,
        owner,
        number,
        from_revision,
        spec_key,
    } = new;
    let sql = "INSERT INTO rollouts
            (uid, pipeline, owner, number, revision, from_revision, spec_key, state, progress_at, started_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, hz_time($9), hz_time($9))";
    sqlx::query(sql)
        .bind(&rollout.uid)
        .bind(pipeline)
        .bind(owner)
        .bind(*number as i32)
        .bind(&rollout.revision)
        .bind(from_revision)
        .bind(spec_key)
        .bind(rollout.state.as_str())
        .bind(micros(rollout.progress_at))
        .execute(conn)
        .await?;
    Ok(())
}

/// The pipeline has no current rollout any more.
pub async fn end(conn: &mut PgConnection, pipeline: &str) -> Result<(), StoreError> {
    let sql = "UPDATE rollouts SET current = false WHERE pipeline = $1 AND current";
    sqlx::query(sql).bind(pipeline).execute(conn).await?;
    Ok(())
}

/// Where the rollout as a whole stands.
pub async fn save(conn: &mut PgConnection, rollout: &Rollout, waves: &[Wave]) -> Result<(), StoreError> {
    let Rollout {
        uid,
        revision: _,
        state,
        failure,
        progress_at,
        paused_at,
    } = rollout;
    let sql = "UPDATE rollouts SET state = $2, failure_reason = $3, failure_message = $4,
        progress_at = hz_time($5), paused_at = hz_time($6) WHERE uid = $1";
    sqlx::query(sql)
        .bind(uid)
        .bind(state.as_str())
        .bind(failure.as_ref().map(|f| &f.reason))
        .bind(failure.as_ref().map(|f| &f.message))
        .bind(micros(*progress_at))
        .bind(paused_at.map(micros))
        .execute(&mut *conn)
        .await?;
    for (index, wave) in waves.iter().enumerate() {
        let sql = "INSERT INTO rollout_waves (rollout, wave, state, started_at, ended_at)
            VALUES ($1, $2, $3, hz_time($4), hz_time($5))
            ON CONFLICT (rollout, wave) DO UPDATE SET state = $3, started_at = hz_time($4), ended_at = hz_time($5)";
        sqlx::query(sql)
            .bind(uid)
            .bind(index as i32)
            .bind(wave.state.as_str())
            .bind(wave.started_at.map(micros))
            .bind(wave.ended_at.map(micros))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Writes a device's row if it still is as it `was`; false if it isn't.
pub async fn save_row(
    conn: &mut PgConnection,
    rollout: &str,
    device: &str,
    was: Option<&Row>,
    row: &Row,
) -> Result<bool, StoreError> {
    let sql = match was {
        None => {
            "INSERT INTO rollout_devices
                (rollout, device, wave, state, attempt, offered_at, finished_at, code, message)
             VALUES ($1, $2, $3, $4, $5, hz_time($6), hz_time($7), $8, $9) ON CONFLICT DO NOTHING"
        }
        Some(_) => {
            "UPDATE rollout_devices SET wave = $3, state = $4, attempt = $5, offered_at = hz_time($6),
                finished_at = hz_time($7), code = $8, message = $9
             WHERE rollout = $1 AND device = $2 AND state = $10 AND attempt = $11"
        }
    };
    let Row {
        wave,
        state,
        attempt,
        offered_at,
        finished_at,
        code,
        message,
    } = row;
    let mut query = sqlx::query(sql)
        .bind(rollout)
        .bind(device)
        .bind(*wave as i32)
        .bind(state.as_str())
        .bind(*attempt as i32)
        .bind(offered_at.map(micros))
        .bind(finished_at.map(micros))
        .bind(code)
        .bind(message);
    if let Some(was) = was {
        query = query.bind(was.state.as_str()).bind(was.attempt as i32);
    }
    Ok(query.execute(conn).await?.rows_affected() == 1)
}

/// Keeps what a device was last healthy with, for when it has to go back.
pub async fn keep_previous(conn: &mut PgConnection, rollout: &str, device: &str) -> Result<(), StoreError> {
    let sql = "UPDATE rollout_devices SET previous = (SELECT good FROM desired WHERE desired.device = $2)
        WHERE rollout = $1 AND device = $2";
    sqlx::query(sql).bind(rollout).bind(device).execute(conn).await?;
    Ok(())
}

/// What the devices ran before the rollout first reached them.
pub async fn previous(
    conn: &mut PgConnection,
    rollout: &str,
) -> Result<BTreeMap<String, protocol::desired::Desired>, StoreError> {
    let sql = "SELECT device, previous FROM rollout_devices WHERE rollout = $1 AND previous IS NOT NULL";
    let rows: Vec<(String, serde_json::Value)> = sqlx::query_as(sql).bind(rollout).fetch_all(conn).await?;
    let read = |(device, value): (String, serde_json::Value)| match serde_json::from_value(value) {
        Ok(document) => Ok((device, document)),
        Err(e) => Err(corrupt("rollout_devices", &device, &e.to_string())),
    };
    rows.into_iter().map(read).collect()
}

/// Held while rows of rollouts and documents are written: planner and ingest lock rows in different orders.
pub async fn lock(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(1919904876)")
        .execute(conn)
        .await?;
    Ok(())
}

async fn waves(conn: &mut PgConnection, uid: &str) -> Result<Vec<Wave>, StoreError> {
    let sql = "SELECT state, hz_micros(started_at), hz_micros(ended_at) FROM rollout_waves
        WHERE rollout = $1 ORDER BY wave";
    let rows: Vec<(String, Option<i64>, Option<i64>)> = sqlx::query_as(sql).bind(uid).fetch_all(conn).await?;
    let read = |(state, started, ended): (String, Option<i64>, Option<i64>)| {
        let state = WaveState::parse(&state).ok_or_else(|| corrupt("rollout_waves", uid, &state))?;
        Ok(Wave {
            state,
            started_at: started.map(time),
            ended_at: ended.map(time),
        })
    };
    rows.into_iter().map(read).collect()
}

async fn rows(conn: &mut PgConnection, uid: &str) -> Result<BTreeMap<String, Row>, StoreError> {
    let sql = "SELECT device, wave, state, attempt, hz_micros(offered_at) AS offered_at,
            hz_micros(finished_at) AS finished_at, code, message
        FROM rollout_devices WHERE rollout = $1";
    let rows = sqlx::query_as::<_, DeviceRow>(sql)
        .bind(uid)
        .fetch_all(conn)
        .await?;
    let read = |row: DeviceRow| {
        let DeviceRow {
            device,
            wave,
            state,
            attempt,
            offered_at,
            finished_at,
            code,
            message,
        } = row;
        let state = DeviceState::parse(&state).ok_or_else(|| corrupt("rollout_devices", &device, &state))?;
        let row = Row {
            wave: wave as usize,
            state,
            attempt: attempt as u32,
            offered_at: offered_at.map(time),
            finished_at: finished_at.map(time),
            code,
            message,
        };
        Ok((device, row))
    };
    rows.into_iter().map(read).collect()
}

fn corrupt(table: &'static str, key: &str, value: &str) -> StoreError {
    StoreError::Corrupt {
        table,
        reason: format!("{key}: {value}"),
    }
}

#[derive(sqlx::FromRow)]
struct RolloutRow {
    uid: String,
    owner: Uuid,
    number: i32,
    revision: String,
    from_revision: Option<String>,
    spec_key: String,
    state: String,
    failure_reason: Option<String>,
    failure_message: Option<String>,
    progress_at: i64,
    paused_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct DeviceRow {
    device: String,
    wave: i32,
    state: String,
    attempt: i32,
    offered_at: Option<i64>,
    finished_at: Option<i64>,
    code: Option<String>,
    message: Option<String>,
}
