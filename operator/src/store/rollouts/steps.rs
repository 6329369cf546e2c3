//! Steps of devices: taken at most once, never backwards, and only of the document last written.

use protocol::ack::{Ack, Phase};
use protocol::desired::Order;
use protocol::id::DeviceId;
use protocol::reported::Reported;
use rollout::facts::DeviceState;
use sqlx::PgConnection;

use super::super::StoreError;

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Taken,
    /// Of an older document, or not further than what is known.
    Stale,
    /// Nothing was ever written for this device.
    Unknown,
}

pub async fn apply_ack(conn: &mut PgConnection, ack: &Ack) -> Result<Applied, StoreError> {
    let step = Step {
        device: &ack.device,
        rollout: &ack.rollout,
        order: ack.order,
        attempt: ack.attempt,
        phase: ack.phase,
        code: ack.code.as_deref(),
        message: ack.message.as_deref(),
    };
    take(conn, &step).await
}

/// A report repairs lost acks, and is the only sign that a device runs nothing.
pub async fn apply_progress(conn: &mut PgConnection, reported: &Reported) -> Result<(), StoreError> {
    if let Some(progress) = &reported.progress {
        let step = Step {
            device: &reported.device,
            rollout: &progress.rollout,
            order: progress.order,
            attempt: progress.attempt,
            phase: progress.phase,
            code: progress.code.as_deref(),
            message: progress.message.as_deref(),
        };
        take(conn, &step).await?;
    }
    if reported.active.is_none() {
        cleared(conn, &reported.device).await?;
    }
    Ok(())
}

struct Step<'a> {
    device: &'a DeviceId,
    rollout: &'a str,
    order: Order,
    attempt: u32,
    phase: Phase,
    code: Option<&'a str>,
    message: Option<&'a str>,
}

#[derive(sqlx::FromRow)]
struct Known {
    epoch: i64,
    generation: i64,
    rollout: String,
    attempt: i32,
    settled: bool,
    /// None: the device has no row in that rollout.
    state: Option<String>,
}

const KNOWN: &str = "SELECT d.epoch, d.generation, d.rollout, d.attempt, d.settled, r.state
    FROM desired d LEFT JOIN rollout_devices r ON r.rollout = d.rollout AND r.device = d.device
    WHERE d.device = $1";

async fn take(conn: &mut PgConnection, step: &Step<'_>) -> Result<Applied, StoreError> {
    // Most reports repeat what is known: only what may be new waits for the lock.
    let read = || sqlx::query_as::<_, Known>(KNOWN).bind(step.device.as_str());
    match read().fetch_optional(&mut *conn).await? {
        None => return Ok(Applied::Unknown),
        Some(known) if known.settled || !known.is_of(step) => return Ok(Applied::Stale),
        Some(_) => {}
    }
    super::lock(conn).await?;
    let Some(known) = read().fetch_optional(&mut *conn).await? else {
        return Ok(Applied::Unknown);
    };
    if known.settled || !known.is_of(step) {
        return Ok(Applied::Stale);
    }
    let state = known.state.as_deref().and_then(DeviceState::parse);
    let next = state.and_then(|state| next_state(state, step.phase));
    if let Some(next) = next {
        set(conn, step, next).await?;
    }
    if step.phase.is_final() {
        settle(conn, step).await?;
    }
    Ok(if next.is_some() || step.phase.is_final() {
        Applied::Taken
    } else {
        Applied::Stale
    })
}

impl Known {
    fn is_of(&self, step: &Step<'_>) -> bool {
        let order = Order {
            epoch: self.epoch as u64,
            generation: self.generation as u64,
        };
        order == step.order && self.rollout == step.rollout && self.attempt == step.attempt as i32
    }
}

/// None: the step changes nothing.
fn next_state(state: DeviceState, phase: Phase) -> Option<DeviceState> {
    if state == DeviceState::RollingBack {
        return match phase {
            Phase::Healthy => Some(DeviceState::RolledBack),
            Phase::Failed | Phase::Rejected => Some(DeviceState::RollbackFailed),
            Phase::Received
            | Phase::Downloading
            | Phase::Verified
            | Phase::Staged
            | Phase::Activating
            | Phase::Baking => None,
        };
    }
    let next = match phase {
        Phase::Received => DeviceState::Received,
        Phase::Downloading => DeviceState::Downloading,
        Phase::Verified => DeviceState::Verified,
        Phase::Staged => DeviceState::Staged,
        Phase::Activating => DeviceState::Activating,
        Phase::Baking => DeviceState::Baking,
        Phase::Healthy => DeviceState::Healthy,
        Phase::Failed => DeviceState::Failed,
        Phase::Rejected => DeviceState::Rejected,
    };
    (state.is_under_way() && next > state).then_some(next)
}

async fn set(conn: &mut PgConnection, step: &Step<'_>, next: DeviceState) -> Result<(), StoreError> {
    let sql = "UPDATE rollout_devices SET state = $3,
        code = CASE WHEN $7 THEN code ELSE $4 END, message = CASE WHEN $7 THEN message ELSE $5 END,
        finished_at = CASE WHEN $6 THEN now() END WHERE rollout = $1 AND device = $2";
    sqlx::query(sql)
        .bind(step.rollout)
        .bind(step.device.as_str())
        .bind(next.as_str())
        .bind(step.code.map(short))
        .bind(step.message.map(short))
        .bind(!next.is_changing())
        // Why it had to go back stays said.
        .bind(next == DeviceState::RolledBack)
        .execute(conn)
        .await?;
    Ok(())
}

async fn settle(conn: &mut PgConnection, step: &Step<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE desired SET settled = true, good = CASE WHEN $2 THEN document ELSE good END WHERE device = $1";
    sqlx::query(sql)
        .bind(step.device.as_str())
        .bind(step.phase == Phase::Healthy)
        .execute(conn)
        .await?;
    Ok(())
}

/// A device that was told to run nothing, and runs nothing.
async fn cleared(conn: &mut PgConnection, device: &DeviceId) -> Result<(), StoreError> {
    let open = "SELECT EXISTS (SELECT FROM desired WHERE device = $1 AND document IS NULL AND NOT settled)";
    if !sqlx::query_scalar::<_, bool>(open)
        .bind(device.as_str())
        .fetch_one(&mut *conn)
        .await?
    {
        return Ok(());
    }
    super::lock(conn).await?;
    let sql = "WITH done AS (
            UPDATE desired SET settled = true WHERE device = $1 AND document IS NULL AND NOT settled
            RETURNING device, rollout
        )
        UPDATE rollout_devices r SET state = $2, finished_at = now()
        FROM done WHERE r.rollout = done.rollout AND r.device = done.device AND r.state = $3";
    sqlx::query(sql)
        .bind(device.as_str())
        .bind(DeviceState::RolledBack.as_str())
        .bind(DeviceState::RollingBack.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Devices may write long stories.
fn short(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(500).collect()
}
