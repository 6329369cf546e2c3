//! Who is in which wave, and when a wave opens, passes or fails.

use super::Happening;
use super::draft::Draft;
use crate::facts::{DeviceState, Failure, RolloutState, Row, Wave, WaveState};
use crate::gates::{Judgement, Outcome, WaveView};
use crate::membership;
use crate::policy::OnFailure;

impl Draft<'_> {
    /// Members of the first plan are spread over the waves; whoever comes later goes to the last one.
    pub(super) fn join(&mut self) {
        let mut joining: Vec<_> = self
            .devices
            .iter()
            .filter(|(_, (device, row))| device.member && row.is_none())
            .map(|(id, _)| *id)
            .collect();
        let first = self.waves.is_empty();
        if joining.is_empty() {
            return;
        }
        if first {
            let scheduled = Wave {
                state: WaveState::Scheduled,
                started_at: None,
                ended_at: None,
            };
            self.waves = vec![scheduled; membership::wave_count(self.policy)];
            joining.sort_by_cached_key(|id| membership::rank(&self.rollout.uid, id));
        }
        let (total, last) = (joining.len(), self.waves.len() - 1);
        for (position, id) in joining.into_iter().enumerate() {
            let wave = if first {
                membership::wave_of(self.policy, position, total)
            } else {
                last
            };
            let now = self.now;
            if let Some((device, row)) = self.devices.get_mut(id) {
                let state = if device.current {
                    DeviceState::AlreadyCurrent
                } else {
                    DeviceState::Pending
                };
                *row = Some(Row {
                    wave,
                    state,
                    attempt: 0,
                    offered_at: None,
                    finished_at: device.current.then_some(now),
                    code: None,
                    message: None,
                });
            }
        }
    }

    /// Who is no longer a device of the pipeline, and who is again.
    pub(super) fn leave(&mut self) {
        for id in self.ids(|device, row| !device.member && row.state != DeviceState::Removed) {
            self.set(id, DeviceState::Removed, None);
        }
        for id in self.ids(|device, row| device.member && row.state == DeviceState::Removed) {
            self.set(id, DeviceState::Pending, None);
        }
    }

    /// Passes and opens waves as far as the facts carry. Answers with the judgements of the deciding wave.
    pub(super) fn advance(&mut self) -> Vec<Judgement> {
        let of = self.waves.len();
        while let Some(wave) = self.open_wave() {
            let view = self.view(wave);
            if view.members > 0 && !self.open(wave, &view) {
                return Vec::new();
            }
            let (state, judgements) = if view.members == 0 {
                (self.empty(wave), Vec::new())
            } else {
                self.judge(wave, &view)
            };
            match state {
                WaveState::Passed => self.pass(wave, &view),
                WaveState::Failed => {
                    self.fail(wave, &judgements);
                    return judgements;
                }
                WaveState::Scheduled | WaveState::Running | WaveState::Baking | WaveState::Inconclusive => {
                    self.state(wave, state);
                    return judgements;
                }
            }
        }
        if of > 0 {
            self.rollout.state = RolloutState::Complete;
            let (healthy, failed, unreachable) = self.totals();
            self.happenings.push(Happening::Complete {
                healthy,
                failed,
                unreachable,
            });
        }
        Vec::new()
    }

    /// A wave that never had a device has nothing to prove. One whose devices all left proves nothing either:
    /// without an earlier wave that held, nobody knows yet whether the revision does.
    fn empty(&self, index: usize) -> WaveState {
        let had_devices = self.rows().any(|(_, _, row)| row.wave == index);
        let proven = self
            .waves
            .iter()
            .take(index)
            .any(|wave| wave.started_at.is_some());
        if had_devices && !proven {
            WaveState::Inconclusive
        } else {
            WaveState::Passed
        }
    }

    /// False when the wave isn't open and the user's hold keeps it so.
    fn open(&mut self, index: usize, view: &WaveView) -> bool {
        let (now, of) = (self.now, self.waves.len());
        match self.waves.get_mut(index) {
            Some(wave) if wave.state == WaveState::Scheduled => {
                if self.rollout.paused_at.is_some() {
                    return false;
                }
                wave.state = WaveState::Running;
                wave.started_at = Some(now);
                self.happenings.push(Happening::WaveStarted {
                    wave: index,
                    of,
                    devices: view.members,
                });
                true
            }
            _ => true,
        }
    }

    fn judge(&self, wave: usize, view: &WaveView) -> (WaveState, Vec<Judgement>) {
        let needed = (self.policy.min_samples as usize).min(view.members);
        let judgements: Vec<_> = self
            .policy
            .gates
            .iter()
            .map(|gate| gate.judge(view, needed))
            .collect();
        let finished = view.healthy.len() + view.failed.len();
        let state = if judgements.iter().any(|j| j.outcome == Outcome::Fail) {
            WaveState::Failed
        } else if view.open > 0 {
            if self.all_open_bake(wave, view) {
                WaveState::Baking
            } else {
                WaveState::Running
            }
        } else if finished < needed.max(1) || judgements.iter().any(|j| j.outcome == Outcome::Inconclusive) {
            WaveState::Inconclusive
        } else {
            WaveState::Passed
        };
        (state, judgements)
    }

    fn all_open_bake(&self, wave: usize, view: &WaveView) -> bool {
        let baking = self
            .rows()
            .filter(|(_, _, row)| row.wave == wave && row.state == DeviceState::Baking)
            .count();
        view.open == baking
    }

    fn state(&mut self, index: usize, state: WaveState) {
        if let Some(wave) = self.waves.get_mut(index) {
            wave.state = state;
        }
    }

    fn pass(&mut self, index: usize, view: &WaveView) {
        let (now, of) = (self.now, self.waves.len());
        if let Some(wave) = self.waves.get_mut(index) {
            wave.state = WaveState::Passed;
            wave.ended_at = Some(now);
        }
        if view.members > 0 {
            let (healthy, failed) = (view.healthy.len(), view.failed.len());
            let unreachable = view.members - healthy - failed;
            self.happenings.push(Happening::WavePassed {
                wave: index,
                of,
                healthy,
                failed,
                unreachable,
            });
        }
    }

    fn fail(&mut self, index: usize, judgements: &[Judgement]) {
        let (now, of) = (self.now, self.waves.len());
        if let Some(wave) = self.waves.get_mut(index) {
            wave.state = WaveState::Failed;
            wave.ended_at = Some(now);
        }
        let failed = judgements
            .iter()
            .filter(|j| j.outcome == Outcome::Fail)
            .map(ToString::to_string);
        let message = format!(
            "wave {}/{of}: {}",
            index + 1,
            failed.collect::<Vec<_>>().join("; ")
        );
        self.happenings.push(Happening::GateFailed {
            wave: index,
            of,
            message: message.clone(),
        });
        self.rollout.failure = Some(Failure {
            reason: "GateFailed".into(),
            message,
        });
        self.rollout.progress_at = now;
        self.rollout.state = match self.policy.on_failure {
            OnFailure::Rollback => RolloutState::RollingBack,
            OnFailure::Pause => RolloutState::Halted,
        };
        self.happenings.push(match self.policy.on_failure {
            OnFailure::Rollback => Happening::RollingBack {
                devices: self.ids(|_, row| row.was_offered()).len(),
            },
            OnFailure::Pause => Happening::Halted,
        });
    }

    fn totals(&self) -> (usize, usize, usize) {
        let views: Vec<_> = (0..self.waves.len()).map(|wave| self.view(wave)).collect();
        let sum = |count: fn(&WaveView) -> usize| views.iter().map(count).sum();
        (
            sum(|v| v.healthy.len()),
            sum(|v| v.failed.len()),
            sum(|v| v.members - v.healthy.len() - v.failed.len() - v.open),
        )
    }
}
