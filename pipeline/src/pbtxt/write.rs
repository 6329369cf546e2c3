//! A graph as text that `read` takes, and MediaPipe too as far as it knows the calculators and settings.

use std::fmt::{Display, Write as _};

use serde_json::{Map, Value as Json};

use super::policy::{tag_index, write_policy};
use super::write_json::write_fields;
use super::write_node::write_node;
use super::{ANY, GRAPH_SETTINGS, HANDLER_SETTINGS};
use crate::spec::{ExecutorSpec, GraphSpec, StatusHandlerSpec};

/// What of a `GraphSpec` has a field of its own in the text form.
const FIELDS: [&str; 13] = [
    "nodes",
    "inputStreams",
    "outputStreams",
    "inputSidePackets",
    "outputSidePackets",
    "type",
    "options",
    "subgraphs",
    "maxQueueSize",
    "numThreads",
    "executors",
    "inputPolicy",
    "statusHandlers",
];

/// Writes a graph; what only our graphs have goes into a message of type `haizen.GraphSettings`.
pub fn write(graph: &GraphSpec) -> String {
    let mut out = Out::default();
    write_graph(&mut out, graph, graph.graph_type.as_deref());
    out.text
}

fn write_graph(out: &mut Out, graph: &GraphSpec, name: Option<&str>) {
    if let Some(name) = name {
        out.text_field("type", name);
    }
    for (field, texts) in [
        ("input_stream", &graph.input_streams),
        ("output_stream", &graph.output_streams),
        ("input_side_packet", &graph.input_side_packets),
        ("output_side_packet", &graph.output_side_packets),
    ] {
        for text in texts {
            out.text_field(field, text);
        }
    }
    if let Some(size) = graph.max_queue_size {
        out.field("max_queue_size", size);
    }
    if let Some(threads) = graph.num_threads {
        out.field("num_threads", threads);
    }
    if graph.report_deadlock {
        out.field("report_deadlock", true);
    }
    if let Some(policy) = &graph.input_policy {
        out.line(format!("input_stream_handler {{ {} }}", write_policy(policy)));
    }
    for executor in &graph.executors {
        write_executor(out, executor);
    }
    for handler in &graph.status_handlers {
        write_handler(out, handler);
    }
    write_options(out, graph, name);
    for node in &graph.nodes {
        out.open("node");
        write_node(out, node);
        out.close();
    }
}

fn write_executor(out: &mut Out, executor: &ExecutorSpec) {
    let ExecutorSpec {
        name,
        num_threads,
        nice,
        stack_kib,
    } = executor;
    out.open("executor");
    out.text_field("name", name);
    out.text_field("type", "ThreadPoolExecutor");
    if num_threads.is_some() || *nice != 0 || stack_kib.is_some() {
        out.open("options");
        out.open("[mediapipe.ThreadPoolExecutorOptions.ext]");
        if let Some(threads) = num_threads {
            out.field("num_threads", threads);
        }
        if *nice != 0 {
            out.field("nice_priority_level", nice);
        }
        if let Some(stack) = stack_kib {
            out.field("stack_size", u64::from(*stack) * 1024);
        }
        out.close();
        out.close();
    }
    out.close();
}

fn write_handler(out: &mut Out, handler: &StatusHandlerSpec) {
    let StatusHandlerSpec {
        handler,
        side_packets,
        options,
    } = handler;
    out.open("status_handler");
    out.text_field("status_handler", handler);
    for (port, name) in side_packets {
        out.text_field("input_side_packet", &format!("{}:{name}", tag_index(port)));
    }
    let kind = format!("mediapipe.{}Options", word(handler));
    let unwritten = write_typed(out, "options", &kind, options);
    if !unwritten.is_empty() {
        out.open("options");
        out.open(&format!("[{ANY}{HANDLER_SETTINGS}]"));
        write_json_options(out, &unwritten);
        out.close();
        out.close();
    }
    out.close();
}

fn write_options(out: &mut Out, graph: &GraphSpec, name: Option<&str>) {
    let kind = format!("mediapipe.{}Options", word(name.unwrap_or("Graph")));
    let unwritten = write_typed(out, "graph_options", &kind, &graph.options);
    let settings = match serde_json::to_value(graph) {
        Ok(Json::Object(mut whole)) => {
            whole.retain(|key, _| !FIELDS.contains(&key.as_str()) && key != "reportDeadlock");
            whole
        }
        _ => Map::new(),
    };
    if settings.is_empty() && unwritten.is_empty() && graph.subgraphs.is_empty() {
        return;
    }
    out.open("graph_options");
    out.open(&format!("[{ANY}{GRAPH_SETTINGS}]"));
    write_fields(out, &settings);
    write_json_options(out, &unwritten);
    for (name, subgraph) in &graph.subgraphs {
        out.open("subgraph");
        write_graph(out, subgraph, Some(name));
        out.close();
    }
    out.close();
    out.close();
}

/// Options as a message of their type, in a container; returns those that the text form has no words for.
pub(super) fn write_typed<'a>(
    out: &mut Out,
    container: &str,
    kind: &str,
    options: impl IntoIterator<Item = (&'a String, &'a Json)>,
) -> Vec<(&'a String, &'a Json)> {
    let (written, unwritten): (Vec<_>, Vec<_>) = options
        .into_iter()
        .partition(|(name, value)| super::write_json::can_write(name, value));
    if !written.is_empty() {
        out.open(container);
        out.open(&format!("[{ANY}{kind}]"));
        for (name, value) in written {
            super::write_json::write_field(out, name, value);
        }
        out.close();
        out.close();
    }
    unwritten
}

pub(super) fn write_json_options(out: &mut Out, options: &[(&String, &Json)]) {
    for (name, value) in options {
        out.line(format!(
            "json_option {{ name: {} json: {} }}",
            quoted(name),
            quoted(&value.to_string())
        ));
    }
}

/// Text under way, with its indentation.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) text: String,
    depth: usize,
}

impl Out {
    pub(super) fn line(&mut self, text: impl Display) {
        // Writing to a String can't fail.
        let _ = writeln!(self.text, "{:indent$}{text}", "", indent = 2 * self.depth);
    }

    pub(super) fn field(&mut self, name: &str, value: impl Display) {
        self.line(format!("{name}: {value}"));
    }

    pub(super) fn text_field(&mut self, name: &str, text: &str) {
        self.field(name, quoted(text));
    }

    pub(super) fn open(&mut self, name: &str) {
        self.line(format!("{name} {{"));
        self.depth += 1;
    }

    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
    }
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A name as part of a type's name.
pub(super) fn word(name: &str) -> String {
    let word: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    if word.is_empty() {
        "Unnamed".to_owned()
    } else {
        word
    }
}
