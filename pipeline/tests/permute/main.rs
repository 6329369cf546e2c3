//! The scheduler's core under a permutation tester: the same code, but a tester decides at each lock, wait and atomic
//! which thread goes on, thousands of times differently. It tells when all threads wait for each other, which is what
//! a lost wake-up comes to, and prints the schedule with which `shuttle::replay` runs the same again.

#[expect(dead_code, reason = "the machine's clock isn't part of this")]
#[path = "../../src/clock.rs"]
mod clock;
#[cfg(test)]
mod current;
#[cfg(test)]
mod model;
mod run;
#[cfg(test)]
mod sync;

use std::sync::Arc;
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, MaxSteps, Runner};

use crate::clock::VirtualClock;
use crate::current::{Current, PassingClock, join, standing};
use crate::model::{Kind, Nodes, Run, Shape};

/// Runs of each test, half of them with few changes between threads, half with many.
const SCHEDULES: usize = 4_000;
/// Longer than any wait that has an end.
const LONG: Duration = Duration::from_hours(1);

fn permute(test: fn()) {
    let mut config = Config::new();
    config.silence_warnings = true;
    // A run that takes so long goes round in circles.
    config.max_steps = MaxSteps::FailAfter(100_000);
    Runner::new(PctScheduler::new(3, SCHEDULES / 2), config.clone()).run(test);
    Runner::new(RandomScheduler::new(SCHEDULES / 2), config).run(test);
}

/// Two entries, a fork and a join; the third node runs in an executor of its own.
fn fork_and_join() -> Shape {
    let kinds = [0, 0, 1, 0].map(|lane| Kind {
        lane,
        ..Kind::default()
    });
    Shape {
        kinds: kinds.to_vec(),
        readers: [(0, vec![2, 3]), (1, vec![3]), (2, vec![3])].into(),
        workers: vec![2, 1],
        ..Shape::default()
    }
}

fn one_node() -> Shape {
    Shape {
        kinds: vec![Kind::default()],
        workers: vec![1],
        ..Shape::default()
    }
}

/// What the nodes of `fork_and_join` do when 0 and 1 are fed so many packets.
fn calls(first: u32, second: u32) -> [u32; 4] {
    [first, second, first, 2 * first + second]
}

fn start(nodes: &Arc<Nodes>) -> (Arc<Current>, Vec<JoinHandle<()>>) {
    let run = Arc::new(Run::new(nodes, standing()));
    let workers = run.start();
    (Current::new(&run), workers)
}

#[test]
fn each_node_that_can_run_is_run_and_never_twice_at_once() {
    permute(|| {
        let nodes = Nodes::new(fork_and_join());
        let (current, workers) = start(&nodes);
        join([current.feeder(0, 2), current.feeder(1, 2)]);
        current.end(workers, &calls(2, 2));
    });
}

#[test]
fn the_end_of_work_is_told_to_each_who_asks() {
    permute(|| {
        let nodes = Nodes::new(fork_and_join());
        let (current, workers) = start(&nodes);
        let asker = {
            let current = Arc::clone(&current);
            thread::spawn(move || current.wait_idle())
        };
        let feeder = current.feeder(0, 1);
        current.wait_idle();
        join([asker, feeder]);
        current.end(workers, &calls(1, 0));
    });
}

#[test]
fn a_graph_ends_by_itself_when_all_is_done() {
    permute(|| {
        let nodes = Nodes::fed_by(2, fork_and_join());
        let (current, workers) = start(&nodes);
        let feed = |node: usize| {
            let run = Arc::clone(&current.run.read().unwrap());
            thread::spawn(move || {
                run.feed(node);
                run.feed_last(node);
            })
        };
        join([feed(0), feed(1)].into_iter().chain(workers));
        assert_eq!(nodes.runs(), calls(2, 2));
    });
    // The smallest: the worker finds nothing to do, and is fed before it can say so.
    permute(|| {
        let nodes = Nodes::fed_by(1, one_node());
        let run = Arc::new(Run::new(&nodes, standing()));
        let workers = run.start();
        run.feed_last(0);
        join(workers);
        assert_eq!(nodes.runs(), [1]);
    });
}

#[test]
fn a_worker_is_free_for_the_most_urgent_node() {
    permute(|| {
        let nodes = Nodes::new(Shape {
            kinds: vec![Kind::default(); 4],
            readers: [(0, vec![3])].into(),
            top_from: 3,
            workers: vec![2],
            ..Shape::default()
        });
        let (current, workers) = start(&nodes);
        join((0..3).map(|node| current.feeder(node, 2)));
        current.end(workers, &[2, 2, 2, 2]);
    });
}

/// The most urgent node keeps a worker for as long as a less urgent one isn't run: the other worker must hear that it may.
#[test]
fn a_less_urgent_node_is_run_as_soon_as_another_makes_room() {
    permute(|| {
        let waiting = Kind {
            waits_for: Some((0, 1)),
            ..Kind::default()
        };
        let nodes = Nodes::new(Shape {
            kinds: vec![Kind::default(), Kind::default(), waiting],
            readers: [(1, vec![2])].into(),
            top_from: 2,
            workers: vec![2],
            ..Shape::default()
        });
        let (current, workers) = start(&nodes);
        join((0..2).map(|node| current.feeder(node, 1)));
        current.end(workers, &[1, 1, 1]);
    });
}

#[test]
fn pausing_loses_nothing() {
    permute(|| {
        let nodes = Nodes::new(fork_and_join());
        let (current, workers) = start(&nodes);
        let feeder = current.feeder(0, 2);
        let pause = {
            let current = Arc::clone(&current);
            thread::spawn(move || {
                current.run.read().unwrap().pool.pause();
                // Also told while paused: whoever waits for it goes on.
                current.wait_idle();
                current.run.read().unwrap().pool.resume();
            })
        };
        join([feeder, pause]);
        current.end(workers, &calls(2, 0));
    });
}

#[test]
fn all_come_to_rest_when_held_and_go_on_when_released() {
    permute(|| {
        let nodes = Nodes::new(fork_and_join());
        let (current, workers) = start(&nodes);
        let feeders = [current.feeder(0, 2), current.feeder(1, 1)];
        {
            let run = current.run.read().unwrap();
            run.pool.keep_back([3].into_iter());
            assert!(run.pool.hold_all(LONG, 0));
            assert_eq!(nodes.running(), []);
            run.pool.release();
        }
        join(feeders);
        current.end(workers, &calls(2, 1));
    });
}

#[test]
fn what_is_kept_back_goes_on_whenever_it_is_released() {
    permute(|| {
        let nodes = Nodes::new(one_node());
        let run = Arc::new(Run::new(&nodes, standing()));
        run.pool.keep_back([0].into_iter());
        run.feed(0);
        let workers = run.start();
        run.pool.release();
        Current::new(&run).end(workers, &[1]);
    });
}

#[test]
fn a_hold_that_takes_too_long_is_given_up() {
    permute(|| {
        let nodes = Nodes::new(fork_and_join());
        let (current, workers) = start(&nodes);
        let time = thread::spawn(sync::pass_time);
        let feeder = current.feeder(0, 2);
        {
            let run = current.run.read().unwrap();
            if run.pool.hold_all(Duration::from_nanos(1), 0) {
                assert_eq!(nodes.running(), []);
                run.pool.release();
            }
        }
        join([feeder]);
        current.end(workers, &calls(2, 0));
        sync::stop_time();
        join([time]);
    });
}

/// As a reload does it: the slow node is kept back, then all are held, and another pool takes over.
#[test]
fn another_pool_takes_over_between_two_calls() {
    permute(|| {
        let nodes = Nodes::new(fork_and_join());
        let (current, workers) = start(&nodes);
        let time = thread::spawn(sync::pass_time);
        let feeders = [current.feeder(0, 2), current.feeder(1, 1)];
        // What was asked of the one is answered by the other.
        let asker = {
            let current = Arc::clone(&current);
            thread::spawn(move || current.wait_idle())
        };
        let old = Arc::clone(&current.run.read().unwrap());
        let new = Arc::new(Run::unstarted(&nodes, standing()));
        let successors = new.start();
        loop {
            old.pool.keep_back([3].into_iter());
            while nodes.running().contains(&3) {
                old.pool.wait_for_workers(LONG);
            }
            let mut place = current.run.write().unwrap();
            if old.pool.hold_all(LONG, 0) {
                old.hand_over(&new);
                *place = Arc::clone(&new);
                old.pool.halt();
                break;
            }
        }
        join(feeders.into_iter().chain(workers).chain([asker]));
        current.end(successors, &calls(2, 1));
        sync::stop_time();
        join([time]);
    });
}

/// Two sources with their times, one of which feeds a node that computes.
fn with_sources() -> Shape {
    let source = Kind {
        ticks: 3,
        ..Kind::default()
    };
    let busy = Kind {
        computes: 2,
        ..Kind::default()
    };
    Shape {
        kinds: vec![source, source, busy],
        readers: [(0, vec![2])].into(),
        sources: 2,
        top_from: 2,
        workers: vec![2],
    }
}

#[test]
fn time_jumps_to_what_waits_for_it() {
    permute(|| {
        let nodes = Nodes::new(with_sources());
        let clock = Arc::new(VirtualClock::jumping(0));
        let run = Arc::new(Run::new(&nodes, clock));
        let workers = run.start();
        run.begin();
        Current::new(&run).end(workers, &[3, 3, 3]);
    });
}

#[test]
fn sources_keep_their_time_while_all_workers_compute() {
    permute(|| {
        let mut shape = with_sources();
        // Longer than the time after which the reserve steps in.
        shape.kinds[2].computes = 400;
        let nodes = Nodes::new(shape);
        let run = Arc::new(Run::new(&nodes, Arc::new(PassingClock)));
        let time = thread::spawn(sync::pass_time);
        let mut threads = run.start();
        let reserve = Arc::clone(&run);
        threads.push(thread::spawn(move || reserve.stand_in()));
        run.begin();
        Current::new(&run).end(threads, &[3, 3, 3]);
        sync::stop_time();
        join([time]);
    });
}

/// The only worker is busy until a source that waits for its time has run: the reserve must hear of that time.
#[test]
fn the_reserve_serves_a_timer_that_no_worker_is_free_for() {
    permute(|| {
        let source = Kind {
            ticks: 2,
            ..Kind::default()
        };
        let busy = Kind {
            waits_for: Some((0, 2)),
            ..Kind::default()
        };
        let nodes = Nodes::new(Shape {
            kinds: vec![source, busy],
            readers: [(0, vec![1])].into(),
            sources: 1,
            top_from: 1,
            workers: vec![1],
        });
        let run = Arc::new(Run::new(&nodes, Arc::new(PassingClock)));
        let time = thread::spawn(sync::pass_time);
        let mut threads = run.start();
        let reserve = Arc::clone(&run);
        threads.push(thread::spawn(move || reserve.stand_in()));
        run.begin();
        Current::new(&run).end(threads, &[2, 2]);
        sync::stop_time();
        join([time]);
    });
}

#[test]
fn halting_ends_every_thread_whatever_it_does() {
    permute(|| {
        let nodes = Nodes::new(with_sources());
        let run = Arc::new(Run::new(&nodes, Arc::new(VirtualClock::jumping(0))));
        let mut threads = run.start();
        let (paused, held) = (Arc::clone(&run), Arc::clone(&run));
        threads.push(thread::spawn(move || paused.pool.pause()));
        threads.push(thread::spawn(move || {
            held.pool.hold_all(LONG, 0);
        }));
        run.begin();
        run.pool.halt();
        join(threads);
    });
}
