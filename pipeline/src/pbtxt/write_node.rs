//! One node as text.

use serde_json::{Map, Value as Json};

use super::json::snake_case;
use super::policy::{tag_index, write_policy};
use super::write::{Out, quoted, word, write_json_options, write_typed};
use super::write_json::write_fields;
use super::{ANY, CONTAINED, NODE_SETTINGS};
use crate::spec::NodeSpec;

/// What of a `NodeSpec` has a field of its own in the text form.
const FIELDS: [&str; 14] = [
    "name",
    "calculator",
    "inputs",
    "outputs",
    "sidePackets",
    "outputSidePackets",
    "options",
    "optionValues",
    "inputPolicy",
    "backEdges",
    "parallel",
    "executor",
    "sourceLayer",
    "queueSize",
];

pub(super) fn write_node(out: &mut Out, node: &NodeSpec) {
    if let Some(name) = &node.name {
        out.text_field("name", name);
    }
    out.text_field("calculator", &node.calculator);
    for (field, texts) in [("input_stream", &node.inputs), ("output_stream", &node.outputs)] {
        for text in texts {
            out.text_field(field, text);
        }
    }
    for (field, packets) in [
        ("input_side_packet", &node.side_packets),
        ("output_side_packet", &node.output_side_packets),
    ] {
        for (port, name) in packets {
            out.text_field(field, &format!("{}:{name}", tag_index(port)));
        }
    }
    if let Some(policy) = &node.input_policy {
        out.line(format!("input_stream_handler {{ {} }}", write_policy(policy)));
    }
    for port in &node.back_edges {
        let port = quoted(&tag_index(port));
        out.line(format!(
            "input_stream_info {{ tag_index: {port} back_edge: true }}"
        ));
    }
    if let Some(parallel) = node.parallel {
        out.field("max_in_flight", parallel);
    }
    if let Some(executor) = &node.executor {
        out.text_field("executor", executor);
    }
    if node.source_layer != 0 {
        out.field("source_layer", node.source_layer);
    }
    if let Some(size) = node.queue_size {
        out.field("buffer_size_hint", size);
    }
    for (option, value) in &node.option_values {
        out.text_field(
            "option_value",
            &format!("{}:{}", snake_path(option), snake_path(value)),
        );
    }
    write_options(out, node);
}

fn snake_path(path: &str) -> String {
    let parts = path.split('/');
    let parts = parts.map(|part| snake_case(part).unwrap_or_else(|| part.to_owned()));
    parts.collect::<Vec<_>>().join("/")
}

fn write_options(out: &mut Out, node: &NodeSpec) {
    let contained = contained(node);
    let name = word(&node.calculator);
    let kind = match name.strip_suffix("Calculator") {
        Some(_) => format!("mediapipe.{name}Options"),
        None if contained.is_some() => "mediapipe.SwitchContainerOptions".to_owned(),
        None => format!("mediapipe.{name}CalculatorOptions"),
    };
    let plain = node
        .options
        .iter()
        .filter(|(option, _)| contained.is_none() || *option != CONTAINED);
    let unwritten = match &contained {
        None => write_typed(out, "node_options", &kind, plain),
        Some(nodes) => {
            out.open("node_options");
            out.open(&format!("[{ANY}{kind}]"));
            for inner in nodes {
                out.open("contained_node");
                write_node(out, inner);
                out.close();
            }
            let (written, unwritten): (Vec<_>, Vec<_>) =
                plain.partition(|(name, value)| super::write_json::can_write(name, value));
            for (name, value) in written {
                super::write_json::write_field(out, name, value);
            }
            out.close();
            out.close();
            unwritten
        }
    };
    let settings = match serde_json::to_value(node) {
        Ok(Json::Object(mut whole)) => {
            whole.retain(|key, _| !FIELDS.contains(&key.as_str()));
            whole
        }
        _ => Map::new(),
    };
    if settings.is_empty() && unwritten.is_empty() {
        return;
    }
    out.open("node_options");
    out.open(&format!("[{ANY}{NODE_SETTINGS}]"));
    write_fields(out, &settings);
    write_json_options(out, &unwritten);
    out.close();
    out.close();
}

/// The nodes of a switch, where they can be read.
fn contained(node: &NodeSpec) -> Option<Vec<NodeSpec>> {
    let nodes = node
        .options
        .get(CONTAINED)
        .filter(|_| node.calculator == "SwitchContainer")?;
    serde_json::from_value(nodes.clone()).ok()
}
