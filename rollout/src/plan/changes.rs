//! Which device is told what now: offers, what comes back, what took too long.

use super::draft::Draft;
use super::{Happening, Purpose};
use crate::facts::{Device, DeviceState, RolloutState, Row, WaveState};

impl Row {
    /// A document of this rollout reached for the device, whatever became of it.
    pub(super) fn was_offered(&self) -> bool {
        self.attempt > 0 && self.state != DeviceState::Removed
    }
}

impl<'a> Draft<'a> {
    /// What took too long, or went away for too long, runs its previous revision again. Only so its site may go
    /// on: a device that comes back after days must not change beside another one.
    pub(super) fn expire(&mut self) {
        let (now, limit) = (self.now, self.policy.device_timeout);
        for id in self.ids(|device, row| self.times_out_at(device, row).is_some_and(|at| at <= now)) {
            let Some(state) = self.state_of(id) else { continue };
            let message = format!("no step past {} within {limit}", state.as_str());
            if state == DeviceState::RollingBack {
                self.set(id, DeviceState::RollbackFailed, Some(("DeviceTimeout", message)));
            } else {
                self.happenings.push(Happening::TimedOut {
                    device: id.to_owned(),
                    message: message.clone(),
                });
                self.set(id, DeviceState::TimedOut, Some(("DeviceTimeout", message)));
                self.command(id, Purpose::Withdraw);
            }
        }
        for id in self.ids(|device, row| row.state.is_under_way() && self.is_unreachable(device)) {
            self.set(id, DeviceState::Pending, None);
            self.command(id, Purpose::Withdraw);
        }
    }

    /// Everything that was offered the revision goes back, as fast as the sites' limit allows; also what left and
    /// came again after the end.
    pub(super) fn roll_back(&mut self) {
        if !matches!(
            self.rollout.state,
            RolloutState::RollingBack | RolloutState::RolledBack
        ) {
            return;
        }
        // A rollback that takes longer than the deadline is worse than two devices of a site at once.
        let late = self.deadline_passed();
        let (mut held, mut slots) = (false, self.slots());
        for id in self.ids(|_, row| row.was_offered() && !is_rolled(row.state)) {
            let Some(state) = self.state_of(id) else { continue };
            let Some(device) = self.device(id) else { continue };
            let holds_slot = state.is_under_way() || device.changing_elsewhere || self.is_unreachable(device);
            if late || holds_slot || slots.take(&device.site) {
                self.send_back(id);
            } else {
                held = true;
            }
        }
        if late {
            for id in
                self.ids(|_, row| row.state == DeviceState::RollingBack && row.offered_at < Some(self.now))
            {
                let message = "not back within the deadline".to_owned();
                self.set(
                    id,
                    DeviceState::RollbackFailed,
                    Some(("ProgressDeadlineExceeded", message)),
                );
            }
        }
        let grace = self.rollback_grace();
        let open =
            self.ids(|device, row| row.state == DeviceState::RollingBack && !self.silent_for(device, grace));
        if self.rollout.state == RolloutState::RollingBack && !held && open.is_empty() {
            let count = |state| self.ids(|_, row| row.state == state).len();
            self.happenings.push(Happening::RolledBack {
                back: count(DeviceState::RolledBack),
                failed: count(DeviceState::RollbackFailed),
                waiting: count(DeviceState::RollingBack),
            });
            self.rollout.state = RolloutState::RolledBack;
        }
    }

    /// What was wrong with the device stays said.
    fn send_back(&mut self, id: &'a str) {
        let reason = self.row(id).map(|row| (row.code.clone(), row.message.clone()));
        self.set(id, DeviceState::RollingBack, None);
        if let (Some((_, Some(row))), Some((code, message))) = (self.devices.get_mut(id), reason) {
            (row.code, row.message) = (code, message);
        }
        self.command(id, Purpose::Rollback);
    }

    /// Devices of open and passed waves that are there get the revision, as many of a site as may change at once.
    pub(super) fn offer(&mut self) {
        let offers = matches!(self.rollout.state, RolloutState::Running | RolloutState::Complete);
        if !offers || self.rollout.paused_at.is_some() {
            return;
        }
        let open: Vec<bool> = self
            .waves
            .iter()
            .map(|wave| !matches!(wave.state, WaveState::Scheduled | WaveState::Failed))
            .collect();
        let mut waiting = self.ids(|device, row| {
            device.online && row.state == DeviceState::Pending && open.get(row.wave).copied().unwrap_or(false)
        });
        waiting.sort_by_key(|id| self.row(id).map(|row| row.wave));
        let mut slots = self.slots();
        for id in waiting {
            let Some((device, _)) = self.devices.get(id) else {
                continue;
            };
            if !device.changing_elsewhere && !slots.take(&device.site) {
                continue;
            }
            self.set(id, DeviceState::Offered, None);
            if let Some((_, Some(row))) = self.devices.get_mut(id) {
                row.attempt += 1;
            }
            self.command(id, Purpose::Offer);
        }
    }

    fn row(&self, id: &str) -> Option<&Row> {
        self.devices.get(id).and_then(|(_, row)| row.as_ref())
    }

    fn device(&self, id: &str) -> Option<&'a Device> {
        self.devices.get(id).map(|(device, _)| *device)
    }

    fn state_of(&self, id: &str) -> Option<DeviceState> {
        self.row(id).map(|row| row.state)
    }
}

fn is_rolled(state: DeviceState) -> bool {
    matches!(
        state,
        DeviceState::RollingBack | DeviceState::RolledBack | DeviceState::RollbackFailed
    )
}
