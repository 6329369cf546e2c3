//! Where the nodes of a graph were written.

use std::collections::BTreeMap;

use crate::subgraph::Origin;

/// Lines of the nodes of a graph and of the graphs in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Where the graph has a file of its own.
    pub(crate) file: Option<String>,
    /// In the order of the nodes, counted from 1.
    pub(crate) nodes: Vec<u64>,
    /// The same of the status handlers.
    pub(crate) handlers: Vec<u64>,
    pub(crate) subgraphs: BTreeMap<String, Lines>,
}

impl Lines {
    pub(super) fn of_file(self, file: &str) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..self
        }
    }

    /// File and line of a node.
    pub(super) fn node(&self, origin: &Origin) -> (Option<String>, Option<u64>) {
        self.find(origin, |lines| &lines.nodes)
    }

    /// File and line of a status handler.
    pub(super) fn handler(&self, origin: &Origin) -> (Option<String>, Option<u64>) {
        self.find(origin, |lines| &lines.handlers)
    }

    fn find(&self, origin: &Origin, list: impl Fn(&Self) -> &Vec<u64>) -> (Option<String>, Option<u64>) {
        let (mut at, mut file) = (self, &self.file);
        for name in &origin.scope {
            let Some(inner) = at.subgraphs.get(name) else {
                return (file.clone(), None);
            };
            at = inner;
            if inner.file.is_some() {
                file = &inner.file;
            }
        }
        (file.clone(), list(at).get(origin.index).copied())
    }
}
