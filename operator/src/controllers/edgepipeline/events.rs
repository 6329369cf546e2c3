//! What happened, as Kubernetes events: specific reasons, in the order things came about.

use crds::EdgePipeline;
use kube::Resource as _;
use rollout::plan::Happening;

use super::Shared;
use super::apply::Applied;
use super::plan::Planned;
use super::validate::Refusal;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub reason: &'static str,
    pub note: String,
    pub warning: bool,
}

pub async fn publish(shared: &Shared, pipeline: &EdgePipeline, said: &[Said]) {
    let object = pipeline.object_ref(&());
    for Said {
        reason,
        note,
        warning,
    } in said
    {
        shared
            .ctx
            .recorder
            .publish(&object, reason, note.clone(), *warning)
            .await;
    }
}

/// Of a refusal: only when it is not what the status says already.
pub fn of_refusal(pipeline: &EdgePipeline, refusal: &Refusal) -> Option<Said> {
    let ready = pipeline
        .status
        .iter()
        .flat_map(|s| &s.conditions)
        .find(|c| c.type_ == "Ready");
    let new = ready.is_none_or(|c| c.reason != refusal.reason);
    new.then(|| Said {
        reason: refusal.reason,
        note: refusal.message.clone(),
        warning: refusal.stalled,
    })
}

pub fn of_plan(planned: &Planned, applied: Applied) -> Vec<Said> {
    let mut said = Vec::new();
    if planned.begin.is_some() {
        let revision = &planned.plan.rollout.revision;
        let (reason, note) = if applied.new_revision {
            (
                "RevisionCreated",
                format!("revision {revision} is new; its rollout begins"),
            )
        } else {
            (
                "RolloutStarted",
                format!("rollout of the known revision {revision} begins"),
            )
        };
        said.push(Said {
            reason,
            note,
            warning: false,
        });
    }
    said.extend(planned.plan.happenings.iter().map(of_happening));
    said
}

fn of_happening(happening: &Happening) -> Said {
    let (reason, note, warning) = match happening {
        Happening::WaveStarted { wave, of, devices } => (
            "WaveStarted",
            format!("wave {}/{of}: {devices} devices", wave + 1),
            false,
        ),
        Happening::WavePassed {
            wave,
            of,
            healthy,
            failed,
            unreachable,
        } => (
            "WavePassed",
            format!(
                "wave {}/{of}: {healthy} healthy, {failed} failed, {unreachable} unreachable",
                wave + 1
            ),
            false,
        ),
        Happening::GateFailed {
            wave: _,
            of: _,
            message,
        } => ("GateFailed", message.clone(), true),
        Happening::TimedOut { device, message } => ("DeviceTimedOut", format!("{device}: {message}"), true),
        Happening::RollingBack { devices } => (
            "RollingBack",
            format!("{devices} devices go back to what they ran before"),
            true,
        ),
        Happening::RolledBack {
            back,
            failed,
            waiting,
        } => (
            "RolledBack",
            format!(
                "{back} devices are back, {failed} failed to go back, {waiting} are away and go back later"
            ),
            *failed > 0,
        ),
        Happening::Complete {
            healthy,
            failed,
            unreachable,
        } => (
            "RolloutComplete",
            format!("{healthy} devices healthy, {failed} failed, {unreachable} unreachable"),
            false,
        ),
        Happening::Halted => (
            "RolloutHalted",
            "nothing further is offered; devices keep what they have".to_owned(),
            true,
        ),
    };
    Said {
        reason,
        note,
        warning,
    }
}
