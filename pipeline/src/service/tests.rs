//! What nodes get of what the program lends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::node::{Calculator, Context, Flow, Node, NodeError, NodeType};
use crate::packet::Packet;
use crate::run::{Inputs, StartError};
use crate::service::{GraphServices, Service};
use crate::testing::{at, registry};
use crate::{ValidatedGraph, load_graph, validate};

const CALLS: Service<Calls> = Service::new("calls");
const OPENED: Service<Opened> = Service::or_default("opened");
/// Another type under the same key.
const WRONG: Service<String> = Service::new("calls");

type Calls = Arc<AtomicU64>;

#[derive(Debug, Default)]
struct Opened(AtomicU64);

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Options {
    optional: bool,
    shares_default: bool,
}

/// Counts its calls at the program, where that wants to know.
struct Counted;

impl Calculator for Counted {
    const NAME: &'static str = "Counted";
    const DOC: &'static str = "Counts.";
    type Options = Options;

    fn contract(options: &Options) -> Contract {
        let contract = Contract::default().input(crate::contract::Port::any(""));
        let contract = if options.shares_default {
            contract.service(&OPENED)
        } else {
            contract
        };
        if options.optional {
            contract.optional_service(&CALLS)
        } else {
            contract.service(&CALLS)
        }
    }

    fn new(_options: Options) -> Self {
        Self
    }
}

impl Node for Counted {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        // The last to open tells how many share the object.
        if let (Ok(opened), Ok(calls)) = (ctx.service(&OPENED), ctx.service(&CALLS)) {
            let opened = opened.0.fetch_add(1, Ordering::SeqCst) + 1;
            calls.fetch_max(1_000 * opened, Ordering::SeqCst);
        }
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        if let Ok(calls) = ctx.service(&CALLS) {
            calls.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Flow::Continue)
    }
}

fn graph(nodes: &str) -> ValidatedGraph {
    let spec = load_graph(&format!("inputStreams: [a]\nnodes:\n{nodes}")).unwrap();
    validate(&spec, &registry().with(NodeType::of::<Counted>())).unwrap()
}

fn lending(calls: &Calls) -> Inputs {
    Inputs {
        services: GraphServices::default().with(&CALLS, Arc::clone(calls)),
        ..Inputs::default()
    }
}

/// How often nodes were called for one packet.
fn calls_of(graph: &ValidatedGraph) -> u64 {
    let calls = Calls::default();
    let run = graph.start(lending(&calls)).unwrap();
    run.feed("a", Packet::new(1_i64, at(1))).unwrap();
    run.close_all_inputs();
    run.wait().unwrap();
    calls.load(Ordering::SeqCst)
}

#[test]
fn what_is_missing_or_of_another_type_is_named_before_anything_runs() {
    let needs = graph("- {name: w, calculator: Counted, inputs: [a]}");
    let missing = needs.start(Inputs::default()).unwrap_err();
    assert!(matches!(missing, StartError::MissingService { .. }));
    assert_eq!(
        missing.to_string(),
        "service calls is missing: node w needs it (alloc::sync::Arc<core::sync::atomic::AtomicU64>), and this program \
         doesn't lend it"
    );
    let services = GraphServices::default().with(&WRONG, "three".to_owned());
    let wrong = needs.start(Inputs {
        services,
        ..Inputs::default()
    });
    let wrong = wrong.unwrap_err().to_string();
    assert!(
        wrong.starts_with("service calls is a String, but node w needs alloc::sync::Arc"),
        "{wrong}"
    );
}

#[test]
fn an_optional_one_may_be_missing() {
    let optional = graph("- {calculator: Counted, inputs: [a], options: {optional: true}}");
    let run = optional.start(Inputs::default()).unwrap();
    run.feed("a", Packet::new(1_i64, at(1))).unwrap();
    run.close_all_inputs();
    run.wait().unwrap();
    assert_eq!(calls_of(&optional), 1);
}

#[test]
fn all_nodes_see_the_same_object_those_of_subgraphs_too() {
    let nested = graph(
        "- {calculator: Counted, inputs: [a], options: {sharesDefault: true}}
- {calculator: Inner, inputs: ['IN:a']}
- {calculator: Counted, inputs: [a]}
subgraphs:
  Inner:
    inputStreams: ['IN:a']
    nodes:
    - {calculator: Counted, inputs: [a], options: {sharesDefault: true}}",
    );
    // Two opened with one object that was made for them; the third doesn't ask for it. Three calls.
    assert_eq!(calls_of(&nested), 2_003);
}

#[test]
fn a_reload_keeps_them() {
    let (before, after) = (
        graph("- {name: w, calculator: Counted, inputs: [a]}"),
        graph("- {name: v, calculator: Counted, inputs: [a], options: {sharesDefault: true}}"),
    );
    let calls = Calls::default();
    let run = before.start(lending(&calls)).unwrap();
    run.feed("a", Packet::new(1_i64, at(1))).unwrap();
    run.wait_idle();
    run.reload(&after, BTreeMap::new()).unwrap();
    run.feed("a", Packet::new(1_i64, at(2))).unwrap();
    run.close_all_inputs();
    run.wait().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1_001);
}
