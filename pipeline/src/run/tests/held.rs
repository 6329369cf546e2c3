//! What a graph holds at once, beside what was said before it ran.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use crate::clock::VirtualClock;
use crate::contract::{Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError, NodeType};
use crate::packet::SidePacket;
use crate::run::Inputs;
use crate::run::tests::LIMIT;
use crate::testing::{NoOptions, registry};
use crate::validate::held::Held;
use crate::{ValidatedGraph, load_graph, validate};

const FRAMES: usize = 60;

/// Frames that are alive, and the most there were.
#[derive(Debug, Default)]
struct Alive {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Debug)]
struct Counted(Arc<Alive>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A source of counted frames, one a millisecond.
#[derive(Debug)]
struct Births(usize);

impl Calculator for Births {
    const NAME: &'static str = "Births";
    const DOC: &'static str = "Counts what is alive.";
    type Options = NoOptions;

    fn contract(_options: &NoOptions) -> Contract {
        Contract::default()
            .output(Port::of::<Counted>(""))
            .side_input(Port::of::<Arc<Alive>>("ALIVE"))
    }

    fn new(_options: NoOptions) -> Self {
        Self(0)
    }
}

impl Node for Births {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let alive = Arc::clone(ctx.side::<Arc<Alive>>("ALIVE")?);
        let now = alive.now.fetch_add(1, Ordering::SeqCst) + 1;
        alive.most.fetch_max(now, Ordering::SeqCst);
        let stamp = ctx.stamp(0);
        ctx.send(0, crate::packet::Packet::new(Counted(alive), stamp));
        self.0 += 1;
        ctx.wake_at(ctx.now() + 1_000);
        Ok(if self.0 == FRAMES {
            Flow::Stop
        } else {
            Flow::Continue
        })
    }
}

fn graph(nodes: &str) -> ValidatedGraph {
    let text = format!(
        "nodes:\n- {{name: camera, calculator: Births, outputs: [s0], sidePackets: {{ALIVE: alive}}}}\n{nodes}"
    );
    validate(
        &load_graph(&text).unwrap(),
        &registry().with(NodeType::of::<Births>()),
    )
    .unwrap()
}

/// What was said, and the most that were alive.
fn held(nodes: &str, threads: usize) -> (Vec<Held>, usize) {
    let graph = graph(nodes);
    let alive = Arc::new(Alive::default());
    let side = SidePacket::new(Arc::clone(&alive));
    let running = graph.start(Inputs {
        clock: Arc::new(VirtualClock::jumping(0)),
        threads: Some(threads),
        side_packets: [("alive".to_owned(), side)].into(),
        ..Inputs::default()
    });
    running.unwrap().wait_timeout(LIMIT).unwrap().unwrap();
    (graph.held_at_most(), alive.most.load(Ordering::SeqCst))
}

#[test]
fn a_camera_and_a_detector_hold_three_frames() {
    let (said, most) = held(
        "- {calculator: Busy, options: {forMs: 9}, inputs: [s0], freshness: newest}",
        2,
    );
    let wanted = Held {
        entry: "camera".to_owned(),
        packets: 3,
    };
    assert_eq!(said, [wanted]);
    assert_eq!(most, 3);
}

/// A tree of slow nodes behind one camera.
fn nodes() -> impl Strategy<Value = String> {
    let node = (
        any::<prop::sample::Index>(),
        any::<bool>(),
        1..4_u32,
        1..4_u32,
        0..6_u32,
    );
    prop::collection::vec(node, 1..8).prop_map(|nodes| {
        let mut text = String::new();
        for (index, (reads, newest, parallel, queue, cost)) in nodes.into_iter().enumerate() {
            let freshness = if newest { "newest" } else { "all" };
            let _ = writeln!(
                text,
                "- {{calculator: Busy, options: {{forMs: {cost}}}, inputs: [s{}], outputs: [s{}], freshness: \
                 {freshness}, parallel: {parallel}, queueSize: {queue}}}",
                reads.index(index + 1),
                index + 1
            );
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_graph_holds_more_than_it_says(nodes in nodes(), threads in 1..5_usize) {
        let (said, most) = held(&nodes, threads);
        prop_assert!(most <= said[0].packets, "{most} of {said:?}");
    }
}
