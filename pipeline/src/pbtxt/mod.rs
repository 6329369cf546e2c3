//! Graphs in protobuf's text form, as MediaPipe's users write them.
//!
//! Text to tree (`parse`, knows no field), tree to graph (`read`), graph to text (`write`). What only our graphs have
//! travels in messages of types `haizen.NodeSettings` and `haizen.GraphSettings`.

mod cursor;
mod json;
mod literal;
mod parse;
mod policy;
mod read;
mod read_handler;
mod read_node;
mod reading;
#[cfg(test)]
mod tests;
mod tree;
mod write;
mod write_json;
mod write_node;

pub use parse::{SyntaxError, parse};
pub(crate) use read::{FIELDS, Read, read};
pub use tree::{Field, Message, Name, Value};
pub use write::write;

/// Type of the message that carries a node's settings which MediaPipe doesn't have.
const NODE_SETTINGS: &str = "haizen.NodeSettings";
/// The same of a graph.
const GRAPH_SETTINGS: &str = "haizen.GraphSettings";
/// The same of a status handler.
const HANDLER_SETTINGS: &str = "haizen.StatusHandlerSettings";
/// The option of a switch that holds nodes.
const CONTAINED: &str = "containedNode";
/// How a type is written as the name of an Any.
const ANY: &str = "type.googleapis.com/";
