//! What can be wrong with a graph, in words that name the node, the port or stream, and what to do.

use std::fmt;

use crate::options::OptionError;

/// One mistake in a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphError {
    /// Line in the text, counted from 1, where known.
    pub line: Option<u64>,
    /// The file that the line is in, where it isn't the graph's own: a subgraph's.
    pub file: Option<String>,
    pub node: Option<String>,
    pub problem: Problem,
}

impl GraphError {
    pub(crate) fn graph(problem: Problem) -> Self {
        Self {
            line: None,
            file: None,
            node: None,
            problem,
        }
    }

    pub(crate) fn node(node: &str, problem: Problem) -> Self {
        Self {
            line: None,
            file: None,
            node: Some(node.to_owned()),
            problem,
        }
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, &self.file) {
            (Some(line), None) => write!(f, "line {line}: ")?,
            (Some(line), Some(file)) => write!(f, "{file}, line {line}: ")?,
            (None, Some(file)) => write!(f, "{file}: ")?,
            (None, None) => {}
        }
        if let Some(node) = &self.node {
            write!(f, "node {node}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for GraphError {}

/// Which list of a node an entry stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Input,
    Output,
    SidePacket,
    /// The graph's own streams and side packets.
    Graph,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::SidePacket => "side packet",
            Self::Graph => "the graph's port",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Text(String),
    #[error("the graph has no nodes; list at least one under `nodes`")]
    Empty,
    #[error("the name `{0}` isn't possible; use letters, digits, - and _, a letter first")]
    NodeName(String),
    #[error("the name is given to {count} nodes; give each its own")]
    RepeatedNode { count: usize },
    #[error("calculator {calculator} is unknown{hint}")]
    UnknownCalculator { calculator: String, hint: String },
    #[error(
        "{side} `{text}` can't be read: {why}; write `stream`, `TAG:stream` or `TAG:index:stream`, \
         tags in capitals and streams in small letters"
    )]
    Syntax {
        side: Side,
        text: String,
        why: &'static str,
    },
    #[error("{side} {port} is given twice; number the streams of one tag from 0")]
    RepeatedPort { side: Side, port: String },
    #[error("{side} {port} is missing while a higher index is given; number the streams of one tag from 0")]
    MissingIndex { side: Side, port: String },
    #[error("{side} {port} isn't known to {calculator}; it has {known}")]
    UnexpectedPort {
        side: Side,
        port: String,
        calculator: String,
        known: String,
    },
    #[error("{side} {port} is missing; {calculator} needs it{doc}")]
    MissingPort {
        side: Side,
        port: String,
        calculator: String,
        doc: String,
    },
    #[error("{side} {port} takes one stream, but has {count}")]
    OnePort { side: Side, port: String, count: usize },
    #[error("output {port} has no input of the same number to carry; give as many inputs as outputs")]
    UnpairedOutput { port: String },
    #[error("has {count} {side}s; a node can have {limit}")]
    TooManyPorts { side: Side, count: usize, limit: usize },
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error("`{field}` has no effect on a source; set it on the node that reads from it")]
    SourceField { field: &'static str },
    #[error("stream {stream} is also written by {other}; every stream has one writer")]
    TwoProducers { stream: String, other: String },
    #[error("input {port} reads stream {stream}, which nothing writes{hint}")]
    NoProducer {
        stream: String,
        port: String,
        hint: String,
    },
    #[error("output stream {stream} of the graph is written by no node{hint}")]
    NoOutput { stream: String, hint: String },
    #[error("stream {0} is listed twice among the graph's streams")]
    RepeatedStream(String),
    #[error("side packet {name} is also made by {other}; every side packet has one maker")]
    TwoMakers { name: String, other: String },
    #[error("output side packet {name} of the graph is made by no node")]
    NoMaker { name: String },
    #[error("side packet {port} takes {wanted}, but {name} is {found} (made by {maker})")]
    SideTypeMismatch {
        port: String,
        wanted: String,
        name: String,
        found: &'static str,
        maker: String,
    },
    #[error(
        "the nodes {} form a cycle; list the input that closes it in its node's `backEdges`", .0.join(" → ")
    )]
    Cycle(Vec<String>),
    #[error("input {port} takes {wanted}, but stream {stream} carries {found} (written by {producer})")]
    TypeMismatch {
        port: String,
        wanted: String,
        stream: String,
        found: &'static str,
        producer: String,
    },
    #[error("side packet {port} names `{name}`, which isn't possible; use small letters, digits, - and _")]
    SidePacketName { port: String, name: String },
    #[error(
        "side packet {name} (as {port}) isn't given; add it to the pipeline's models, or correct the name{hint}"
    )]
    MissingSidePacket {
        name: String,
        port: String,
        hint: String,
    },
    #[error("{field} is {value}; it must be {limits}")]
    Range {
        field: &'static str,
        value: u32,
        limits: &'static str,
    },
    #[error("executor name `{0}` is reserved; `default`, `gpu` and names that begin with __ are")]
    ReservedExecutor(String),
    #[error("executor {0} is declared twice")]
    RepeatedExecutor(String),
    #[error("executor {executor} isn't declared{hint}")]
    UnknownExecutor { executor: String, hint: String },
    #[error("`{field}` names {port}, which is no input of this node{hint}")]
    UnknownInput {
        field: &'static str,
        port: String,
        hint: String,
    },
    #[error("`{field}` names input {port} twice")]
    RepeatedInput { field: &'static str, port: String },
    #[error("`{field}` has an effect on sources only, nodes without inputs")]
    NoSourceField { field: &'static str },
    #[error("{why}")]
    Settings { why: &'static str },
    #[error("`{field}` has no effect on a node that stands for a subgraph; set it on the nodes inside")]
    SubgraphField { field: &'static str },
    #[error("the subgraphs {} use each other in a circle", .0.join(" → "))]
    SubgraphCircle(Vec<String>),
    #[error("there is a subgraph {0} already; give each its own `type`")]
    RepeatedSubgraph(String),
    #[error("the graph has more than {limit} nodes when its subgraphs are put in their places")]
    TooManyNodes { limit: usize },
    #[error(
        "stream {stream} of subgraph {subgraph} is given to several of its ports; give each a node of its own, for \
         instance a PassThrough"
    )]
    SharedPort { stream: String, subgraph: String },
    #[error("status handler {handler}: {problem}")]
    StatusHandler {
        /// Its place among those of the graph.
        index: usize,
        handler: String,
        problem: Box<Problem>,
    },
    #[error("there is no status handler of that name{hint}")]
    UnknownHandler { hint: String },
    #[error("optionValues of `{option}`: {problem}")]
    OptionValue { option: String, problem: String },
}
