//! Random lives of a device, with the power cut between any two effects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use protocol::desired::Order;
use protocol::id::Digest;
use protocol::reported::Running;

use super::stories::{desired, settings};
use super::*;

#[derive(Debug, Clone, Copy)]
enum Move {
    Desire {
        generation: u64,
        revision: usize,
    },
    Clear,
    Fetch {
        ok: bool,
    },
    Start {
        ok: bool,
    },
    /// The graph can't take the place of the one that runs.
    Refuse,
    Figures {
        completed: u64,
        errors: u64,
    },
    End,
    Wait(u64),
    Connect,
    Profile,
    Measured,
    Shutdown,
    /// The power goes after so many more effects.
    Cut {
        after: usize,
    },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1..20_u64, 0..5_usize).prop_map(|(generation, revision)| Move::Desire { generation, revision }),
        1 => Just(Move::Clear),
        6 => prop::bool::weighted(0.8).prop_map(|ok| Move::Fetch { ok }),
        6 => prop::bool::weighted(0.8).prop_map(|ok| Move::Start { ok }),
        2 => Just(Move::Refuse),
        6 => (0..50_u64, prop_oneof![9 => Just(0), 1 => Just(1)])
            .prop_map(|(completed, errors)| Move::Figures { completed, errors }),
        1 => Just(Move::End),
        5 => (0..8_u64).prop_map(Move::Wait),
        1 => Just(Move::Connect),
        1 => Just(Move::Profile),
        1 => Just(Move::Measured),
        1 => Just(Move::Shutdown),
        2 => (0..6_usize).prop_map(|after| Move::Cut { after }),
    ];
    prop::collection::vec(one, 0..80)
}

/// What the outside world knows, and the rules it checks.
struct World {
    agent: Agent,
    disk: Durable,
    uptime: Duration,
    cut: Option<usize>,
    fetches: BTreeMap<u64, BTreeSet<Digest>>,
    verified: BTreeSet<Digest>,
    run: Option<u64>,
    /// The run is open.
    open: bool,
    /// Shall take the run's place.
    next: Option<u64>,
    steps: BTreeMap<Order, Phase>,
}

const REVISIONS: [&str; 5] = ["a", "b", "c", "d", "bad"];

impl World {
    fn new() -> Self {
        let disk = Durable::default();
        let mut world = Self {
            agent: Agent::new(settings(), disk.clone()),
            disk,
            uptime: Duration::ZERO,
            cut: None,
            fetches: BTreeMap::new(),
            verified: BTreeSet::new(),
            run: None,
            open: false,
            next: None,
            steps: BTreeMap::new(),
        };
        world.tell(Event::Booted);
        world
    }

    fn reboot(&mut self) {
        self.agent = Agent::new(settings(), self.disk.clone());
        self.uptime = Duration::ZERO;
        self.fetches.clear();
        self.verified.clear();
        (self.run, self.next) = (None, None);
        self.tell(Event::Booted);
    }

    fn tell(&mut self, event: Event) {
        let clearing = event == Event::Cleared;
        let resending = event == Event::Connected;
        let now = Now {
            uptime: self.uptime,
            wall: jiff::Timestamp::UNIX_EPOCH,
        };
        for (index, effect) in self.agent.handle(event, now).into_iter().enumerate() {
            if let Some(left) = &mut self.cut {
                if *left == 0 {
                    self.cut = None;
                    return self.reboot();
                }
                *left -= 1;
            }
            self.perform(effect, index, clearing, resending);
        }
        assert!(
            self.agent.wake_at().is_none_or(|wake| wake > self.uptime),
            "would tick without end"
        );
    }

    fn perform(&mut self, effect: Effect, index: usize, clearing: bool, resending: bool) {
        match effect {
            Effect::Persist(disk) => {
                assert_eq!(index, 0, "nothing may happen before it is on the disk");
                self.check_disk(&disk, clearing);
                self.disk = *disk;
            }
            Effect::Ack(ack) => {
                let last = self.steps.insert(ack.order, ack.phase);
                let forward = last.is_none_or(|last| last < ack.phase || resending && last == ack.phase);
                let repeated = last == Some(ack.phase);
                assert!(forward || repeated, "{last:?} to {:?}", ack.phase);
                assert!(!last.is_some_and(Phase::is_final) || repeated);
            }
            Effect::Fetch { ticket, models } => {
                self.fetches
                    .insert(ticket, models.into_values().map(|model| model.sha256).collect());
            }
            Effect::StopFetch { ticket } => {
                assert!(self.fetches.remove(&ticket).is_some());
            }
            Effect::Start { run, installed } => {
                self.check_run(&installed);
                (self.run, self.open, self.next) = (Some(run), false, None);
            }
            Effect::Switch { run, installed } => {
                self.check_run(&installed);
                assert!(self.next.is_none(), "one switch at a time");
                // The run may just have ended, which the agent hears later.
                assert!(self.run.is_none() || self.open, "in the place of what is open");
                self.next = Some(run);
            }
            Effect::Stop => (self.run, self.next) = (None, None),
            Effect::Collect(keep) => {
                assert!(self.disk.models().is_subset(&keep), "deletes what a slot needs");
            }
            Effect::Report | Effect::Notice(_) | Effect::Measure(_) => {}
        }
    }

    fn check_run(&self, installed: &Installed) {
        for model in installed.models.values() {
            assert!(self.verified.contains(&model.sha256), "unverified model");
        }
        let slots = [
            self.disk.active.as_ref(),
            self.disk.trial.as_ref().map(|t| &t.installed),
        ];
        assert!(slots.contains(&Some(installed)), "runs what is in no slot");
    }

    /// The last good revision stays, or the one that held through its bake takes its place.
    fn check_disk(&self, disk: &Durable, clearing: bool) {
        assert!(disk.last_order >= self.disk.last_order);
        if disk.active == self.disk.active || clearing {
            return;
        }
        let trial = self.disk.trial.as_ref().map(|trial| &trial.installed);
        assert_eq!(disk.active.as_ref(), trial);
        assert_eq!(disk.progress.as_ref().map(|p| p.phase), Some(Phase::Healthy));
        let same = |a: &Option<Installed>| {
            a.as_ref()
                .zip(disk.active.as_ref())
                .is_some_and(|(a, b)| a.same_content(b))
        };
        assert!(self.disk.active.is_none() || same(&self.disk.active) || disk.previous == self.disk.active);
    }

    fn play(&mut self, step: Move) {
        match step {
            Move::Desire { generation, revision } => {
                self.tell(Event::Desired(Box::new(desired(generation, REVISIONS[revision]))));
            }
            Move::Clear => self.tell(Event::Cleared),
            Move::Fetch { ok } => {
                let Some((ticket, models)) = self.fetches.pop_first() else {
                    return;
                };
                let outcome = if ok {
                    self.verified.extend(models);
                    Ok(())
                } else {
                    Err(Failure::new("DownloadFailed", ""))
                };
                self.tell(Event::Fetched { ticket, outcome });
            }
            Move::Start { ok: true } => {
                self.run = self.next.take().or(self.run);
                if let Some(run) = self.run {
                    self.open = true;
                    self.tell(Event::Started { run });
                }
            }
            Move::Start { ok: false } => {
                if let Some(run) = self.next.take().or(self.run) {
                    self.run = None;
                    let failure = Failure::new("GraphOpenFailed", "");
                    self.tell(Event::StartFailed { run, failure });
                }
            }
            Move::Refuse => {
                if let Some(run) = self.next.take() {
                    let failure = Failure::new("GraphOpenFailed", "");
                    self.tell(Event::SwitchFailed { run, failure });
                }
            }
            Move::Figures { completed, errors } => {
                let seconds = self.uptime.as_secs_f64();
                if let Some(run) = self.run {
                    let running = Running {
                        seconds,
                        completed,
                        errors,
                        ..Running::default()
                    };
                    self.tell(Event::Figures { run, running });
                }
            }
            Move::End => {
                if let Some(run) = self.run.take() {
                    self.tell(Event::Ended { run, failure: None });
                }
            }
            Move::Wait(seconds) => {
                self.uptime += Duration::from_secs(seconds);
                self.tell(Event::Tick);
            }
            Move::Connect => self.tell(Event::Connected),
            Move::Profile => {
                let request = ProfileRequest {
                    version: 1,
                    id: self.uptime.as_secs().to_string(),
                    files: Vec::new(),
                    plan: protocol::profile::MeasurePlan::default(),
                };
                self.tell(Event::Profile(Box::new(request)));
            }
            Move::Measured => self.tell(Event::Measured),
            Move::Shutdown => {
                self.tell(Event::Shutdown);
                self.reboot();
            }
            Move::Cut { after } => self.cut = Some(after),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn keeps_its_promises(moves in moves()) {
        let mut world = World::new();
        for step in moves {
            world.play(step);
        }
    }

    /// Whatever happened: given a working network and graph, the next document ends Healthy.
    #[test]
    fn is_never_stuck(moves in moves()) {
        let mut world = World::new();
        for step in moves {
            world.play(step);
        }
        world.cut = None;
        world.tell(Event::Desired(Box::new(desired(100, "a"))));
        for second in 0..100 {
            world.play(Move::Measured);
            while !world.fetches.is_empty() {
                world.play(Move::Fetch { ok: true });
            }
            world.play(Move::Start { ok: true });
            world.play(Move::Figures { completed: 100 + second, errors: 0 });
            world.play(Move::Wait(1));
        }
        let progress = world.disk.progress.clone().unwrap();
        prop_assert_eq!(progress.phase, Phase::Healthy);
        prop_assert_eq!(world.disk.active.clone().unwrap().revision, "a");
        prop_assert!(world.run.is_some());
    }
}
