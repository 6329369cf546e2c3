//! Random graphs for property tests: any settings, whether they make sense together or not.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::policy::{Batch, FixedSize, NoSettings, SyncSet, TimestampAlign};
use super::{
    ExecutorSpec, Freshness, GraphSpec, InFlight, InputPolicy, LatePackets, NodeSpec, OnFailure, Priority,
    StatusHandlerSpec,
};

fn port() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Z_]{1,4}", "[A-Z]{1,3}:[1-9]", "[0-9]"]
}

fn stream() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,3}",
        "[A-Z]{1,3}:[a-z]{1,2}",
        "[A-Z]{1,2}:[0-3]:[a-z]{1,2}"
    ]
}

fn streams() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(stream(), 0..3)
}

pub(crate) fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        // Short ones: JSON as text, the way of odd options, may lose the last bit of a long one.
        any::<i16>().prop_map(|sixteenths| Json::from(f64::from(sixteenths) / 16.0)),
        any::<String>().prop_map(Json::from),
        "[A-Z]{0,4}".prop_map(Json::from),
        Just(Json::from("true")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(key(), inner, 0..3)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,4}", "[a-z]{1,3}[A-Z][a-z0-9]{1,3}", "[a-zA-Z_ -]{1,4}"]
}

fn options() -> impl Strategy<Value = std::collections::BTreeMap<String, Json>> {
    prop::collection::btree_map(key(), json(), 0..3)
}

fn policy() -> impl Strategy<Value = InputPolicy> {
    prop_oneof![
        (1_u32..9).prop_map(|batch_size| InputPolicy::Default(Batch { batch_size })),
        Just(InputPolicy::Immediate(NoSettings {})),
        prop::collection::vec(prop::collection::vec(port(), 0..3), 0..3)
            .prop_map(|sets| InputPolicy::SyncSet(SyncSet { sets })),
        (1_u32..9, 1_u32..9, any::<bool>()).prop_map(
            |(trigger_queue_size, target_queue_size, fixed_min_size)| {
                InputPolicy::FixedSize(FixedSize {
                    trigger_queue_size,
                    target_queue_size,
                    fixed_min_size,
                })
            }
        ),
        Just(InputPolicy::EarlyClose(NoSettings {})),
        Just(InputPolicy::Barrier(NoSettings {})),
        prop_oneof![Just(String::new()), port()]
            .prop_map(|timestamp_base| InputPolicy::TimestampAlign(TimestampAlign { timestamp_base })),
        Just(InputPolicy::Mux(NoSettings {})),
    ]
}

/// The settings that MediaPipe knows too.
fn known_settings() -> impl Strategy<Value = NodeSpec> {
    let side = || prop::collection::btree_map(port(), "[a-z-]{1,3}", 0..3);
    (
        (prop::option::of("[a-z]{1,3}"), "[A-Z][a-z]{0,3}(Calculator)?"),
        (streams(), streams(), side(), side()),
        (
            options(),
            prop::collection::btree_map("[a-z]{1,3}", "options/[a-z]{1,3}", 0..2),
        ),
        (prop::option::of(policy()), prop::collection::vec(port(), 0..2)),
        (
            prop::option::of(1_u32..9),
            prop::option::of("[a-z]{1,3}"),
            0_u32..3,
            prop::option::of(1_u32..9),
        ),
    )
        .prop_map(|(names, ports, options, inputs, running)| NodeSpec {
            name: names.0,
            calculator: names.1,
            inputs: ports.0,
            outputs: ports.1,
            side_packets: ports.2,
            output_side_packets: ports.3,
            options: options.0,
            option_values: options.1,
            input_policy: inputs.0,
            back_edges: inputs
                .1
                .into_iter()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect(),
            parallel: running.0,
            executor: running.1,
            source_layer: running.2,
            queue_size: running.3,
            ..NodeSpec::default()
        })
}

fn node() -> impl Strategy<Value = NodeSpec> {
    let in_flight = prop_oneof![Just(InFlight::Auto), (1_u32..9).prop_map(InFlight::AtMost)];
    let settings = (
        any::<bool>(),
        prop::option::of(1_u64..90),
        prop::option::of(in_flight),
        any::<bool>(),
    );
    (known_settings(), settings).prop_map(|(node, (newest, age, in_flight, high))| NodeSpec {
        freshness: if newest { Freshness::Newest } else { Freshness::All },
        max_age: age.and_then(|age| format!("{age}ms").parse().ok()),
        in_flight,
        priority: if high { Priority::High } else { Priority::Normal },
        on_failure: if high { OnFailure::Restart } else { OnFailure::Fail },
        stuck_after: age
            .filter(|_| high)
            .and_then(|age| format!("{age}s").parse().ok()),
        ..node
    })
}

fn flat() -> impl Strategy<Value = GraphSpec> {
    let executor = (
        "[a-z]{1,3}",
        prop::option::of(1_u32..9),
        0_u32..3,
        prop::option::of(64_u32..999),
    );
    let executor = executor.prop_map(|(name, num_threads, nice, stack_kib)| ExecutorSpec {
        name,
        num_threads,
        nice,
        stack_kib,
    });
    let side = prop::collection::btree_map(port(), "[a-z-]{1,3}", 0..3);
    let handler = ("[A-Z][a-z]{0,3}", side, options());
    let handler = handler.prop_map(|(handler, side_packets, options)| StatusHandlerSpec {
        handler,
        side_packets,
        options,
    });
    (
        prop::collection::vec(node(), 0..4),
        (streams(), streams(), streams(), streams()),
        (
            options(),
            prop::option::of(policy()),
            prop::collection::vec(executor, 0..2),
            prop::collection::vec(handler, 0..2),
        ),
        (
            prop::option::of(1_u32..99),
            prop::option::of(1_u32..9),
            any::<bool>(),
            any::<bool>(),
        ),
    )
        .prop_map(
            |(nodes, ports, (options, input_policy, executors, status_handlers), running)| GraphSpec {
                nodes,
                input_streams: ports.0,
                output_streams: ports.1,
                input_side_packets: ports.2,
                output_side_packets: ports.3,
                options,
                input_policy,
                executors,
                status_handlers,
                max_queue_size: running.0,
                max_queue_bytes: running.1.map(|kib| units::Bytes::new(u64::from(kib) << 10)),
                num_threads: running.1,
                report_deadlock: running.2,
                late_packets: if running.3 {
                    LatePackets::Error
                } else {
                    LatePackets::Drop
                },
                ..GraphSpec::default()
            },
        )
}

pub(crate) fn graph() -> impl Strategy<Value = GraphSpec> {
    let subgraphs = prop::collection::btree_map("[A-Z][a-z]{0,2}", flat(), 0..2);
    (flat(), subgraphs, prop::option::of("[A-Z][a-z]{1,3}")).prop_map(|(graph, subgraphs, graph_type)| {
        GraphSpec {
            graph_type,
            subgraphs,
            ..graph
        }
    })
}
