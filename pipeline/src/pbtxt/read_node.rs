//! `node { … }` as a node of ours.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::json::{camel_case, object};
use super::policy::{port, read_policy};
use super::reading::Reading;
use super::tree::{Field, Message, Value};
use super::{CONTAINED, NODE_SETTINGS};
use crate::spec::NodeSpec;
use crate::validate::ports::{port_text, read_port};

const FIELDS: [&str; 18] = [
    "name",
    "calculator",
    "input_stream",
    "output_stream",
    "input_side_packet",
    "output_side_packet",
    "options",
    "node_options",
    "source_layer",
    "buffer_size_hint",
    "input_stream_handler",
    "output_stream_handler",
    "input_stream_info",
    "executor",
    "profiler_config",
    "max_in_flight",
    "option_value",
    "external_input",
];
const SINGULAR: [&str; 10] = [
    "name",
    "calculator",
    "options",
    "source_layer",
    "buffer_size_hint",
    "input_stream_handler",
    "output_stream_handler",
    "executor",
    "profiler_config",
    "max_in_flight",
];

/// Side packets and options, gathered before they can be put into maps.
#[derive(Default)]
struct Gathered<'a> {
    side_inputs: Vec<(u64, String)>,
    side_outputs: Vec<(u64, String)>,
    options: Vec<(u64, &'a str, &'a Message)>,
    infos: BTreeSet<String>,
}

pub(super) fn read_node(reading: &mut Reading, line: u64, message: &Message) -> NodeSpec {
    let outer = std::mem::replace(&mut reading.node, name_of(message));
    reading.once(message, &SINGULAR);
    let mut node = NodeSpec::default();
    let mut gathered = Gathered::default();
    for field in &message.fields {
        read_field(reading, field, &mut node, &mut gathered);
    }
    if node.calculator.is_empty() {
        reading.refuse(line, "a node has no calculator");
    }
    node.side_packets = side_packets(reading, gathered.side_inputs);
    node.output_side_packets = side_packets(reading, gathered.side_outputs);
    let settings = options(reading, &gathered.options, &mut node);
    if let Some((line, settings)) = settings {
        node = with_settings(reading, line, settings, node);
    }
    reading.node = outer;
    node
}

fn name_of(message: &Message) -> Option<String> {
    let find = |name: &str| {
        let field = message.fields.iter().find(|field| field.name.text() == name)?;
        match &field.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    };
    find("name")
        .filter(|name| !name.is_empty())
        .or_else(|| find("calculator"))
}

fn read_field<'a>(reading: &mut Reading, field: &'a Field, node: &mut NodeSpec, gathered: &mut Gathered<'a>) {
    let line = field.line;
    match field.name.text() {
        "name" => node.name = Some(reading.text(field)).filter(|name| !name.is_empty()),
        "calculator" => node.calculator = reading.text(field),
        "input_stream" => node.inputs.extend(reading.texts(field)),
        "output_stream" => node.outputs.extend(reading.texts(field)),
        "input_side_packet" | "external_input" => {
            let texts = reading.texts(field).into_iter();
            gathered.side_inputs.extend(texts.map(|text| (line, text)));
        }
        "output_side_packet" => {
            let texts = reading.texts(field).into_iter();
            gathered.side_outputs.extend(texts.map(|text| (line, text)));
        }
        "options" | "node_options" => gathered.options.extend(reading.typed(field)),
        "source_layer" => node.source_layer = reading.count(field).unwrap_or(0),
        // No number at all and a negative one both leave the graph's own.
        "buffer_size_hint" => {
            let size = reading.integer(field).filter(|size| *size > 0);
            node.queue_size = size.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        }
        "input_stream_handler" => node.input_policy = read_policy(reading, field),
        "output_stream_handler" => output_handler(reading, field),
        "input_stream_info" => {
            for info in reading.messages(field) {
                read_info(reading, field, info, node, &mut gathered.infos);
            }
        }
        "executor" => node.executor = Some(reading.text(field)).filter(|name| !name.is_empty()),
        // Of MediaPipe's own profiler; ours is always on.
        "profiler_config" => {}
        "max_in_flight" => node.parallel = reading.count(field).filter(|count| *count > 0),
        "option_value" => {
            for text in reading.texts(field) {
                read_option_value(reading, field, &text, node);
            }
        }
        _ => reading.unknown(field, "a node", &FIELDS),
    }
}

pub(super) fn output_handler(reading: &mut Reading, field: &Field) {
    for message in reading.messages(field) {
        for inner in &message.fields {
            match inner.name.text() {
                "output_stream_handler" => {
                    let name = reading.text(inner);
                    if name != "InOrderOutputStreamHandler" {
                        reading.refuse(
                            inner.line,
                            format!("output stream handler `{name}` is unknown; known is InOrderOutputStreamHandler"),
                        );
                    }
                }
                "options" | "input_side_packet" => {}
                _ => reading.unknown(
                    inner,
                    "output_stream_handler",
                    &["output_stream_handler", "options"],
                ),
            }
        }
    }
}

fn read_info(
    reading: &mut Reading,
    of: &Field,
    info: &Message,
    node: &mut NodeSpec,
    infos: &mut BTreeSet<String>,
) {
    let (mut tag_index, mut back_edge) = (String::new(), false);
    reading.once(info, &["tag_index", "back_edge"]);
    for field in &info.fields {
        match field.name.text() {
            "tag_index" => tag_index = reading.text(field),
            "back_edge" => back_edge = reading.flag(field),
            _ => reading.unknown(field, "input_stream_info", &["tag_index", "back_edge"]),
        }
    }
    let Some(port) = port(reading, of, &tag_index) else {
        return;
    };
    if !infos.insert(port.clone()) {
        reading.refuse(
            of.line,
            format!("`input_stream_info` of input {port} is given twice"),
        );
    } else if back_edge {
        node.back_edges.push(port);
    }
}

/// `field/of/options:options/field/of/the/graph`.
fn read_option_value(reading: &mut Reading, field: &Field, text: &str, node: &mut NodeSpec) {
    let camel = |path: &str| path.split('/').map(camel_case).collect::<Vec<_>>().join("/");
    match text.split_once(':') {
        Some((option, value)) if !option.is_empty() && !value.is_empty() => {
            if node.option_values.insert(camel(option), camel(value)).is_some() {
                reading.refuse(field.line, format!("`option_value` of `{option}` is given twice"));
            }
        }
        _ => reading.refuse(
            field.line,
            format!("`{text}` is no option_value; write `option:options/option_of_the_graph`"),
        ),
    }
}

/// `name`, `TAG:name` and `TAG:index:name` by port.
pub(super) fn side_packets(reading: &mut Reading, texts: Vec<(u64, String)>) -> BTreeMap<String, String> {
    let mut packets = BTreeMap::new();
    let mut untagged = 0;
    for (line, text) in texts {
        let (port, name) = if let Some((port, name)) = text.rsplit_once(':') {
            (read_port(port), name)
        } else {
            untagged += 1;
            (Some(("", untagged - 1)), text.as_str())
        };
        let Some((tag, index)) = port else {
            reading.refuse(
                line,
                format!("side packet `{text}` can't be read; write `name`, `TAG:name` or `TAG:index:name`"),
            );
            continue;
        };
        let port = port_text(tag, index);
        if packets.insert(port.clone(), name.to_owned()).is_some() {
            reading.refuse(line, format!("side packet {port} is given twice"));
        }
    }
    packets
}

/// All options in one map; returned apart: the settings that only we have.
fn options(
    reading: &mut Reading,
    messages: &[(u64, &str, &Message)],
    node: &mut NodeSpec,
) -> Option<(u64, Map<String, Json>)> {
    let mut types = BTreeSet::new();
    let mut settings = None;
    for (line, kind, message) in messages {
        if !types.insert(*kind) {
            reading.refuse(*line, format!("options of type {kind} are given twice"));
            continue;
        }
        let map = match kind.rsplit('.').next() {
            Some("SwitchContainerOptions") => switch_options(reading, message),
            _ => object(reading, message),
        };
        if *kind == NODE_SETTINGS {
            settings = Some((*line, map));
            continue;
        }
        for (option, value) in map {
            if node.options.contains_key(&option) {
                reading.refuse(*line, format!("option {option} is given by two types of options"));
            }
            node.options.insert(option, value);
        }
    }
    settings
}

/// The nodes in a switch are nodes, not options.
fn switch_options(reading: &mut Reading, message: &Message) -> Map<String, Json> {
    let (nodes, rest): (Vec<&Field>, Vec<&Field>) = message
        .fields
        .iter()
        .partition(|field| field.name.text() == "contained_node");
    let rest = Message {
        fields: rest.into_iter().cloned().collect(),
    };
    let mut map = object(reading, &rest);
    let mut contained = Vec::new();
    for field in nodes {
        for node in reading.messages(field) {
            contained.extend(serde_json::to_value(read_node(reading, field.line, node)));
        }
    }
    map.insert(CONTAINED.to_owned(), Json::Array(contained));
    map
}

fn with_settings(
    reading: &mut Reading,
    line: u64,
    mut settings: Map<String, Json>,
    mut node: NodeSpec,
) -> NodeSpec {
    node.options.extend(json_options(reading, line, &mut settings));
    let Ok(Json::Object(mut whole)) = serde_json::to_value(&node) else {
        return node;
    };
    whole.extend(settings);
    match serde_json::from_value(Json::Object(whole)) {
        Ok(whole) => whole,
        Err(error) => {
            reading.refuse(line, format!("{NODE_SETTINGS}: {error}"));
            node
        }
    }
}

/// Options that the text form has no words for: `json_option { name: "…" json: "…" }`.
pub(super) fn json_options(
    reading: &mut Reading,
    line: u64,
    settings: &mut Map<String, Json>,
) -> BTreeMap<String, Json> {
    let listed = match settings.remove("jsonOption") {
        None => return BTreeMap::new(),
        Some(Json::Array(listed)) => listed,
        Some(one) => vec![one],
    };
    let mut options = BTreeMap::new();
    for option in listed {
        let text = |key: &str| option.get(key).and_then(Json::as_str);
        let value = text("json").and_then(|json| serde_json::from_str(json).ok());
        match (text("name"), value) {
            (Some(name), Some(value)) => {
                options.insert(name.to_owned(), value);
            }
            _ => reading.refuse(line, "`json_option` must have a name and JSON as text"),
        }
    }
    options
}
