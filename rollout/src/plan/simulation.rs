//! A fleet in memory that does what plans say, tick by tick: devices that hold, fail, hang, go away and come back.
//!
//! No clock and no chance: the same story gives the same text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use units::Duration;

use super::{Command, Happening, Plan, Purpose, Verdict, plan};
use crate::facts::{Device, DeviceState, Facts, Figures, Rollout, RolloutState};
use crate::policy::RolloutPolicy;

pub(super) const TICK: u64 = 30;

/// How a device takes the revision.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Nature {
    /// Healthy, with these figures.
    Good(Figures),
    /// Fails in this state and goes back by itself.
    Fails(DeviceState),
    /// Never gets past this state.
    Hangs(DeviceState),
}

pub(super) enum Deed {
    Online(bool),
    Member(bool),
    Join { site: String, nature: Nature },
    Pause(bool),
}

pub(super) struct Fleet {
    pub(super) facts: Facts,
    pub(super) policy: RolloutPolicy,
    pub(super) now: Timestamp,
    natures: BTreeMap<String, Nature>,
    /// The retained document of each device and whether it has taken it.
    documents: BTreeMap<String, (Purpose, bool)>,
    pub(super) story: String,
    pub(super) last: Option<Plan>,
}

impl Fleet {
    pub(super) fn new(uid: &str, policy: RolloutPolicy) -> Self {
        let rollout = Rollout {
            uid: uid.into(),
            revision: "new".into(),
            state: RolloutState::Running,
            failure: None,
            progress_at: Timestamp::UNIX_EPOCH,
            paused_at: None,
        };
        let facts = Facts {
            rollout,
            waves: vec![],
            devices: vec![],
            paused: false,
            busy: BTreeMap::new(),
        };
        Self {
            facts,
            policy,
            now: Timestamp::UNIX_EPOCH,
            natures: BTreeMap::new(),
            documents: BTreeMap::new(),
            story: String::new(),
            last: None,
        }
    }

    pub(super) fn do_to(&mut self, id: &str, deed: Deed) {
        let now = self.now;
        let found = self.facts.devices.iter_mut().find(|device| device.id == id);
        match (deed, found) {
            (Deed::Online(online), Some(device)) => {
                (device.online, device.since, device.seen_at) = (online, now, now);
            }
            (Deed::Member(member), Some(device)) => device.member = member,
            (Deed::Pause(paused), _) => self.facts.paused = paused,
            (Deed::Join { site, nature }, None) => {
                self.natures.insert(id.into(), nature);
                self.facts.devices.push(Device {
                    id: id.into(),
                    site,
                    member: true,
                    online: true,
                    since: now,
                    seen_at: now,
                    current: false,
                    changing_elsewhere: false,
                    figures: None,
                    row: None,
                });
            }
            (Deed::Join { .. }, Some(_)) | (_, None) => panic!("no such device, or twice: {id}"),
        }
    }

    /// Devices take a step, then the planner looks; answers with its plan.
    pub(super) fn tick(&mut self) -> Plan {
        self.devices_step();
        let plan = plan(&self.facts, &self.policy, self.now);
        self.tell(&plan);
        self.apply(&plan);
        self.last = Some(plan.clone());
        plan
    }

    pub(super) fn advance_clock(&mut self) {
        self.now += std::time::Duration::from_secs(TICK);
        for device in self.facts.devices.iter_mut().filter(|d| d.online) {
            device.seen_at = self.now;
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        let minutes = self.now.as_second() / 60;
        let second = self.now.as_second() % 60;
        writeln!(
            self.story,
            "{:02}:{:02}:{second:02} {text}",
            minutes / 60,
            minutes % 60
        )
        .unwrap();
    }

    fn devices_step(&mut self) {
        let ids: Vec<_> = self
            .documents
            .iter()
            .filter(|(_, (_, taken))| !taken)
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            let nature = self.natures[&id].clone();
            let (purpose, _) = self.documents[&id];
            let Some(device) = self.facts.devices.iter_mut().find(|d| d.id == id && d.online) else {
                continue;
            };
            let Some(row) = device.row.as_mut() else { continue };
            let next = next_state(
                purpose,
                row.state,
                &nature,
                row.offered_at,
                self.now,
                &self.policy,
            );
            let Some(next) = next else { continue };
            row.state = next;
            if matches!(next, DeviceState::Failed) {
                row.code = Some("DidNotHold".into());
            }
            if !next.is_changing() {
                row.finished_at = Some(self.now);
                self.documents.insert(id.clone(), (purpose, true));
            }
            device.figures = match (next, nature) {
                (DeviceState::Healthy, Nature::Good(figures)) => Some(figures),
                _ => None,
            };
            if !next.is_changing() {
                self.line(&format!("  {id} {}", next.as_str()));
            }
        }
    }

    /// What a store would do with a plan.
    fn apply(&mut self, plan: &Plan) {
        self.facts.rollout = plan.rollout.clone();
        self.facts.waves.clone_from(&plan.waves);
        for (id, row) in &plan.rows {
            let device = self.facts.devices.iter_mut().find(|d| d.id == *id).unwrap();
            device.row = Some(row.clone());
        }
        for Command { device, purpose, .. } in &plan.commands {
            self.documents.insert(device.clone(), (*purpose, false));
        }
    }

    fn tell(&mut self, plan: &Plan) {
        for happening in &plan.happenings {
            self.line(&headline(happening));
        }
        let named = |purpose| {
            let ids: Vec<_> = plan
                .commands
                .iter()
                .filter(|c| c.purpose == purpose)
                .map(|c| c.device.as_str())
                .collect();
            (!ids.is_empty()).then(|| ids.join(" "))
        };
        for (purpose, verb) in [
            (Purpose::Withdraw, "withdraw from"),
            (Purpose::Rollback, "roll back"),
            (Purpose::Offer, "offer to"),
        ] {
            if let Some(ids) = named(purpose) {
                self.line(&format!("  {verb} {ids}"));
            }
        }
        let before = self.last.as_ref().map(|p| p.verdict);
        let worth_a_line = matches!(
            plan.verdict,
            Verdict::Stalled
                | Verdict::Inconclusive
                | Verdict::Paused
                | Verdict::NoDevices
                | Verdict::Progressing
        );
        if before != Some(plan.verdict) && worth_a_line {
            let why = plan
                .judgements
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ");
            let separator = if why.is_empty() { "" } else { ": " };
            self.line(&format!("{:?}{separator}{why}", plan.verdict));
        }
    }
}

fn next_state(
    purpose: Purpose,
    state: DeviceState,
    nature: &Nature,
    offered_at: Option<Timestamp>,
    now: Timestamp,
    policy: &RolloutPolicy,
) -> Option<DeviceState> {
    use DeviceState::{
        Activating, Baking, Downloading, Failed, Healthy, Offered, Received, RolledBack, RollingBack, Staged,
        Verified,
    };
    match (purpose, state) {
        (Purpose::Rollback, RollingBack) => return Some(RolledBack),
        (Purpose::Offer, _) if state.is_under_way() => {}
        _ => return None,
    }
    match nature {
        Nature::Fails(at) if *at == state => return Some(Failed),
        Nature::Hangs(at) if *at == state => return None,
        _ => {}
    }
    Some(match state {
        Offered => Received,
        Received => Downloading,
        Downloading => Verified,
        Verified => Staged,
        Staged => Activating,
        Activating => Baking,
        Baking => {
            let way = Duration::from_secs(6 * TICK);
            let until = offered_at? + way.get() + policy.bake.get();
            return (now >= until).then_some(Healthy);
        }
        _ => return None,
    })
}

fn headline(happening: &Happening) -> String {
    match happening {
        Happening::WaveStarted { wave, of, devices } => {
            format!("WaveStarted {}/{of}: {devices} devices", wave + 1)
        }
        Happening::WavePassed {
            wave,
            of,
            healthy,
            failed,
            unreachable,
        } => format!(
            "WavePassed {}/{of}: {healthy} healthy, {failed} failed, {unreachable} unreachable",
            wave + 1
        ),
        Happening::GateFailed { message, .. } => format!("GateFailed {message}"),
        Happening::TimedOut { device, message } => format!("TimedOut {device}: {message}"),
        Happening::RollingBack { devices } => format!("RollingBack {devices} devices"),
        Happening::RolledBack {
            back,
            failed,
            waiting,
        } => {
            format!("RolledBack {back} back, {failed} failed, {waiting} waiting")
        }
        Happening::Complete {
            healthy,
            failed,
            unreachable,
        } => {
            format!("Complete {healthy} healthy, {failed} failed, {unreachable} unreachable")
        }
        Happening::Halted => "Halted".into(),
    }
}
