//! Reloads of a graph that is busy.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{LIMIT, graph};
use crate::clock::VirtualClock;
use crate::run::reload::ReloadError;
use crate::run::tests::random_graph;
use crate::run::{Inputs, RunStatus};
use crate::testing::start;

/// A camera, a detector that takes three periods, another slow stage after it, and a quick branch that must not lose
/// anything: reloads wait for no slow call with the camera held.
#[test]
fn nobody_waits_for_a_slow_node() {
    let text = "nodes:
- {name: camera, calculator: Generator, options: {fps: 30, width: 2, height: 2}, outputs: [a]}
- {name: slow, calculator: Busy, options: {forMs: 110}, inputs: [a], outputs: [b], freshness: newest}
- {name: slower, calculator: Busy, options: {forMs: 150}, inputs: [b], outputs: [c], freshness: newest}
- {name: end, calculator: Discard, inputs: [c]}
- {name: quick, calculator: Busy, options: {forMs: 1}, inputs: [a], outputs: [q], priority: high}
- {name: count, calculator: Discard, inputs: [q], priority: high}
- {name: changed, calculator: PacketThinner, options: {period: 1000}, inputs: [a], outputs: [t]}
- {name: rest, calculator: Discard, inputs: [t]}";
    for threads in [4, 6] {
        let inputs = Inputs {
            clock: Arc::new(VirtualClock::jumping(0)),
            threads: Some(threads),
            ..Inputs::default()
        };
        let running = graph(text).start(inputs).unwrap();
        for period in 1..=20 {
            let text = text.replace("period: 1000", &format!("period: {}", 1_000 * period + 1));
            let report = running.reload(&graph(&text), BTreeMap::new()).unwrap();
            assert_eq!(
                (&report.reopened[..], report.kept.len()),
                (&["changed".to_owned()][..], 7)
            );
        }
        running.stop();
        running.wait_timeout(LIMIT).unwrap().unwrap();
        let stats = running.stats();
        let of = |name: &str| stats.nodes.iter().find(|node| node.name == name).unwrap();
        assert_eq!(of("count").processed, stats.sources[0].produced);
        assert_eq!(of("quick").drops.total(), 0);
        let late = stats.sources[0].lateness_ms.max;
        assert!(late < 2.0, "{late} ms late, {stats:?}");
        // Nothing was lost without being counted.
        let slow = of("slow");
        assert_eq!(slow.processed + slow.drops.total(), stats.sources[0].produced);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// What isn't touched gives the same as without any reload, whatever comes and goes beside it.
    #[test]
    fn a_branch_that_stays_gives_the_same(text in random_graph(300..301)) {
        let (nodes, outputs) = text.split_once("outputStreams").unwrap();
        let beside = |every: usize| graph(&format!("{nodes}- {{name: extra, calculator: Keep, options: {{every: {every}}}, \
            inputs: [s0], outputs: [x]}}\n- {{name: end, calculator: Discard, inputs: [x]}}\noutputStreams{outputs}"));
        let plain = graph(&text);
        let expected = {
            let (running, seen) = start(&plain, 1);
            running.wait_timeout(LIMIT).unwrap().unwrap();
            seen.seen()
        };
        for threads in [1, 2, 4] {
            let (running, seen) = start(&plain, threads);
            running.pause();
            for every in 1..200 {
                let next = if every % 3 == 0 { plain.clone() } else { beside(every) };
                match running.reload(&next, BTreeMap::new()) {
                    Ok(report) => prop_assert!(report.reopened.len() <= 1 && report.dropped <= 300, "{report:?}"),
                    Err(ReloadError::Over) => break,
                    Err(error) => prop_assert!(false, "{error}"),
                }
                running.resume();
            }
            prop_assert_eq!(running.wait_timeout(LIMIT), Some(Ok(())));
            prop_assert_eq!(running.status(), RunStatus::Finished);
            prop_assert_eq!(&seen.seen(), &expected);
        }
    }
}
