//! From one graph to the next while the first one runs.

use super::*;

fn refused(run: u64) -> Event {
    let failure = Failure::new("GraphOpenFailed", "node dish: file is no ONNX model");
    Event::SwitchFailed { run, failure }
}

/// Revision b is about to take the place of a, as run 4.
fn switching() -> Device {
    let mut device = Device::new();
    device.install(1, "a", 1);
    device.desire(2, "b");
    assert_eq!(
        device.fetched(3),
        "persist, ack Verified, ack Staged, ack Activating, switch 4 b"
    );
    device
}

#[test]
fn a_graph_takes_the_place_of_the_one_that_runs() {
    let mut device = switching();
    device.figures(2, 50);
    assert_eq!(
        device.agent.running().unwrap().completed,
        50,
        "it goes on meanwhile"
    );
    assert_eq!(device.tell(Event::Started { run: 4 }), "persist, ack Baking");
    assert_eq!(device.agent.running(), None);
    device.figures(2, 60);
    assert_eq!(device.agent.running(), None, "late");
    device.figures(4, 1);
    assert_eq!(device.wait(5), "persist, ack Healthy, keep 2");
}

#[test]
fn results_of_the_graph_before_prove_nothing() {
    let mut device = switching();
    device.figures(2, 50);
    device.tell(Event::Started { run: 4 });
    assert_eq!(
        device.wait(10),
        "persist, ack Failed NoOutput, keep 1, switch 5 a"
    );
}

#[test]
fn what_cannot_open_leaves_the_last_good_running() {
    let mut device = switching();
    assert_eq!(
        device.tell(refused(4)),
        "persist, ack Failed GraphOpenFailed, keep 1"
    );
    assert_eq!(device.figures(2, 90), "");
    assert_eq!(device.agent.running().unwrap().completed, 90);
    assert_eq!(device.tell(Event::Started { run: 4 }), "", "late");
    device.desire(3, "c");
    assert!(device.fetched(5).ends_with("switch 6 c"));
}

#[test]
fn what_had_to_be_started_and_did_not_is_a_failed_start() {
    let mut device = switching();
    let failure = Failure::new("GraphOpenFailed", "node dish: file is no ONNX model");
    assert_eq!(
        device.tell(Event::StartFailed { run: 4, failure }),
        "persist, ack Failed GraphOpenFailed, keep 1, start 5 a"
    );
}

#[test]
fn after_a_crash_two_are_not_in_memory_at_once() {
    let mut device = switching();
    device.restart();
    device.fetched(1);
    device.tell(Event::Started { run: 3 });
    assert_eq!(device.fetched(2), "persist, start 4 b");
}

#[test]
fn a_rollback_that_cannot_switch_starts_anew() {
    let mut device = switching();
    device.tell(Event::Started { run: 4 });
    assert_eq!(
        device.wait(10),
        "persist, ack Failed NoOutput, keep 1, switch 5 a"
    );
    assert_eq!(device.tell(refused(5)), "stop, notice GraphOpenFailed, start 6 a");
}

#[test]
fn a_graph_that_ends_before_the_switch_costs_the_new_one_nothing() {
    let mut device = switching();
    let failure = Some(Failure::new("NodeError", "camera is gone"));
    assert_eq!(device.tell(Event::Ended { run: 2, failure }), "notice NodeError");
    assert_eq!(device.wait(5), "", "the switch is still under way");
    assert_eq!(device.tell(Event::Started { run: 4 }), "persist, ack Baking");
}

/// Nothing else is asked of what runs before a switch is answered, and then only what is still wanted.
#[test]
fn a_newer_document_waits_for_the_switch() {
    let newer = || {
        let mut device = switching();
        assert_eq!(
            device.desire(3, "c"),
            "persist, ack Received, ack Downloading, fetch 5"
        );
        device
    };
    let mut device = newer();
    assert_eq!(device.fetched(5), "persist, ack Verified, ack Staged");
    assert_eq!(
        device.tell(Event::Started { run: 4 }),
        "persist, ack Activating, switch 6 c"
    );

    let mut device = newer();
    assert_eq!(device.tell(Event::Started { run: 4 }), "switch 6 a");

    let mut device = newer();
    assert_eq!(
        device.tell(refused(4)),
        "notice GraphOpenFailed",
        "the last good one goes on"
    );
    assert_eq!(
        device.fetched(5),
        "persist, ack Verified, ack Staged, ack Activating, switch 6 c"
    );

    let mut device = newer();
    let failure = Failure::new("GraphOpenFailed", "");
    assert_eq!(
        device.tell(Event::StartFailed { run: 4, failure }),
        "notice GraphOpenFailed"
    );
    assert_eq!(device.wait(1), "start 6 a");
}

#[test]
fn measuring_and_clearing_wait_for_the_switch() {
    let mut device = switching();
    assert_eq!(device.tell(profile("p1")), "");
    assert_eq!(
        device.tell(refused(4)),
        "persist, ack Failed GraphOpenFailed, keep 1, stop, measure p1"
    );

    let mut device = switching();
    assert_eq!(device.tell(Event::Cleared), "persist, keep 0");
    assert_eq!(device.tell(Event::Started { run: 4 }), "stop");

    let mut device = switching();
    assert_eq!(device.tell(Event::Shutdown), "persist, stop");
    assert_eq!(
        device.disk.trial.as_ref().unwrap().starts,
        0,
        "an orderly end is no crash"
    );
}
