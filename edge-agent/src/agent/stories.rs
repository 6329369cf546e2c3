//! Lives of a device as text: each event, and what the agent wants done about it.

mod switches;

use std::time::Duration;

use pipeline::spec::{GraphSpec, NodeSpec};
use protocol::desired::{Desired, ModelRef, Objectives, Order};
use protocol::id::{BootId, Digest};
use protocol::profile::{MeasurePlan, ProfileRequest};
use protocol::reported::Running;

use super::*;

/// A device that can lose its power at any moment: only `disk` survives.
struct Device {
    agent: Agent,
    disk: Durable,
    uptime: Duration,
}

impl Device {
    fn new() -> Self {
        let disk = Durable::default();
        Self {
            agent: Agent::new(settings(), disk.clone()),
            disk,
            uptime: Duration::ZERO,
        }
    }

    fn tell(&mut self, event: Event) -> String {
        let now = Now {
            uptime: self.uptime,
            wall: jiff::Timestamp::UNIX_EPOCH,
        };
        let effects = self.agent.handle(event, now);
        for effect in &effects {
            if let Effect::Persist(disk) = effect {
                self.disk = (**disk).clone();
            }
        }
        effects.iter().filter_map(text).collect::<Vec<_>>().join(", ")
    }

    fn wait(&mut self, seconds: u64) -> String {
        self.uptime += Duration::from_secs(seconds);
        self.tell(Event::Tick)
    }

    fn desire(&mut self, generation: u64, revision: &str) -> String {
        self.tell(Event::Desired(Box::new(desired(generation, revision))))
    }

    fn fetched(&mut self, ticket: u64) -> String {
        self.tell(Event::Fetched {
            ticket,
            outcome: Ok(()),
        })
    }

    fn figures(&mut self, run: u64, completed: u64) -> String {
        let running = Running {
            seconds: self.uptime.as_secs_f64(),
            completed,
            ..Running::default()
        };
        self.tell(Event::Figures { run, running })
    }

    /// The process is killed and started again.
    fn restart(&mut self) -> String {
        self.agent = Agent::new(settings(), self.disk.clone());
        self.uptime = Duration::ZERO;
        self.tell(Event::Booted)
    }

    /// From the document to its bake's good end, with ticket and run as numbered from `first`.
    fn install(&mut self, generation: u64, revision: &str, first: u64) {
        self.desire(generation, revision);
        self.fetched(first);
        self.tell(Event::Started { run: first + 1 });
        self.figures(first + 1, 9);
        assert!(self.wait(6).contains("ack Healthy"));
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        device: "cam-1".parse().unwrap(),
        boot_id: BootId(uuid::Uuid::nil()),
        crashes: 2,
        first_output: Duration::from_secs(10),
        restart: Duration::from_secs(1),
        restart_limit: Duration::from_mins(1),
        check: |desired| {
            let known = desired
                .graph
                .nodes
                .iter()
                .all(|node| node.calculator != "Unknown");
            if known {
                Ok(())
            } else {
                Err(Failure::new("GraphInvalid", "node a: no calculator Unknown"))
            }
        },
    }
}

pub(crate) fn desired(generation: u64, revision: &str) -> Desired {
    let sha256 = Digest::of(revision.as_bytes());
    let calculator = if revision == "bad" {
        "Unknown".into()
    } else {
        revision.to_owned()
    };
    Desired {
        version: 1,
        order: Order { epoch: 1, generation },
        rollout: "r1".into(),
        attempt: 1,
        pipeline: "shop/counter".into(),
        revision: revision.into(),
        graph: GraphSpec {
            nodes: vec![NodeSpec {
                calculator,
                ..NodeSpec::default()
            }],
            ..GraphSpec::default()
        },
        models: [(
            "dish".into(),
            ModelRef {
                sha256,
                size: 1,
                url: "/x".into(),
            },
        )]
        .into(),
        bake: units::Duration::from_secs(5),
        objectives: Objectives::default(),
    }
}

fn profile(id: &str) -> Event {
    let plan = MeasurePlan::default();
    Event::Profile(Box::new(ProfileRequest {
        version: 1,
        id: id.into(),
        files: Vec::new(),
        plan,
    }))
}

fn text(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Report => return None,
        Effect::Persist(_) => "persist".into(),
        Effect::Ack(ack) => match &ack.code {
            Some(code) => format!("ack {:?} {code}", ack.phase),
            None => format!("ack {:?}", ack.phase),
        },
        Effect::Notice(failure) => format!("notice {}", failure.code),
        Effect::Fetch { ticket, .. } => format!("fetch {ticket}"),
        Effect::StopFetch { ticket } => format!("stop fetch {ticket}"),
        Effect::Start { run, installed } => format!("start {run} {}", installed.revision),
        Effect::Switch { run, installed } => format!("switch {run} {}", installed.revision),
        Effect::Stop => "stop".into(),
        Effect::Measure(request) => format!("measure {}", request.id),
        Effect::Collect(keep) => format!("keep {}", keep.len()),
    })
}

#[test]
fn first_revision_walks_all_steps() {
    let mut device = Device::new();
    assert_eq!(device.tell(Event::Booted), "keep 0");
    assert_eq!(
        device.desire(1, "a"),
        "persist, ack Received, ack Downloading, fetch 1"
    );
    assert_eq!(
        device.fetched(1),
        "persist, ack Verified, ack Staged, ack Activating, start 2 a"
    );
    assert_eq!(device.tell(Event::Started { run: 2 }), "persist, ack Baking");
    assert_eq!(device.figures(2, 3), "");
    assert_eq!(device.wait(4), "");
    assert_eq!(device.wait(1), "persist, ack Healthy, keep 1");
    assert_eq!(device.disk.active.as_ref().unwrap().revision, "a");
    assert_eq!(device.tell(Event::Connected), "ack Healthy");
}

#[test]
fn a_failed_trial_gives_the_last_good_back() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    device.desire(2, "b");
    device.fetched(3);
    device.tell(Event::Started { run: 4 });
    assert_eq!(
        device.wait(10),
        "persist, ack Failed NoOutput, keep 1, switch 5 a"
    );
    device.tell(Event::Started { run: 5 });
    assert_eq!(device.tell(Event::Connected), "ack Failed NoOutput");

    device.desire(4, "d");
    let outcome = Err(Failure::new("DigestMismatch", "model dish"));
    let told = device.tell(Event::Fetched { ticket: 6, outcome });
    assert_eq!(told, "persist, ack Failed DigestMismatch, keep 1");
    assert_eq!(device.disk.active.as_ref().unwrap().revision, "a");
    assert!(device.disk.previous.is_none());
}

#[test]
fn a_rollback_needs_no_download_and_keeps_both() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    device.install(2, "b", 3);
    assert_eq!(device.disk.models().len(), 2);
    device.install(3, "a", 5);
    assert_eq!(device.disk.active.as_ref().unwrap().revision, "a");
    assert_eq!(device.disk.previous.as_ref().unwrap().revision, "b");
}

#[test]
fn replayed_and_older_documents_change_nothing() {
    let mut device = Device::new();
    device.install(5, "a", 1);
    assert_eq!(device.desire(5, "a"), "");
    assert_eq!(device.desire(4, "b"), "notice DesiredStale");
    device.restart();
    assert_eq!(device.desire(4, "b"), "notice DesiredStale");
    assert_eq!(device.tell(Event::Cleared), "persist, stop fetch 1, keep 0");
    assert_eq!(device.tell(Event::Cleared), "");
    assert_eq!(device.desire(5, "a"), "", "a cleared document doesn't come back");
    assert!(device.desire(6, "a").contains("ack Received"));
}

#[test]
fn a_newer_document_takes_the_place_of_one_in_progress() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    assert_eq!(
        device.desire(2, "b"),
        "persist, ack Received, ack Downloading, fetch 3"
    );
    assert_eq!(
        device.desire(3, "c"),
        "persist, stop fetch 3, ack Received, ack Downloading, fetch 4"
    );
    assert_eq!(device.fetched(3), "", "late");
    device.fetched(4);
    device.tell(Event::Started { run: 5 });
    let told = device.desire(4, "d");
    assert_eq!(
        told,
        "persist, ack Received, ack Downloading, fetch 6, switch 7 a"
    );
    device.tell(Event::Started { run: 7 });
    assert_eq!(
        device.tell(Event::Ended {
            run: 5,
            failure: None
        }),
        "",
        "late"
    );
}

#[test]
fn a_document_that_cannot_run_here_is_rejected() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    assert_eq!(device.desire(2, "bad"), "persist, ack Rejected GraphInvalid");
    assert_eq!(
        device.tell(Event::Unreadable("not JSON".into())),
        "notice DesiredUnreadable"
    );
    device.restart();
    assert_eq!(device.desire(2, "bad"), "");
    assert_eq!(device.fetched(1), "start 2 a");
}

#[test]
fn takes_up_its_work_after_a_kill() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    assert_eq!(device.restart(), "keep 1, fetch 1");
    assert_eq!(device.fetched(1), "start 2 a");

    device.desire(2, "b");
    assert_eq!(device.restart(), "keep 2, fetch 1, fetch 2");
    assert_eq!(device.fetched(1), "start 3 a");
    assert_eq!(
        device.fetched(2),
        "persist, ack Verified, ack Staged, ack Activating, start 4 b"
    );
    device.tell(Event::Started { run: 4 });

    device.restart();
    assert_eq!(
        device.fetched(2),
        "persist, start 3 b",
        "its steps are known already"
    );
    assert_eq!(device.tell(Event::Started { run: 3 }), "");
    device.figures(3, 1);
    assert_eq!(device.wait(5), "persist, ack Healthy, keep 2");
}

#[test]
fn a_revision_that_kills_the_process_is_given_up() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    device.desire(2, "b");
    device.fetched(3);
    device.restart();
    device.fetched(2);
    assert_eq!(device.restart(), "persist, ack Failed CrashLoop, keep 1, fetch 1");
    assert_eq!(device.fetched(1), "start 2 a");
}

#[test]
fn an_orderly_end_is_no_crash() {
    let mut device = Device::new();
    device.desire(1, "a");
    device.fetched(1);
    for _ in 0..5 {
        assert_eq!(device.tell(Event::Shutdown), "persist, stop");
        assert_eq!(device.restart(), "keep 1, fetch 1");
        assert_eq!(device.fetched(1), "persist, start 2 a");
    }
}

#[test]
fn a_week_offline_changes_nothing() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    for hour in 0..24 * 7 {
        assert_eq!(device.figures(2, 10 + hour), "");
        assert_eq!(device.wait(3600), "");
    }
    assert_eq!(device.tell(Event::Connected), "ack Healthy");
    assert_eq!(
        device.desire(9, "b"),
        "persist, ack Received, ack Downloading, fetch 3"
    );
}

#[test]
fn the_last_good_graph_is_started_again_ever_more_patiently() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    let mut waits = Vec::new();
    for run in 2..12 {
        let failure = Some(Failure::new("NodeError", "camera is gone"));
        assert_eq!(device.tell(Event::Ended { run, failure }), "notice NodeError");
        let wake = device.agent.wake_at().unwrap();
        waits.push(wake.saturating_sub(device.uptime).as_secs());
        device.uptime = wake;
        assert_eq!(device.tell(Event::Tick), format!("start {} a", run + 1));
        device.tell(Event::Started { run: run + 1 });
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
}

#[test]
fn the_same_content_under_a_new_order_is_watched_but_not_restarted() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    device.install(2, "b", 3);
    device.desire(3, "b");
    assert_eq!(
        device.fetched(5),
        "persist, ack Verified, ack Staged, ack Activating, ack Baking"
    );
    device.figures(4, 10);
    assert_eq!(device.wait(5), "persist, ack Healthy, keep 2");
    assert_eq!(device.disk.previous.as_ref().unwrap().revision, "a");
}

#[test]
fn measures_alone_and_never_during_a_trial() {
    let mut device = Device::new();
    device.install(1, "a", 1);
    assert_eq!(device.tell(profile("p1")), "stop, measure p1");
    assert_eq!(device.tell(profile("p2")), "");
    assert_eq!(device.tell(profile("p2")), "");
    assert_eq!(device.tell(Event::Measured), "measure p2");
    assert_eq!(
        device.desire(2, "b"),
        "persist, ack Received, ack Downloading, fetch 3"
    );
    assert_eq!(device.fetched(3), "persist, ack Verified, ack Staged");
    assert_eq!(device.tell(Event::Measured), "persist, ack Activating, start 4 b");
    assert_eq!(device.tell(profile("p3")), "");
    device.tell(Event::Started { run: 4 });
    device.figures(4, 1);
    assert_eq!(device.wait(5), "persist, ack Healthy, keep 2, stop, measure p3");
    assert_eq!(device.tell(Event::Measured), "start 5 b");
}
