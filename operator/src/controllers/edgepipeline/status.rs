//! What was planned and applied, as the resource's status: kstatus-correct, counts only.
//!
//! Pure; the one patch is in `mod`, and only if something differs.

use std::collections::BTreeMap;

use crds::conditions::{Stated, Verdict as Truth, merge, types};
use crds::edgepipeline::{DeviceCounts, EdgePipelineStatus, FailingDevice};
use jiff::Timestamp;
use rollout::facts::{Device, DeviceState, Row, WaveState};
use rollout::plan::Verdict;
use rollout::policy::RolloutPolicy;

use super::plan::{Fleet, Planned};
use super::validate::{Refusal, Validated};

/// Devices named in a status; all of them are in the database.
const MAX_FAILING: usize = 20;

/// Everything a status is told from.
#[derive(Debug)]
pub struct Told<'a> {
    pub generation: i64,
    pub now: Timestamp,
    pub policy: &'a RolloutPolicy,
    pub validated: &'a Result<Validated, Refusal>,
    pub fleet: &'a Fleet,
    pub planned: Option<&'a Planned>,
}

pub fn status(old: Option<&EdgePipelineStatus>, told: &Told<'_>) -> EdgePipelineStatus {
    let old_conditions = old.map_or(&[][..], |old| &old.conditions);
    let devices = told.planned.map(|planned| after(planned)).unwrap_or_default();
    let counts = counts(told, &devices);
    let stated = stated(told, counts, &devices);
    EdgePipelineStatus {
        observed_generation: Some(told.generation),
        conditions: merge(old_conditions, &stated, told.generation, told.now),
        revision: told.planned.map(|p| p.plan.rollout.revision.clone()),
        previous_revision: told.planned.and_then(|p| p.from_revision.clone()),
        wave: told.planned.and_then(wave),
        devices: counts,
        failing: failing(told, &devices),
    }
}

/// Devices with their rows as the plan leaves them.
fn after(planned: &Planned) -> Vec<(&Device, &Row)> {
    let new: BTreeMap<_, _> = planned
        .plan
        .rows
        .iter()
        .map(|(id, row)| (id.as_str(), row))
        .collect();
    let row = |device: &'_ _| -> Option<&Row> {
        let device: &Device = device;
        new.get(device.id.as_str()).copied()
    };
    planned
        .facts
        .devices
        .iter()
        .filter_map(|device| Some((device, row(device).or(device.row.as_ref())?)))
        .filter(|(_, row)| row.state != DeviceState::Removed)
        .collect()
}

fn counts(told: &Told<'_>, devices: &[(&Device, &Row)]) -> DeviceCounts {
    let count = |which: &dyn Fn(&Device, &Row) -> bool| {
        devices.iter().filter(|(device, row)| which(device, row)).count() as u32
    };
    let healthy = |state| matches!(state, DeviceState::Healthy | DeviceState::AlreadyCurrent);
    DeviceCounts {
        matched: told.fleet.owned.len() as u32,
        updated: count(&|_, row| row.state.is_under_way() || healthy(row.state)),
        ready: count(&|_, row| healthy(row.state)),
        failed: count(&|_, row| is_bad(row)),
        unreachable: count(&|device, _| is_unreachable(told, device)),
    }
}

/// Failed, also if it has gone back since.
fn is_bad(row: &Row) -> bool {
    let back = matches!(row.state, DeviceState::RollingBack | DeviceState::RolledBack);
    row.state.is_failure() || row.state == DeviceState::RollbackFailed || (back && row.code.is_some())
}

fn is_unreachable(told: &Told<'_>, device: &Device) -> bool {
    let grace = told.policy.offline_grace.get();
    !device.online
        && device
            .seen_at
            .checked_add(grace)
            .is_ok_and(|until| told.now >= until)
}

/// Passed waves and the one that runs, of all: `2/4`.
fn wave(planned: &Planned) -> Option<String> {
    let waves = &planned.plan.waves;
    let begun = waves
        .iter()
        .take_while(|wave| wave.state == WaveState::Passed)
        .count();
    let runs = waves
        .get(begun)
        .is_some_and(|wave| wave.state != WaveState::Scheduled);
    (!waves.is_empty()).then(|| format!("{}/{}", begun + usize::from(runs), waves.len()))
}

fn failing(told: &Told<'_>, devices: &[(&Device, &Row)]) -> Vec<FailingDevice> {
    let bad = devices
        .iter()
        .filter(|(_, row)| is_bad(row))
        .map(|(device, row)| FailingDevice {
            device: device.id.clone(),
            reason: row.code.clone().unwrap_or_else(|| row.state.as_str().to_owned()),
            message: row.message.clone(),
        });
    let away = devices
        .iter()
        .filter(|(device, row)| !is_bad(row) && is_unreachable(told, device))
        .map(|(device, _)| FailingDevice {
            device: device.id.clone(),
            reason: "Unreachable".into(),
            message: Some(format!(
                "last heard of at {}",
                device.seen_at.strftime("%Y-%m-%d %H:%M:%SZ")
            )),
        });
    let unfit = told.fleet.unfit.iter().map(|(device, class)| FailingDevice {
        device: device.clone(),
        reason: "NoModelForClass".into(),
        message: Some(format!("there is no model for class {class}")),
    });
    bad.chain(unfit).chain(away).take(MAX_FAILING).collect()
}

fn stated(told: &Told<'_>, counts: DeviceCounts, devices: &[(&Device, &Row)]) -> Vec<Stated> {
    let (ready, reconciling, stalled, reason, message) = match (told.validated, told.planned) {
        (Err(refusal), _) => {
            let Refusal {
                reason,
                message,
                stalled,
            } = refusal;
            (false, !stalled, *stalled, (*reason).to_owned(), message.clone())
        }
        (Ok(valid), Some(planned)) => verdict(planned, valid, counts, devices),
        (Ok(_), None) => (
            false,
            true,
            false,
            "Pending".to_owned(),
            "nothing is planned yet".to_owned(),
        ),
    };
    let message = unfit(told, message);
    let truth = |value| if value { Truth::True } else { Truth::False };
    let mut stated: Vec<_> = [
        (types::READY, ready),
        (types::RECONCILING, reconciling),
        (types::STALLED, stalled),
    ]
    .map(|(kind, value)| Stated {
        kind,
        verdict: truth(value),
        reason: reason.clone(),
        message: message.clone(),
    })
    .into();
    if !told.fleet.lost.is_empty() {
        let lost = told
            .fleet
            .lost
            .iter()
            .map(|(other, count)| format!("{count} to {other}"));
        let lost = lost.collect::<Vec<_>>().join(", ");
        stated.push(Stated {
            kind: types::OVERLAPPED,
            verdict: Truth::True,
            reason: "HigherPriority".into(),
            message: format!("devices that match belong to pipelines of higher priority: {lost}"),
        });
    }
    stated
}

/// Ready, reconciling, stalled, reason and message of a rollout.
fn verdict(
    planned: &Planned,
    valid: &Validated,
    counts: DeviceCounts,
    devices: &[(&Device, &Row)],
) -> (bool, bool, bool, String, String) {
    let plan = &planned.plan;
    let failure = plan.rollout.failure.as_ref();
    let failed = || failure.map_or("GateFailed", |f| f.reason.as_str()).to_owned();
    let why = failure.map(|f| f.message.clone()).unwrap_or_default();
    let judged = plan
        .judgements
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    let done = format!("{} of {} devices healthy", counts.ready, counts.matched);
    let state = |state| devices.iter().filter(|(_, row)| row.state == state).count();
    let other = if plan.rollout.revision == valid.revision {
        String::new()
    } else {
        format!("; revision {} follows when this is done", valid.revision)
    };
    let verdict = match plan.verdict {
        // All of them left, or went to another pipeline.
        Verdict::Complete if counts.matched == 0 => Verdict::NoDevices,
        verdict => verdict,
    };
    match verdict {
        Verdict::NoDevices => (
            false,
            true,
            false,
            "NoDevices".into(),
            "no device matches the selector, or all that do belong to other pipelines".into(),
        ),
        Verdict::Paused => (
            false,
            false,
            false,
            "Paused".into(),
            format!("held by spec.paused; {done}"),
        ),
        Verdict::Progressing => (
            false,
            true,
            false,
            "RolloutInProgress".into(),
            format!("{done}; {judged}"),
        ),
        Verdict::Inconclusive => (
            false,
            true,
            false,
            "Inconclusive".into(),
            format!("{done}; {judged}"),
        ),
        Verdict::Stalled => {
            let message =
                format!("nothing got further within spec.rollout.progressDeadline; {done}; {judged}");
            (false, false, true, "ProgressDeadlineExceeded".into(), message)
        }
        Verdict::Complete => {
            let message = if counts.failed > 0 {
                format!("{done}, {} failed", counts.failed)
            } else {
                done
            };
            (true, false, false, "RolloutComplete".into(), message)
        }
        Verdict::RollingBack => {
            let waiting = state(DeviceState::RollingBack);
            (
                false,
                true,
                false,
                failed(),
                format!("{why}; {waiting} devices are going back{other}"),
            )
        }
        Verdict::RolledBack => {
            let back = state(DeviceState::RolledBack);
            let message = format!("{why}; {back} devices went back; change the spec to try again");
            (false, false, true, failed(), message)
        }
        Verdict::Halted => {
            let message = format!("{why}; devices keep what they have; change the spec to try again");
            (false, false, true, failed(), message)
        }
    }
}

fn unfit(told: &Told<'_>, message: String) -> String {
    let mut classes: Vec<_> = told.fleet.unfit.values().map(String::as_str).collect();
    classes.sort_unstable();
    classes.dedup();
    if classes.is_empty() {
        return message;
    }
    let notes = told
        .validated
        .as_ref()
        .map(|v| v.notes.join("; "))
        .unwrap_or_default();
    let separator = if notes.is_empty() { "" } else { ": " };
    format!(
        "{message}; {} devices have no model for their class ({}){separator}{notes}",
        told.fleet.unfit.len(),
        classes.join(", ")
    )
}
