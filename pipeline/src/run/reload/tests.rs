//! Graphs that change while they run, on a clock moved by hand or one that jumps.

mod calculators;
mod figures;
mod load;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, VirtualClock};
use crate::packet::{Packet, SidePacket};
use crate::run::reload::tests::calculators::{Gate, Log, registry};
use crate::run::reload::{ReloadError, ReloadReport};
use crate::run::{FeedError, Inputs, Observer, RunStatus, RunningGraph};
use crate::testing::{Recorder, at};
use crate::{ValidatedGraph, load_graph, validate};

const LIMIT: Duration = Duration::from_mins(1);

pub(super) fn graph(text: &str) -> ValidatedGraph {
    let spec = load_graph(text).unwrap_or_else(|errors| panic!("{errors:?}"));
    validate(&spec, &registry()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// A graph on a clock by hand, with the log of its probes as side packet `log` and a number as `model`.
struct Bench {
    running: RunningGraph,
    seen: Arc<Recorder>,
    clock: Arc<VirtualClock>,
    log: Log,
    gate: Gate,
    side: BTreeMap<String, SidePacket>,
}

impl Bench {
    fn start(text: &str, threads: usize) -> Self {
        let (seen, log) = (Arc::new(Recorder::default()), Log::default());
        let (clock, gate) = (Arc::new(VirtualClock::by_hand(0)), Gate::default());
        let side = BTreeMap::from([
            ("log".to_owned(), SidePacket::new(log.clone())),
            ("model".to_owned(), SidePacket::new(1_i64)),
            ("gate".to_owned(), SidePacket::new(gate.clone())),
        ]);
        let inputs = Inputs {
            side_packets: side.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            observer: Some(Arc::clone(&seen) as Arc<dyn Observer>),
            threads: Some(threads),
            ..Inputs::default()
        };
        let running = graph(text).start(inputs).unwrap();
        running.wait_idle();
        Self {
            running,
            seen,
            clock,
            log,
            gate,
            side,
        }
    }

    /// So many ticks of ten milliseconds.
    fn ticks(&self, ticks: usize) {
        for _ in 0..ticks {
            self.clock.advance(Duration::from_millis(10));
            self.running.wait_idle();
        }
    }

    fn reload(&self, text: &str) -> Result<ReloadReport, ReloadError> {
        let reloaded = self.running.reload(&graph(text), self.side.clone());
        self.running.wait_idle();
        reloaded
    }
}

const TWO_BRANCHES: &str = "nodes:
- {name: camera, calculator: Ticker, outputs: [a], sidePackets: {LOG: log}}
- {name: left, calculator: Probe, inputs: [a], outputs: [b], options: {add: 100}, sidePackets: {LOG: log}}
- {name: right, calculator: Probe, inputs: [a], outputs: [c], sidePackets: {LOG: log}}
outputStreams: [b, c]";

#[test]
fn only_the_changed_node_is_opened_again() {
    for threads in [1, 2, 4] {
        let bench = Bench::start(TWO_BRANCHES, threads);
        bench.ticks(2);
        let report = bench
            .reload(&TWO_BRANCHES.replace("add: 100", "add: 500"))
            .unwrap();
        bench.ticks(2);
        assert_eq!(
            (&report.reopened, &report.kept),
            (
                &vec!["left".to_owned()],
                &vec!["camera".to_owned(), "right".to_owned()]
            )
        );
        assert_eq!(
            (report.dropped, report.added.len(), report.removed.len()),
            (0, 0, 0)
        );
        assert_eq!(
            bench.seen.stream("b"),
            "0:100 10000:101 20000:102 30000:503 40000:504"
        );
        assert_eq!(bench.seen.stream("c"), "0:0 10000:1 20000:2 30000:3 40000:4");
        assert_eq!(
            bench.log.lines(),
            [
                "open camera",
                "open left",
                "open right",
                "open left",
                "close left after 3"
            ]
        );
        assert_eq!(bench.running.status(), RunStatus::Running);
        let stats = bench.running.stats();
        assert_eq!(stats.sources[0].produced, 5);
        assert_eq!(
            stats.nodes.iter().map(|node| node.processed).collect::<Vec<_>>(),
            [5, 5]
        );
        bench.running.stop();
        bench.running.wait_timeout(LIMIT).unwrap().unwrap();
        assert_eq!(bench.log.count("close"), 4);
    }
}

#[test]
fn a_source_keeps_its_pace() {
    let bench = Bench::start(TWO_BRANCHES, 2);
    for add in [1, 2, 3] {
        bench.clock.advance(Duration::from_millis(7));
        bench
            .reload(&TWO_BRANCHES.replace("add: 100", &format!("add: {add}")))
            .unwrap();
        bench.clock.advance(Duration::from_millis(3));
        bench.running.wait_idle();
    }
    assert_eq!(bench.seen.stream("c"), "0:0 10000:1 20000:2 30000:3");
    assert!(bench.running.stats().sources[0].lateness_ms.max < 0.001);
}

#[test]
fn a_node_that_does_not_open_leaves_everything_as_it_was() {
    let bench = Bench::start(TWO_BRANCHES, 2);
    bench.ticks(1);
    let broken = TWO_BRANCHES.replace("add: 100", "add: 500").replace(
        "inputs: [a], outputs: [c]",
        "inputs: [a], outputs: [c], options: {fails: open}",
    );
    let error = bench.reload(&broken).unwrap_err();
    assert_eq!(error.to_string(), "node right: Open failed: no device");
    bench.ticks(1);
    assert_eq!(bench.seen.stream("b"), "0:100 10000:101 20000:102");
    assert_eq!(bench.seen.stream("c"), "0:0 10000:1 20000:2");
    // What was opened for nothing was closed.
    assert_eq!(bench.log.lines()[3..], ["open left", "close left after 0"]);
    let error = bench
        .reload(&broken.replace("fails: open", "fails: panic"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "node right: Open failed: panicked: index 9 of 3"
    );
    assert_eq!(bench.running.status(), RunStatus::Running);
    bench.ticks(1);
    assert_eq!(bench.seen.stream("c"), "0:0 10000:1 20000:2 30000:3");
}

#[test]
fn a_missing_side_packet_is_told_before_anything_opens() {
    let bench = Bench::start(TWO_BRANCHES, 2);
    let told = "- {name: told, calculator: SidePacketToStream, sidePackets: {'0': face}, outputs: ['AT_PRESTREAM:d']}";
    let text = TWO_BRANCHES.replace("outputStreams", &format!("{told}\noutputStreams"));
    let error = bench.reload(&text).unwrap_err().to_string();
    assert_eq!(
        error,
        "side packet face is missing: node told needs it as a port without a tag (any)"
    );
    assert_eq!(bench.log.count("open"), 3);
}

#[test]
fn streams_and_nodes_come_and_go() {
    let bench = Bench::start(TWO_BRANCHES, 2);
    bench.ticks(1);
    let text = "nodes:
- {name: camera, calculator: Ticker, outputs: [a], sidePackets: {LOG: log}}
- {name: right, calculator: Probe, inputs: [a], outputs: [c], sidePackets: {LOG: log}}
- {name: after, calculator: Probe, inputs: [c], outputs: [d], options: {add: 7}, sidePackets: {LOG: log}}
outputStreams: [c, d]";
    let report = bench.reload(text).unwrap();
    assert_eq!(
        (&report.added[..], &report.removed[..]),
        (&["after".to_owned()][..], &["left".to_owned()][..])
    );
    assert!(
        report
            .to_string()
            .starts_with("added: after; removed: left; 2 kept, gap "),
        "{report}"
    );
    bench.ticks(2);
    assert_eq!(bench.seen.stream("b"), "0:100 10000:101 |");
    assert_eq!(bench.seen.stream("c"), "0:0 10000:1 20000:2 30000:3");
    assert_eq!(bench.seen.stream("d"), "20000:9 30000:10");
    let report = bench.reload(text).unwrap();
    assert!(report.is_unchanged(), "{report}");
    assert_eq!(bench.log.count("open"), 4);
}

/// A node put between two others: those keep their state, and what they had on the way.
#[test]
fn a_node_between_two_others() {
    let text = "nodes:
- {name: camera, calculator: Ticker, outputs: [a], sidePackets: {LOG: log}}
- {name: end, calculator: Probe, inputs: [a], outputs: [b], sidePackets: {LOG: log}}
outputStreams: [b]";
    let bench = Bench::start(text, 2);
    bench.ticks(1);
    let report = bench
        .reload(&text.replace("inputs: [a], outputs: [b]", "inputs: [m], outputs: [b]").replace(
            "outputStreams",
            "- {name: middle, calculator: Probe, inputs: [a], outputs: [m], options: {add: 50}, sidePackets: {LOG: log}}\noutputStreams",
        ))
        .unwrap();
    assert_eq!(
        (&report.adjusted[..], &report.added[..]),
        (&["end".to_owned()][..], &["middle".to_owned()][..])
    );
    bench.ticks(1);
    bench.reload(text).unwrap();
    bench.ticks(1);
    assert_eq!(bench.seen.stream("b"), "0:0 10000:1 20000:52 30000:3");
    assert_eq!(bench.log.count("open end"), 1);
}

#[test]
fn another_model_is_another_node() {
    let text = TWO_BRANCHES.replace(
        "{add: 100}, sidePackets: {LOG: log}",
        "{add: 100}, sidePackets: {LOG: log, MODEL: model}",
    );
    let mut bench = Bench::start(&text, 2);
    bench.side.insert("model".to_owned(), SidePacket::new(1_i64));
    assert!(bench.reload(&text).unwrap().is_unchanged());
    bench.side.insert("model".to_owned(), SidePacket::new(5_i64));
    assert_eq!(bench.reload(&text).unwrap().reopened, ["left"]);
    bench.ticks(1);
    assert_eq!(bench.seen.stream("b"), "0:101 10000:106");
    assert_eq!(bench.seen.stream("c"), "0:0 10000:1");
}

/// A side packet that a node makes: whoever reads it goes with its maker.
#[test]
fn a_side_packet_goes_with_its_maker() {
    let text = "nodes:
- {name: maker, calculator: ConstantSidePacket, options: {packet: {intValue: 3}}, outputSidePackets: {PACKET: made}}
- {name: camera, calculator: Ticker, outputs: [a], sidePackets: {LOG: log}}
- {name: reader, calculator: Probe, inputs: [a], outputs: [b], sidePackets: {LOG: log, MODEL: made}}
- {name: other, calculator: Probe, inputs: [a], outputs: [c], sidePackets: {LOG: log}}
outputStreams: [b, c]";
    let bench = Bench::start(text, 2);
    let report = bench
        .reload(&text.replace("name: other", "name: another"))
        .unwrap();
    assert_eq!(
        report.kept,
        ["camera", "maker", "reader"].map(str::to_owned).to_vec(),
        "{report:?}"
    );
    let report = bench.reload(&text.replace("intValue: 3", "intValue: 4")).unwrap();
    assert_eq!(report.reopened, ["maker", "reader"]);
    bench.ticks(1);
    assert_eq!(bench.seen.stream("b"), "0:3 10000:5");
}

/// A packet that waits for its partner still waits after a reload, and inputs know what they were promised.
#[test]
fn what_waits_still_waits() {
    let text = "inputStreams: [x, y]
nodes:
- {name: join, calculator: Mix, inputs: [x, y], outputs: [z]}
- {name: extra, calculator: Probe, inputs: [x], outputs: [e], options: {add: 1}, sidePackets: {LOG: log}}
outputStreams: [z, e]";
    let bench = Bench::start(text, 2);
    bench.running.feed("x", Packet::new(1_i64, at(5))).unwrap();
    bench.running.wait_idle();
    bench.reload(&text.replace("add: 1", "add: 2")).unwrap();
    let late = bench.running.try_feed("x", Packet::new(1_i64, at(5)));
    assert!(matches!(late, Err(FeedError::Late { .. })), "{late:?}");
    assert_eq!(bench.seen.stream("z"), "");
    bench.running.feed("y", Packet::new(2_i64, at(5))).unwrap();
    bench.running.close_all_inputs();
    bench.running.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(bench.seen.stream("z"), "5:34 |");
    assert_eq!(bench.seen.stream("e"), "5:2 |");
    assert!(matches!(bench.reload(text), Err(ReloadError::Over)));
}

/// A paused graph stays paused, and what waits goes to the node in the place of the old one.
#[test]
fn a_paused_graph_stays_paused() {
    let text = "inputStreams: [x]
nodes:
- {name: only, calculator: Probe, inputs: [x], outputs: [y], options: {add: 1}, sidePackets: {LOG: log}}
outputStreams: [y]";
    let bench = Bench::start(text, 2);
    bench.running.pause();
    for time in 0..3 {
        bench.running.feed("x", Packet::new(time, at(time))).unwrap();
    }
    bench.reload(&text.replace("add: 1", "add: 20")).unwrap();
    assert_eq!(bench.seen.stream("y"), "");
    bench.running.resume();
    bench.running.wait_idle();
    assert_eq!(bench.seen.stream("y"), "0:20 1:21 2:22");
}

/// Settings change without opening anything: a queue's length, freshness, priority, a batch in the making.
#[test]
fn settings_change_on_the_way() {
    let text = "inputStreams: [x]
nodes:
- {name: only, calculator: Probe, inputs: [x], outputs: [y], sidePackets: {LOG: log}, inputPolicy: {default: {batchSize: 4}}}
outputStreams: [y]";
    let bench = Bench::start(text, 2);
    for time in 0..2 {
        bench.running.feed("x", Packet::new(time, at(time))).unwrap();
    }
    bench.running.wait_idle();
    assert_eq!(bench.seen.stream("y"), "");
    let report = bench
        .reload(&text.replace(
            ", inputPolicy: {default: {batchSize: 4}}",
            ", priority: high, queueSize: 3",
        ))
        .unwrap();
    assert_eq!(
        (&report.adjusted[..], report.reopened.len()),
        (&["only".to_owned()][..], 0)
    );
    assert_eq!(bench.seen.stream("y"), "0:0 1:1");
    assert_eq!(bench.log.count("open"), 1);
}

/// Names given by number shift when a node is put before another of its kind.
#[test]
fn nodes_without_names_are_known_by_what_they_read() {
    let text = "nodes:
- {name: camera, calculator: Ticker, outputs: [a], sidePackets: {LOG: log}}
- {calculator: Probe, inputs: [a], outputs: [b], options: {add: 1}, sidePackets: {LOG: log}}
outputStreams: [b]";
    let bench = Bench::start(text, 2);
    let more = text.replace(
        "- {calculator: Probe",
        "- {calculator: Probe, inputs: [a], outputs: [c], options: {add: 2}, sidePackets: {LOG: log}}\n- {calculator: Probe",
    );
    let report = bench.reload(&more).unwrap();
    assert_eq!(
        (&report.added[..], report.reopened.len()),
        (&["Probe_1".to_owned()][..], 0)
    );
    assert_eq!(bench.log.count("open"), 3);
}

/// A call that doesn't return: its node is made anew beside it, and nobody else notices.
#[test]
fn a_stuck_node_is_replaced() {
    let text = "nodes:
- {name: camera, calculator: Ticker, outputs: [a], sidePackets: {LOG: log}}
- {name: hang, calculator: Hang, inputs: [a], outputs: [b], options: {on: 2}, onFailure: restart, stuckAfter: 20ms, sidePackets: {LOG: log, GATE: gate}}
- {name: right, calculator: Probe, inputs: [a], outputs: [c], sidePackets: {LOG: log}}
outputStreams: [b, c]";
    for threads in [1, 2, 4] {
        let bench = Bench::start(text, threads);
        bench.ticks(5);
        assert_eq!(bench.seen.stream("b"), "0:0 10000:1 30000:3 40000:4 50000:5");
        assert_eq!(
            bench.seen.stream("c"),
            "0:0 10000:1 20000:2 30000:3 40000:4 50000:5"
        );
        let stats = bench.running.stats();
        let hang = stats.nodes.iter().find(|node| node.name == "hang").unwrap();
        assert_eq!((hang.errors, hang.processed), (1, 5));
        assert_eq!((bench.log.count("open hang"), bench.log.count("open")), (2, 4));
        // What the old call sends when it ends at last is lost.
        bench.gate.open();
        bench.ticks(1);
        bench.running.stop();
        bench.running.wait_timeout(LIMIT).unwrap().unwrap();
        assert_eq!(
            bench.seen.stream("b"),
            "0:0 10000:1 30000:3 40000:4 50000:5 60000:6 |"
        );
    }
}
