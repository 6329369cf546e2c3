//! The steps of the state machine: from a document to a trial, from a trial to the last good revision or back.

use std::time::Duration;

use protocol::ack::Phase;
use protocol::desired::Desired;
use protocol::reported::Progress;

use super::health::{Verdict, Watch};
use super::{Agent, Effect, Failure, Installed, Models, Now, Slot, Trial};

impl Agent {
    pub(super) fn boot(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let crashes = self.settings.crashes;
        if self
            .disk
            .trial
            .as_ref()
            .is_some_and(|trial| trial.starts >= crashes)
        {
            let message =
                format!("the agent's process died {crashes} times while this revision was on trial");
            self.fail(Failure::new("CrashLoop", message), now, effects);
        } else {
            self.collect(effects);
        }
        effects.push(Effect::Report);
    }

    pub(super) fn desire(&mut self, desired: &Desired, now: Now, effects: &mut Vec<Effect>) {
        if desired.order == self.disk.last_order {
            return;
        }
        if desired.order < self.disk.last_order {
            let (new, last) = (desired.order, self.disk.last_order);
            let message = format!(
                "document of epoch {} generation {} is older than {} / {}, the last one taken",
                new.epoch, new.generation, last.epoch, last.generation
            );
            effects.push(Effect::Notice(Failure::new("DesiredStale", message)));
            return;
        }
        self.drop_trial(effects);
        self.disk.last_order = desired.order;
        self.disk.progress = Some(Progress {
            rollout: desired.rollout.clone(),
            order: desired.order,
            attempt: desired.attempt,
            phase: Phase::Received,
            code: None,
            message: None,
        });
        if let Err(failure) = (self.settings.check)(desired) {
            self.advance(Phase::Rejected, Some(failure), now, effects);
            return;
        }
        effects.extend(self.last_ack(now));
        effects.push(Effect::Report);
        self.disk.trial = Some(Trial {
            installed: Installed::from(desired),
            bake: desired.bake,
            objectives: desired.objectives.clone(),
            starts: 0,
        });
        self.restarts = 0;
        self.restart_at = Duration::ZERO;
    }

    pub(super) fn clear(&mut self, effects: &mut Vec<Effect>) {
        let empty = self.disk.active.is_none() && self.disk.trial.is_none() && self.disk.progress.is_none();
        if empty {
            return;
        }
        self.drop_trial(effects);
        if let Models::Fetching { ticket } = self.active {
            effects.push(Effect::StopFetch { ticket });
        }
        self.active = Models::Unknown;
        self.disk.active = None;
        self.disk.previous = None;
        self.disk.progress = None;
        self.collect(effects);
        effects.push(Effect::Report);
    }

    pub(super) fn fetched(
        &mut self,
        ticket: u64,
        outcome: Result<(), Failure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let awaited = Models::Fetching { ticket };
        match outcome {
            Ok(()) if self.active == awaited => self.active = Models::Verified,
            Err(failure) if self.active == awaited => {
                self.active = Models::Unknown;
                self.postpone(now);
                effects.push(Effect::Notice(failure));
            }
            Ok(()) if self.trial == awaited => {
                self.trial = Models::Verified;
                self.advance(Phase::Verified, None, now, effects);
                self.advance(Phase::Staged, None, now, effects);
            }
            Err(failure) if self.trial == awaited => {
                self.trial = Models::Unknown;
                self.fail(failure, now, effects);
            }
            _ => {}
        }
    }

    pub(super) fn started(&mut self, id: u64, now: Now, effects: &mut Vec<Effect>) {
        self.take_place(id);
        let Some(run) = self
            .run
            .as_mut()
            .filter(|run| run.id == id && run.started.is_none())
        else {
            return;
        };
        run.started = Some(now.uptime);
        self.watch(now, effects);
        effects.push(Effect::Report);
    }

    /// The graph of run `id` is no more.
    pub(super) fn stopped(&mut self, id: u64, failure: Failure, now: Now, effects: &mut Vec<Effect>) {
        self.take_place(id);
        let Some(run) = self.run.take_if(|run| run.id == id) else {
            return;
        };
        match run.slot {
            Slot::Trial => self.fail(failure, now, effects),
            Slot::Active => {
                // What ran well for a while starts anew; what fails at once waits longer each time.
                let ran = run
                    .started
                    .map_or(Duration::ZERO, |started| now.uptime.saturating_sub(started));
                if ran > self.settings.restart_limit {
                    self.restarts = 0;
                }
                self.postpone(now);
                effects.push(Effect::Notice(failure));
                effects.push(Effect::Report);
            }
        }
    }

    /// Brings what runs, what is fetched and what is measured to what shall be. Called after every event, so that
    /// no step depends on which event made it possible.
    pub(super) fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.ending {
            return;
        }
        self.judge(now, effects);
        self.fetch(now, effects);
        if self.next.is_some() {
            return;
        }
        self.measure(effects);
        let wanted = if self.measuring.is_some() {
            None
        } else {
            self.wanted()
        };
        let Some((slot, installed)) = wanted else {
            if self.run.take().is_some() {
                effects.push(Effect::Stop);
                effects.push(Effect::Report);
            }
            return;
        };
        match &mut self.run {
            Some(run) if run.slot == slot && run.installed == installed => {}
            Some(run) if run.installed.same_content(&installed) => {
                run.slot = slot;
                run.installed = installed;
                run.watch = None;
                self.activate(slot, now, effects);
                if self.run.as_ref().is_some_and(|run| run.started.is_some()) {
                    self.watch(now, effects);
                }
            }
            _ if slot == Slot::Active && now.uptime < self.restart_at => {
                if self.run.take().is_some() {
                    effects.push(Effect::Stop);
                }
            }
            _ => self.bring(slot, installed, now, effects),
        }
    }

    fn judge(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(watch) = self.run.as_ref().and_then(|run| run.watch.as_ref()) else {
            return;
        };
        match watch.judge(now.uptime) {
            Verdict::Wait => {}
            Verdict::Failed(failure) => self.fail(failure, now, effects),
            Verdict::Healthy => self.promote(now, effects),
        }
    }

    fn promote(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(trial) = self.disk.trial.take() else {
            return;
        };
        if let Some(run) = &mut self.run {
            run.slot = Slot::Active;
            run.watch = None;
        }
        let before = self.disk.active.replace(trial.installed.clone());
        // The same content under a new order leaves something better to go back to.
        if let Some(before) = before.filter(|before| !before.same_content(&trial.installed)) {
            self.disk.previous = Some(before);
        }
        self.active = Models::Verified;
        self.trial = Models::Unknown;
        self.advance(Phase::Healthy, None, now, effects);
        self.collect(effects);
    }

    /// Ends the trial; `settle` brings the last good revision back.
    pub(super) fn fail(&mut self, failure: Failure, now: Now, effects: &mut Vec<Effect>) {
        self.drop_trial(effects);
        self.advance(Phase::Failed, Some(failure), now, effects);
        self.restarts = 0;
        self.restart_at = now.uptime;
        self.collect(effects);
    }

    fn drop_trial(&mut self, effects: &mut Vec<Effect>) {
        if let Models::Fetching { ticket } = self.trial {
            effects.push(Effect::StopFetch { ticket });
        }
        self.trial = Models::Unknown;
        self.disk.trial = None;
        // The trial's graph may go on only as the last good one: `settle` decides by content.
        for run in self.run.iter_mut().chain(&mut self.next) {
            run.slot = Slot::Active;
            run.watch = None;
        }
    }

    fn fetch(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Some(active) = &self.disk.active
            && self.active == Models::Unknown
            && now.uptime >= self.restart_at
        {
            let models = active.models.clone();
            let ticket = self.next_number();
            self.active = Models::Fetching { ticket };
            effects.push(Effect::Fetch { ticket, models });
        }
        if let Some(trial) = &self.disk.trial
            && self.trial == Models::Unknown
        {
            let models = trial.installed.models.clone();
            let ticket = self.next_number();
            self.trial = Models::Fetching { ticket };
            if !models.is_empty() {
                self.advance(Phase::Downloading, None, now, effects);
            }
            effects.push(Effect::Fetch { ticket, models });
        }
    }

    /// A measurement needs the device for itself; a trial is never disturbed by one.
    fn measure(&mut self, effects: &mut Vec<Effect>) {
        let on_trial = self.disk.trial.is_some() && self.trial == Models::Verified;
        if self.measuring.is_some() || on_trial {
            return;
        }
        if let Some(request) = self.profiles.pop_front() {
            self.measuring = Some(request.id.clone());
            if self.run.take().is_some() {
                effects.push(Effect::Stop);
            }
            effects.push(Effect::Measure(Box::new(request)));
        }
    }

    fn wanted(&self) -> Option<(Slot, Installed)> {
        if let Some(trial) = self
            .disk
            .trial
            .as_ref()
            .filter(|_| self.trial == Models::Verified)
        {
            return Some((Slot::Trial, trial.installed.clone()));
        }
        let active = self
            .disk
            .active
            .as_ref()
            .filter(|_| self.active == Models::Verified)?;
        Some((Slot::Active, active.clone()))
    }

    pub(super) fn activate(&mut self, slot: Slot, now: Now, effects: &mut Vec<Effect>) {
        if slot == Slot::Trial {
            if let Some(trial) = &mut self.disk.trial {
                trial.starts += 1;
            }
            self.advance(Phase::Activating, None, now, effects);
        }
    }

    /// Begins the bake of a trial that runs.
    fn watch(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (Some(run), Some(trial)) = (&mut self.run, &self.disk.trial) else {
            return;
        };
        if run.slot == Slot::Trial {
            run.watch = Some(Watch::new(
                now.uptime,
                trial.bake.get(),
                self.settings.first_output,
                trial.objectives.clone(),
                run.running.clone(),
            ));
            self.advance(Phase::Baking, None, now, effects);
        }
    }

    fn postpone(&mut self, now: Now) {
        let wait = self.settings.restart.saturating_mul(1 << self.restarts.min(10));
        self.restarts += 1;
        self.restart_at = now.uptime.saturating_add(wait.min(self.settings.restart_limit));
    }

    fn collect(&self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Collect(self.disk.models()));
    }
}
