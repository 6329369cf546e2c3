//! Side packets between nodes: one maker each, and types that meet.

use std::collections::BTreeMap;

use crate::contract::PortType;
use crate::validate::Drafts;
use crate::validate::error::{GraphError, Problem};

/// Checks the side packets that nodes make. Those that nobody makes must be given at the start.
pub(super) fn check(graph: &Drafts, errors: &mut Vec<GraphError>) {
    let mut makers: BTreeMap<&str, (&str, &PortType)> = BTreeMap::new();
    for draft in &graph.nodes {
        let Some((_, contract)) = &draft.kind else {
            continue;
        };
        for entry in &draft.side_outputs {
            let Some(port) = contract.side_outputs.iter().find(|port| port.tag == entry.tag) else {
                continue;
            };
            let given = graph.given_side.contains(&entry.stream);
            let before = makers.insert(&entry.stream, (&draft.name, &port.carries));
            let other = match before {
                Some((other, _)) => format!("node {other}"),
                None if given => "the graph's inputSidePackets".to_owned(),
                None => continue,
            };
            let name = entry.stream.clone();
            errors.push(GraphError::node(&draft.name, Problem::TwoMakers { name, other }));
        }
    }
    for draft in &graph.nodes {
        let Some((_, contract)) = &draft.kind else {
            continue;
        };
        for entry in &draft.side_inputs {
            let port = contract.side_inputs.iter().find(|port| port.tag == entry.tag);
            let (Some(port), Some((maker, PortType::Is(made)))) = (port, makers.get(entry.stream.as_str()))
            else {
                continue;
            };
            if !port.carries.accepts(Some(*made)) {
                let problem = Problem::SideTypeMismatch {
                    port: entry.port(),
                    wanted: port.carries.to_string(),
                    name: entry.stream.clone(),
                    found: made.name(),
                    maker: (*maker).to_owned(),
                };
                errors.push(GraphError::node(&draft.name, problem));
            }
        }
    }
    for name in &graph.side_outputs {
        if !makers.contains_key(name.as_str()) {
            errors.push(GraphError::graph(Problem::NoMaker { name: name.clone() }));
        }
    }
}
