//! The facts as they become while a plan is made, and what is asked of them again and again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use units::Duration;

use super::{Command, Happening, Plan, Purpose, Verdict};
use crate::facts::{Device, DeviceState, Facts, Rollout, RolloutState, Row, Wave, WaveState};
use crate::gates::{Healthy, Judgement, WaveView};
use crate::policy::RolloutPolicy;

pub(super) struct Draft<'a> {
    pub(super) facts: &'a Facts,
    pub(super) policy: &'a RolloutPolicy,
    pub(super) now: Timestamp,
    pub(super) rollout: Rollout,
    pub(super) waves: Vec<Wave>,
    /// By id, so that the order of the facts means nothing.
    pub(super) devices: BTreeMap<&'a str, (&'a Device, Option<Row>)>,
    pub(super) happenings: Vec<Happening>,
    commands: BTreeMap<&'a str, (Purpose, u32)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(facts: &'a Facts, policy: &'a RolloutPolicy, now: Timestamp) -> Self {
        Self {
            facts,
            policy,
            now,
            rollout: facts.rollout.clone(),
            waves: facts.waves.clone(),
            devices: facts
                .devices
                .iter()
                .map(|d| (d.id.as_str(), (d, d.row.clone())))
                .collect(),
            happenings: Vec::new(),
            commands: BTreeMap::new(),
        }
    }

    /// Time under the user's hold doesn't count against the deadline.
    pub(super) fn hold(&mut self) {
        match (self.facts.paused, self.rollout.paused_at) {
            (true, None) => self.rollout.paused_at = Some(self.now),
            (false, Some(_)) => {
                self.rollout.paused_at = None;
                self.rollout.progress_at = self.now;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    pub(super) fn command(&mut self, device: &'a str, purpose: Purpose) {
        let Some((_, Some(row))) = self.devices.get_mut(device) else {
            return;
        };
        row.offered_at = (purpose != Purpose::Withdraw).then_some(self.now);
        self.commands.insert(device, (purpose, row.attempt));
    }

    pub(super) fn set(&mut self, device: &str, state: DeviceState, reason: Option<(&str, String)>) {
        let Some((_, Some(row))) = self.devices.get_mut(device) else {
            return;
        };
        row.state = state;
        row.finished_at = (!state.is_changing() && state != DeviceState::Pending).then_some(self.now);
        (row.code, row.message) = reason.map(|(code, message)| (code.to_owned(), message)).unzip();
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&'a str, &'a Device, &Row)> {
        self.devices
            .iter()
            .filter_map(|(id, (device, row))| row.as_ref().map(|row| (*id, *device, row)))
    }

    /// Ids of rows that fulfil a condition, to change them one by one.
    pub(super) fn ids(&self, which: impl Fn(&Device, &Row) -> bool) -> Vec<&'a str> {
        self.rows()
            .filter(|(_, device, row)| which(device, row))
            .map(|(id, ..)| id)
            .collect()
    }

    pub(super) fn silent_for(&self, device: &Device, span: Duration) -> bool {
        !device.online && self.now >= after(device.seen_at, span)
    }

    pub(super) fn is_unreachable(&self, device: &Device) -> bool {
        self.silent_for(device, self.policy.offline_grace)
    }

    /// How many more devices of each site may change.
    pub(super) fn slots(&self) -> Slots<'a> {
        let mut used: BTreeMap<&'a str, usize> =
            self.facts.busy.iter().map(|(s, n)| (s.as_str(), *n)).collect();
        for (device, row) in self.devices.values() {
            let changing =
                device.changing_elsewhere || row.as_ref().is_some_and(|row| row.state.is_changing());
            if changing && !self.is_unreachable(device) {
                *used.entry(&device.site).or_default() += 1;
            }
        }
        Slots {
            used,
            limit: self.policy.max_per_site as usize,
        }
    }

    /// Wave that decides now: the first that hasn't passed.
    pub(super) fn open_wave(&self) -> Option<usize> {
        self.waves.iter().position(|wave| wave.state != WaveState::Passed)
    }

    pub(super) fn view(&self, wave: usize) -> WaveView {
        let mut view = WaveView::default();
        for (id, device, row) in self.rows().filter(|(_, _, row)| row.wave == wave) {
            match row.state {
                DeviceState::Removed => continue,
                DeviceState::Healthy | DeviceState::AlreadyCurrent => {
                    view.healthy.push(Healthy {
                        device: id.to_owned(),
                        figures: device.figures,
                    });
                }
                state if state.is_failure() => view.failed.push(id.to_owned()),
                _ if self.is_unreachable(device) => {}
                _ => view.open += 1,
            }
            view.members += 1;
        }
        view
    }

    /// The last time anything got further.
    fn progress(&self) -> Timestamp {
        let waves = self
            .waves
            .iter()
            .flat_map(|wave| [wave.started_at, wave.ended_at]);
        let rows = self.rows().map(|(_, _, row)| row.finished_at);
        waves
            .chain(rows)
            .flatten()
            .fold(self.rollout.progress_at, Timestamp::max)
    }

    pub(super) fn deadline_passed(&self) -> bool {
        self.deadline_counts() && self.now >= after(self.progress(), self.policy.progress_deadline)
    }

    /// The user's hold stops the clock of a rollout, never that of a rollback.
    fn deadline_counts(&self) -> bool {
        match self.rollout.state {
            RolloutState::Running => self.rollout.paused_at.is_none() && !self.waves.is_empty(),
            RolloutState::RollingBack => true,
            RolloutState::Complete | RolloutState::RolledBack | RolloutState::Halted => false,
        }
    }

    /// When a row's time is up, if it is on its way at all.
    pub(super) fn times_out_at(&self, device: &Device, row: &Row) -> Option<Timestamp> {
        let from = row
            .offered_at
            .filter(|_| device.online && row.state.is_changing())?
            .max(device.since);
        let bake = if row.state == DeviceState::RollingBack {
            Duration::ZERO
        } else {
            self.policy.bake
        };
        let bake = if row.state < DeviceState::Baking {
            Duration::ZERO
        } else {
            bake
        };
        Some(after(after(from, self.policy.device_timeout), bake))
    }

    pub(super) fn finish(self, judgements: Vec<Judgement>) -> Plan {
        let verdict = self.verdict();
        let wake_at = self.wake_at();
        let rows = self
            .devices
            .iter()
            .filter(|(_, (device, row))| device.row != *row)
            .filter_map(|(id, (_, row))| row.clone().map(|row| ((*id).to_owned(), row)))
            .collect();
        let command = |(id, (purpose, attempt)): (&str, (Purpose, u32))| Command {
            device: id.to_owned(),
            purpose,
            attempt,
        };
        Plan {
            rows,
            commands: self.commands.into_iter().map(command).collect(),
            verdict,
            judgements,
            happenings: self.happenings,
            wake_at,
            rollout: self.rollout,
            waves: self.waves,
        }
    }

    fn verdict(&self) -> Verdict {
        match self.rollout.state {
            RolloutState::Complete => Verdict::Complete,
            RolloutState::RollingBack => Verdict::RollingBack,
            RolloutState::RolledBack => Verdict::RolledBack,
            RolloutState::Halted => Verdict::Halted,
            RolloutState::Running if self.waves.is_empty() => Verdict::NoDevices,
            RolloutState::Running if self.rollout.paused_at.is_some() => Verdict::Paused,
            RolloutState::Running if self.deadline_passed() => Verdict::Stalled,
            RolloutState::Running => {
                let open = self.open_wave().and_then(|index| self.waves.get(index));
                match open.map(|wave| wave.state) {
                    Some(WaveState::Inconclusive) => Verdict::Inconclusive,
                    _ => Verdict::Progressing,
                }
            }
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let grace = self.policy.offline_grace.min(self.rollback_grace());
        let timeouts = self
            .rows()
            .filter_map(|(_, device, row)| self.times_out_at(device, row));
        let graces = self
            .rows()
            .filter(|(_, device, row)| {
                !device.online && (row.state == DeviceState::Pending || row.state.is_changing())
            })
            .flat_map(|(_, device, _)| {
                [
                    after(device.seen_at, self.policy.offline_grace),
                    after(device.seen_at, grace),
                ]
            });
        let deadline = self
            .deadline_counts()
            .then(|| after(self.progress(), self.policy.progress_deadline));
        timeouts
            .chain(graces)
            .chain(deadline)
            .filter(|at| *at > self.now)
            .min()
    }

    /// A device that is away for this long doesn't hold up the end of a rollback: its document waits for it.
    pub(super) fn rollback_grace(&self) -> Duration {
        self.policy.offline_grace.min(self.policy.device_timeout)
    }
}

/// Places for devices that change at the same time, by site.
pub(super) struct Slots<'a> {
    used: BTreeMap<&'a str, usize>,
    limit: usize,
}

impl<'a> Slots<'a> {
    /// False when the site is full.
    pub(super) fn take(&mut self, site: &'a str) -> bool {
        let used = self.used.entry(site).or_default();
        let free = *used < self.limit;
        *used += usize::from(free);
        free
    }
}

/// Saturates: a policy may say 100 years.
pub(super) fn after(from: Timestamp, span: Duration) -> Timestamp {
    from.checked_add(span.get()).unwrap_or(Timestamp::MAX)
}
