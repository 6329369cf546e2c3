//! The device as a state machine: events and the time in, effects out.
//!
//! Owns which revision is the last good one, which is on trial, and what shall run. Does no I/O, reads no clock and
//! draws no random number, so that a power loss or a week offline is a plain test. Three rules hold throughout:
//! the last good revision is replaced only by one that held through its bake; nothing is started whose models were
//! not verified since the process started; steps reported for one document never go backward.

mod durable;
mod event;
mod health;
mod steps;
#[cfg(test)]
pub(crate) mod stories;
mod switch;
#[cfg(test)]
mod walk;

use std::collections::VecDeque;
use std::time::Duration;

use protocol::ack::{Ack, Phase};
use protocol::desired::Desired;
use protocol::id::{BootId, DeviceId};
use protocol::profile::ProfileRequest;
use protocol::reported::{Progress, Running};

pub use durable::{Durable, FORM, Installed, Trial};
pub use event::{Effect, Event, Failure, Now};
use health::Watch;

/// What is fixed for the life of the process.
#[derive(Debug, Clone)]
pub struct Settings {
    pub device: DeviceId,
    pub boot_id: BootId,
    /// So many deaths of the process during a trial end it.
    pub crashes: u32,
    /// A graph on trial must bring its first result within this.
    pub first_output: Duration,
    /// Waiting before the last good graph is started again; doubles up to `restart_limit`.
    pub restart: Duration,
    pub restart_limit: Duration,
    /// Whether this device can run the document at all.
    pub check: fn(&Desired) -> Result<(), Failure>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Agent {
    settings: Settings,
    disk: Durable,
    /// Numbers fetches and runs, so that answers to an earlier one are known as late.
    counter: u64,
    active: Models,
    trial: Models,
    run: Option<Run>,
    /// Is to take the place of `run`; until that is answered nothing else is asked of what runs.
    next: Option<Run>,
    /// The last good graph isn't started before this; raised each time it stops by itself.
    restart_at: Duration,
    restarts: u32,
    profiles: VecDeque<ProfileRequest>,
    /// Id of the request that is measured now.
    measuring: Option<String>,
    ending: bool,
}

/// Which slot a run or a fetch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Active,
    Trial,
}

/// What this process knows about the models of a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Models {
    #[default]
    Unknown,
    Fetching {
        ticket: u64,
    },
    Verified,
}

#[derive(Debug, Clone)]
struct Run {
    id: u64,
    slot: Slot,
    installed: Installed,
    started: Option<Duration>,
    running: Option<Running>,
    /// Only on trial, once started.
    watch: Option<Watch>,
}

/// Requests waiting to be measured; more are refused, the operator asks again.
const MAX_PROFILES: usize = 4;

impl Agent {
    /// Takes up what an earlier process left on the disk.
    pub fn new(settings: Settings, disk: Durable) -> Self {
        Self {
            settings,
            disk,
            counter: 0,
            active: Models::Unknown,
            trial: Models::Unknown,
            run: None,
            next: None,
            restart_at: Duration::ZERO,
            restarts: 0,
            profiles: VecDeque::new(),
            measuring: None,
            ending: false,
        }
    }

    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let before = self.disk.clone();
        let mut effects = Vec::new();
        self.take(event, now, &mut effects);
        self.settle(now, &mut effects);
        if self.disk != before {
            effects.insert(0, Effect::Persist(Box::new(self.disk.clone())));
        }
        effects
    }

    /// When `Tick` has something to do.
    pub fn wake_at(&self) -> Option<Duration> {
        let watch = self
            .run
            .as_ref()
            .and_then(|run| run.watch.as_ref())
            .map(Watch::wake_at);
        let fetching = matches!(self.active, Models::Fetching { .. });
        let runs = self.run.is_some() || self.next.is_some();
        let idle = !runs && self.measuring.is_none() && !self.ending && !fetching;
        let restart = (idle && self.disk.active.is_some()).then_some(self.restart_at);
        watch.into_iter().chain(restart).min()
    }

    pub fn disk(&self) -> &Durable {
        &self.disk
    }

    /// Figures of what runs now, and since when.
    pub fn running(&self) -> Option<&Running> {
        self.run.as_ref()?.running.as_ref()
    }

    /// On the way from one state to another: worth reporting more often.
    pub fn is_busy(&self) -> bool {
        self.disk.trial.is_some() || self.measuring.is_some()
    }

    fn take(&mut self, event: Event, now: Now, effects: &mut Vec<Effect>) {
        match event {
            Event::Booted => self.boot(now, effects),
            Event::Connected => {
                // Repairs an ack lost on the way; taking it twice changes nothing.
                effects.extend(self.last_ack(now));
                effects.push(Effect::Report);
            }
            Event::Desired(desired) => self.desire(&desired, now, effects),
            Event::Unreadable(message) => {
                effects.push(Effect::Notice(Failure::new("DesiredUnreadable", message)));
            }
            Event::Cleared => self.clear(effects),
            Event::Fetched { ticket, outcome } => self.fetched(ticket, outcome, now, effects),
            Event::Started { run } => self.started(run, now, effects),
            Event::StartFailed { run, failure } => self.stopped(run, failure, now, effects),
            Event::SwitchFailed { run, failure } => self.switch_failed(run, failure, now, effects),
            Event::Ended { run, failure } => {
                let at_end = || Failure::new("GraphEnded", "the graph's sources came to their end");
                self.stopped(run, failure.unwrap_or_else(at_end), now, effects);
            }
            Event::Figures { run, running } => {
                if let Some(current) = self.run.as_mut().filter(|current| current.id == run) {
                    if let Some(watch) = &mut current.watch {
                        watch.see(running.clone());
                    }
                    current.running = Some(running);
                }
            }
            Event::Profile(request) => self.profile(*request, effects),
            Event::Measured => self.measuring = None,
            Event::Tick => {}
            Event::Shutdown => self.shut_down(effects),
        }
    }

    fn profile(&mut self, request: ProfileRequest, effects: &mut Vec<Effect>) {
        let known = self.profiles.iter().any(|waiting| waiting.id == request.id);
        if known || self.measuring.as_ref() == Some(&request.id) {
            return;
        }
        if self.profiles.len() >= MAX_PROFILES {
            let message = format!(
                "{MAX_PROFILES} profile requests are waiting already; {} is dropped",
                request.id
            );
            effects.push(Effect::Notice(Failure::new("ProfileQueueFull", message)));
            return;
        }
        self.profiles.push_back(request);
    }

    /// An orderly end is no crash: what was on trial is tried again as if it had not been started.
    fn shut_down(&mut self, effects: &mut Vec<Effect>) {
        let runs = self.run.take().into_iter().chain(self.next.take());
        let on_trial = runs.last().is_some_and(|run| run.slot == Slot::Trial);
        if let Some(trial) = self.disk.trial.as_mut().filter(|_| on_trial) {
            trial.starts = trial.starts.saturating_sub(1);
        }
        self.ending = true;
        effects.push(Effect::Stop);
    }

    /// Takes the step in the document's progress, if it leads forward.
    fn advance(&mut self, phase: Phase, failure: Option<Failure>, now: Now, effects: &mut Vec<Effect>) {
        let Some(progress) = self
            .disk
            .progress
            .as_mut()
            .filter(|p| !p.phase.is_final() && p.phase < phase)
        else {
            return;
        };
        progress.phase = phase;
        if let Some(Failure { code, message }) = failure {
            progress.code = Some(code.to_owned());
            progress.message = Some(message);
        }
        effects.extend(self.last_ack(now));
        effects.push(Effect::Report);
    }

    fn last_ack(&self, now: Now) -> Option<Effect> {
        let Progress {
            rollout,
            order,
            attempt,
            phase,
            code,
            message,
        } = self.disk.progress.clone()?;
        Some(Effect::Ack(Box::new(Ack {
            version: protocol::VERSION,
            device: self.settings.device.clone(),
            boot_id: self.settings.boot_id,
            rollout,
            order,
            attempt,
            phase,
            code,
            message,
            at: now.wall,
        })))
    }

    fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}
