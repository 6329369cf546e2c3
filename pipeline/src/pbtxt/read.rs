//! A whole graph.

use serde_json::{Map, Value as Json};

use super::GRAPH_SETTINGS;
use super::json::object;
use super::parse::parse;
use super::policy::read_policy;
use super::read_handler::read_handler;
use super::read_node::{json_options, output_handler, read_node};
use super::reading::Reading;
use super::tree::{Field, Message};
use crate::load::Lines;
use crate::spec::{ExecutorSpec, GraphSpec};
use crate::validate::{GraphError, Problem};

/// MediaPipe's -1 asks for queues without an end; ours all have one.
const LONGEST_QUEUE: u32 = 10_000;

/// What a graph's text may hold at its top.
pub(crate) const FIELDS: [&str; 21] = [
    "node",
    "input_stream",
    "output_stream",
    "input_side_packet",
    "output_side_packet",
    "max_queue_size",
    "report_deadlock",
    "num_threads",
    "executor",
    "input_stream_handler",
    "output_stream_handler",
    "profiler_config",
    "runtime_info",
    "package",
    "type",
    "options",
    "graph_options",
    "status_handler",
    "packet_generator",
    "packet_factory",
    "graph_type",
];
const SINGULAR: [&str; 11] = [
    "max_queue_size",
    "report_deadlock",
    "num_threads",
    "input_stream_handler",
    "output_stream_handler",
    "profiler_config",
    "runtime_info",
    "package",
    "type",
    "graph_type",
    "options",
];

/// A graph, and where it is written.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) graph: GraphSpec,
    pub(crate) lines: Lines,
}

pub(crate) fn read(text: &str) -> Result<Read, Vec<GraphError>> {
    let message = parse(text).map_err(|error| {
        vec![GraphError {
            line: Some(error.line),
            file: None,
            node: None,
            problem: Problem::Text(format!("expected {}, found {}", error.expected, error.found)),
        }]
    })?;
    let mut reading = Reading::default();
    let read = read_graph(&mut reading, &message);
    if reading.errors.is_empty() {
        Ok(read)
    } else {
        Err(reading.errors)
    }
}

fn read_graph(reading: &mut Reading, message: &Message) -> Read {
    reading.once(message, &SINGULAR);
    let mut graph = GraphSpec::default();
    let mut lines = Lines::default();
    let mut options = Vec::new();
    let mut default_executor = None;
    for field in &message.fields {
        match field.name.text() {
            "node" => {
                for node in reading.messages(field) {
                    graph.nodes.push(read_node(reading, field.line, node));
                    lines.nodes.push(field.line);
                }
            }
            "status_handler" => {
                for handler in reading.messages(field) {
                    graph
                        .status_handlers
                        .push(read_handler(reading, field.line, handler));
                    lines.handlers.push(field.line);
                }
            }
            "options" | "graph_options" => options.extend(reading.typed(field)),
            "executor" => {
                for executor in reading.messages(field) {
                    let (executor, line) = (read_executor(reading, field, executor), field.line);
                    if executor.name.is_empty() {
                        default_executor = Some((line, executor));
                    } else {
                        graph.executors.push(executor);
                    }
                }
            }
            _ => read_field(reading, field, &mut graph),
        }
    }
    if let Some((line, executor)) = default_executor {
        default_threads(reading, line, &executor, &mut graph);
    }
    graph = with_options(reading, &options, graph, &mut lines);
    Read { graph, lines }
}

fn read_field(reading: &mut Reading, field: &Field, graph: &mut GraphSpec) {
    match field.name.text() {
        "input_stream" => graph.input_streams.extend(reading.texts(field)),
        "output_stream" => graph.output_streams.extend(reading.texts(field)),
        "input_side_packet" => graph.input_side_packets.extend(reading.texts(field)),
        "output_side_packet" => graph.output_side_packets.extend(reading.texts(field)),
        "max_queue_size" => match reading.integer(field) {
            Some(-1) => graph.max_queue_size = Some(LONGEST_QUEUE),
            Some(0) | None => {}
            Some(_) => graph.max_queue_size = reading.count(field),
        },
        "report_deadlock" => graph.report_deadlock = reading.flag(field),
        // 0 and -1: as many as fit.
        "num_threads" => match reading.integer(field) {
            Some(-1 | 0) | None => {}
            Some(_) => graph.num_threads = reading.count(field),
        },
        "input_stream_handler" => graph.input_policy = read_policy(reading, field),
        "output_stream_handler" => output_handler(reading, field),
        // Of MediaPipe's own profiler, and a prefix of its registry of types.
        "profiler_config" | "runtime_info" | "package" => {}
        "type" | "graph_type" => graph.graph_type = Some(reading.text(field)).filter(|name| !name.is_empty()),
        name @ ("packet_generator" | "packet_factory") => reading.refuse(
            field.line,
            format!("`{name}` isn't supported: make the side packet by a node, in its `output_side_packet`"),
        ),
        _ => reading.unknown(field, "a graph", &FIELDS),
    }
}

fn read_executor(reading: &mut Reading, of: &Field, message: &Message) -> ExecutorSpec {
    reading.once(message, &["name", "type", "options"]);
    let mut executor = ExecutorSpec::default();
    let mut kind = String::new();
    for field in &message.fields {
        match field.name.text() {
            "name" => executor.name = reading.text(field),
            "type" => kind = reading.text(field),
            "options" => {
                for (line, options, settings) in reading.typed(field) {
                    if options.rsplit('.').next() == Some("ThreadPoolExecutorOptions") {
                        thread_pool(reading, settings, &mut executor);
                    } else {
                        reading.refuse(
                            line,
                            format!("an executor takes ThreadPoolExecutorOptions, not {options}"),
                        );
                    }
                }
            }
            _ => reading.unknown(field, "an executor", &["name", "type", "options"]),
        }
    }
    match kind.as_str() {
        "ThreadPoolExecutor" => {}
        // The thread that waits for the run is one of ours.
        "ApplicationThreadExecutor" => executor.num_threads = Some(1),
        "" => reading.refuse(
            of.line,
            format!(
                "executor \"{}\" has no type; write `type: \"ThreadPoolExecutor\"`",
                executor.name
            ),
        ),
        other => reading.refuse(
            of.line,
            format!(
                "executor \"{}\" is a {other}; known are ThreadPoolExecutor and ApplicationThreadExecutor",
                executor.name
            ),
        ),
    }
    executor
}

fn thread_pool(reading: &mut Reading, settings: &Message, executor: &mut ExecutorSpec) {
    for field in &settings.fields {
        match field.name.text() {
            "num_threads" => executor.num_threads = reading.count(field).filter(|threads| *threads > 0),
            "stack_size" => {
                let bytes = reading.count(field).filter(|bytes| *bytes > 0);
                executor.stack_kib = bytes.map(|bytes| bytes.div_ceil(1024));
            }
            "nice_priority_level" => executor.nice = reading.count(field).unwrap_or(0),
            // Hints of which we have none: cores are the system's, names are the executor's.
            "require_processor_performance" | "thread_name_prefix" => {}
            _ => reading.unknown(
                field,
                "ThreadPoolExecutorOptions",
                &["num_threads", "stack_size", "nice_priority_level"],
            ),
        }
    }
}

/// An executor without a name says how many threads the graph has.
fn default_threads(reading: &mut Reading, line: u64, executor: &ExecutorSpec, graph: &mut GraphSpec) {
    if graph.num_threads.is_some() {
        reading.refuse(
            line,
            "`num_threads` and an executor without a name both give the graph's threads; keep one",
        );
    }
    if executor.nice != 0 || executor.stack_kib.is_some() {
        reading.refuse(
            line,
            "an executor without a name takes num_threads only; give it a name, and name it in its nodes",
        );
    }
    graph.num_threads = executor.num_threads;
}

fn with_options(
    reading: &mut Reading,
    messages: &[(u64, &str, &Message)],
    mut graph: GraphSpec,
    lines: &mut Lines,
) -> GraphSpec {
    let mut settings = None;
    for (index, (line, kind, message)) in messages.iter().enumerate() {
        if messages.iter().take(index).any(|(_, before, _)| before == kind) {
            reading.refuse(*line, format!("options of type {kind} are given twice"));
        }
        if *kind == GRAPH_SETTINGS {
            settings = Some((*line, *message));
        } else {
            graph.options.extend(object(reading, message));
        }
    }
    match settings {
        None => graph,
        Some((line, message)) => with_settings(reading, line, message, graph, lines),
    }
}

/// What only our graphs have: their subgraphs as messages, the rest as the fields of `GraphSpec`.
fn with_settings(
    reading: &mut Reading,
    line: u64,
    message: &Message,
    mut graph: GraphSpec,
    lines: &mut Lines,
) -> GraphSpec {
    let (subgraphs, rest): (Vec<&Field>, Vec<&Field>) = message
        .fields
        .iter()
        .partition(|field| field.name.text() == "subgraph");
    for field in subgraphs {
        for subgraph in reading.messages(field) {
            let mut read = read_graph(reading, subgraph);
            let Some(name) = read.graph.graph_type.take() else {
                reading.refuse(field.line, "a subgraph needs a `type`");
                continue;
            };
            lines.subgraphs.insert(name.clone(), read.lines);
            if graph.subgraphs.insert(name.clone(), read.graph).is_some() {
                reading.refuse(field.line, format!("subgraph {name} is given twice"));
            }
        }
    }
    let rest = Message {
        fields: rest.into_iter().cloned().collect(),
    };
    let mut settings: Map<String, Json> = object(reading, &rest);
    graph.options.extend(json_options(reading, line, &mut settings));
    let Ok(Json::Object(mut whole)) = serde_json::to_value(&graph) else {
        return graph;
    };
    whole.extend(settings);
    match serde_json::from_value(Json::Object(whole)) {
        Ok(whole) => whole,
        Err(error) => {
            reading.refuse(line, format!("{GRAPH_SETTINGS}: {error}"));
            graph
        }
    }
}
