//! The calculators a graph may name.

use std::collections::BTreeMap;

use crate::nearest::suggestion;
use crate::node::NodeType;
use crate::nodes;

/// Calculators by name.
#[derive(Debug, Clone)]
pub struct Registry(BTreeMap<&'static str, NodeType>);

impl Registry {
    /// The calculators of this crate.
    pub fn standard() -> Self {
        nodes::all().into_iter().fold(Self(BTreeMap::new()), Self::with)
    }

    /// Adds a calculator, or replaces the one of that name.
    pub fn with(mut self, node: NodeType) -> Self {
        self.0.insert(node.name, node);
        self
    }

    /// The suffix `Calculator`, as MediaPipe's graphs write it, may be left out or given.
    pub fn get(&self, calculator: &str) -> Option<NodeType> {
        let short = calculator.strip_suffix("Calculator").unwrap_or(calculator);
        self.0.get(calculator).or_else(|| self.0.get(short)).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = &NodeType> {
        self.0.values()
    }

    pub(crate) fn nearest(&self, calculator: &str) -> Option<&'static str> {
        let plain = suggestion(calculator, self.0.keys().copied());
        if let Some(node) = plain.and_then(|name| self.0.get(name)) {
            return Some(node.name);
        }
        // The mistake may be in a name with the suffix, or in the suffix.
        let long: Vec<String> = self.0.keys().map(|name| format!("{name}Calculator")).collect();
        let near = suggestion(calculator, long.iter().map(String::as_str))?;
        self.get(near).map(|node| node.name)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::standard()
    }
}
