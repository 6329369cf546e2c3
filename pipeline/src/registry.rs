//! The calculators and status handlers a graph may name.

use std::collections::BTreeMap;

use crate::nearest::suggestion;
use crate::node::NodeType;
use crate::status_handler::HandlerType;
use crate::{nodes, status_handlers};

/// Calculators and status handlers by name.
#[derive(Debug, Clone)]
pub struct Registry {
    nodes: BTreeMap<&'static str, NodeType>,
    handlers: BTreeMap<&'static str, HandlerType>,
}

impl Registry {
    /// What this crate has.
    pub fn standard() -> Self {
        let nodes = nodes::all().into_iter().map(|node| (node.name, node));
        let handlers = status_handlers::all()
            .into_iter()
            .map(|handler| (handler.name, handler));
        Self {
            nodes: nodes.collect(),
            handlers: handlers.collect(),
        }
    }

    /// Adds a calculator, or replaces the one of that name.
    pub fn with(mut self, node: NodeType) -> Self {
        self.nodes.insert(node.name, node);
        self
    }

    /// Adds a status handler, or replaces the one of that name.
    pub fn with_handler(mut self, handler: HandlerType) -> Self {
        self.handlers.insert(handler.name, handler);
        self
    }

    pub fn handler(&self, name: &str) -> Option<HandlerType> {
        self.handlers.get(name).copied()
    }

    pub fn handlers(&self) -> impl Iterator<Item = &HandlerType> {
        self.handlers.values()
    }

    /// The suffix `Calculator`, as MediaPipe's graphs write it, may be left out or given.
    pub fn get(&self, calculator: &str) -> Option<NodeType> {
        let short = calculator.strip_suffix("Calculator").unwrap_or(calculator);
        self.nodes
            .get(calculator)
            .or_else(|| self.nodes.get(short))
            .copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = &NodeType> {
        self.nodes.values()
    }

    pub(crate) fn nearest(&self, calculator: &str) -> Option<&'static str> {
        let plain = suggestion(calculator, self.nodes.keys().copied());
        if let Some(node) = plain.and_then(|name| self.nodes.get(name)) {
            return Some(node.name);
        }
        // The mistake may be in a name with the suffix, or in the suffix.
        let long: Vec<String> = self
            .nodes
            .keys()
            .map(|name| format!("{name}Calculator"))
            .collect();
        let near = suggestion(calculator, long.iter().map(String::as_str))?;
        self.get(near).map(|node| node.name)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::standard()
    }
}
