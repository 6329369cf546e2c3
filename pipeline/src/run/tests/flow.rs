//! Queues: what waits, what is let go of, and when its memory is free.

use std::thread;

use crate::packet::Packet;
use crate::run::FeedError;
use crate::run::tests::witness::Stage;
use crate::testing::at;

#[test]
fn a_packet_is_freed_when_the_node_is_done_with_it() {
    let stage = Stage::start(
        "inputStreams: [a]\nnodes:\n- {calculator: Witness, inputs: [a]}",
        1,
    );
    let first = stage.feed_watched("a", 1);
    assert!(first.upgrade().is_none());
}

#[test]
fn what_a_mux_does_not_choose_is_freed() {
    let stage = Stage::start(
        "inputStreams: [a, b, s]
outputStreams: [m]
nodes:
- {calculator: Mux, inputs: ['INPUT:0:a', 'INPUT:1:b', 'SELECT:s'], outputs: ['OUTPUT:m']}",
        1,
    );
    let (first, second) = (stage.feed_watched("a", 1), stage.feed_watched("a", 2));
    assert!(first.upgrade().is_some() && second.upgrade().is_some());
    stage.feed("b@1=10 s@1=1");
    assert_eq!(stage.packets("m"), "1=10");
    assert!(first.upgrade().is_none(), "not chosen at 1");
    assert!(second.upgrade().is_some(), "may still be chosen at 2");
    stage.feed("b@3=30 s@3=1");
    assert!(second.upgrade().is_none());
}

#[test]
fn a_mux_loses_no_choice_when_all_comes_at_once() {
    for round in 0..200 {
        let stage = Stage::start(
            "inputStreams: [a, b, s]
outputStreams: [m]
nodes:
- {calculator: Mux, inputs: ['INPUT:0:a', 'INPUT:1:b', 'SELECT:s'], outputs: ['OUTPUT:m']}",
            1 + round % 4,
        );
        thread::scope(|scope| {
            for (stream, value) in [("a", None), ("b", None), ("s", Some(2))] {
                let running = &stage.running;
                scope.spawn(move || {
                    for time in 0..20 {
                        let packet = Packet::new(value.map_or(time, |modulus| time % modulus), at(time));
                        running.feed(stream, packet).unwrap();
                    }
                });
            }
        });
        stage.end().unwrap();
        let all: Vec<String> = (0..20).map(|time| format!("{time}={time}")).collect();
        assert_eq!(stage.packets("m"), all.join(" "));
    }
}

/// A burst fills the queue and is cut down in it: the source isn't held back, or it would be a deadlock.
#[test]
fn a_queue_that_is_cut_down_lets_its_source_go_on() {
    for threads in [1, 2] {
        let bursts: Vec<String> = (0..10)
            .map(|n| format!("['{}={n}', '{}={n}', '{}={n}']", 3 * n, 3 * n + 1, 3 * n + 2))
            .collect();
        let stage = Stage::start(
            &format!(
                "maxQueueSize: 2
reportDeadlock: true
inputStreams: [b]
outputStreams: [x]
nodes:
- {{name: first, calculator: Witness, outputs: [a], options: {{process: [{}]}}}}
- {{name: w, calculator: Witness, inputs: [a, b], outputs: [x], options: {{process: [[pass]]}},
   inputPolicy: {{fixedSize: {{triggerQueueSize: 2, targetQueueSize: 1}}}}}}",
                bursts.join(", ")
            ),
            threads,
        );
        stage.running.wait_idle();
        assert_eq!(stage.journal.count("first Process"), 11);
        stage.end().unwrap();
        assert_eq!(stage.packets("x"), "29=9");
    }
}

#[test]
fn an_input_may_hold_less_than_the_graph_says() {
    let stage = Stage::start(
        "maxQueueSize: 100
inputStreams: [a, b]
nodes:
- {calculator: Witness, inputs: [a, b], queueSize: 2}",
        1,
    );
    // Paused, so that nobody makes room.
    stage.running.pause();
    let feed = |time| stage.running.try_feed("a", Packet::new(time, at(time)));
    assert_eq!((feed(1), feed(2)), (Ok(()), Ok(())));
    assert_eq!(feed(3), Err(FeedError::Full("a".to_owned())));
    stage.running.resume();
    stage.end().unwrap();
}
