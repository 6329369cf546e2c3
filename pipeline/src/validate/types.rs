//! Types at both ends of a stream and of a side packet.

use std::collections::BTreeMap;

use crate::contract::{Contract, PortType};
use crate::packet::TypeInfo;
use crate::validate::Draft;
use crate::validate::error::{GraphError, Problem};
use crate::validate::ports::Entry;
use crate::validate::streams::Writer;

pub(super) fn check_types(
    drafts: &[Draft],
    order: &[usize],
    writers: &BTreeMap<&str, Writer>,
    errors: &mut Vec<GraphError>,
) {
    let mut types: BTreeMap<&str, TypeInfo> = BTreeMap::new();
    for draft in order.iter().filter_map(|index| drafts.get(*index)) {
        let Some((_, contract)) = &draft.kind else {
            continue;
        };
        for entry in &draft.inputs {
            let found = types.get(entry.stream.as_str()).copied();
            let port = contract.inputs.iter().find(|port| port.tag == entry.tag);
            let (Some(port), Some(found)) = (port, found) else {
                continue;
            };
            if !port.carries.accepts(Some(found)) {
                let producer = match writers.get(entry.stream.as_str()) {
                    Some(Writer::Node(index)) => drafts.get(*index).map_or("", |draft| draft.name.as_str()),
                    _ => "the graph's input",
                };
                let problem = Problem::TypeMismatch {
                    port: entry.port(),
                    wanted: port.carries.to_string(),
                    stream: entry.stream.clone(),
                    found: found.name(),
                    producer: producer.to_owned(),
                };
                errors.push(GraphError::node(&draft.name, problem));
            }
        }
        for entry in &draft.outputs {
            if let Some(carried) = output_type(contract, entry, &draft.inputs, &types) {
                types.insert(&entry.stream, carried);
            }
        }
    }
}

fn output_type(
    contract: &Contract,
    output: &Entry,
    inputs: &[Entry],
    types: &BTreeMap<&str, TypeInfo>,
) -> Option<TypeInfo> {
    match &contract
        .outputs
        .iter()
        .find(|port| port.tag == output.tag)?
        .carries
    {
        PortType::Is(carried) => Some(*carried),
        PortType::SameAs(tag) => {
            let input = inputs
                .iter()
                .find(|input| input.tag == *tag && input.index == output.index)?;
            types.get(input.stream.as_str()).copied()
        }
        PortType::Any | PortType::OneOf(_) => None,
    }
}
