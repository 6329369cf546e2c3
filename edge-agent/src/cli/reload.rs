//! A graph whose file changes while it runs.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use pipeline::{Registry, RunningGraph};

use super::file::load;
use super::models::models;
use crate::args::RunArgs;

/// Reads the files again when they change or a signal asks for it.
#[derive(Debug)]
pub(super) struct Reloader<'a> {
    args: &'a RunArgs,
    asked: u64,
    read: Stamps,
    last: Stamps,
}

/// When each file was written last, and how long it is.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl<'a> Reloader<'a> {
    /// Begins with the files as they are.
    pub(super) fn new(args: &'a RunArgs) -> Self {
        let now = stamps(args);
        Self {
            args,
            asked: 0,
            last: now.clone(),
            read: now,
        }
    }

    /// Reloads if there is a reason to; `asked` is how often a signal asked for it so far. Gives what to tell the user.
    pub(super) fn look(&mut self, running: &RunningGraph, asked: u64) -> Vec<String> {
        let now = stamps(self.args);
        // A file that is being written is left until it is the same at two looks.
        let changed = self.args.watch && now != self.read && now == self.last;
        self.last.clone_from(&now);
        if asked == self.asked && !changed {
            return Vec::new();
        }
        self.asked = asked;
        self.read = now;
        self.reload(running).unwrap_or_else(|mut problems| {
            problems.push("not reloaded: the graph runs on as it was".to_owned());
            problems
        })
    }

    fn reload(&self, running: &RunningGraph) -> Result<Vec<String>, Vec<String>> {
        let file = self.args.graph.file.as_path();
        if file == Path::new("-") {
            return Err(vec!["a graph from standard input can't be read again".to_owned()]);
        }
        let told = |problem: &dyn std::fmt::Display| vec![format!("{}: {problem}", file.display())];
        let loaded = load(&self.args.graph).map_err(|error| vec![format!("{error:#}")])?;
        let graph = loaded
            .and_then(|graph| graph.validate(&Registry::standard()))
            .map_err(|errors| errors.iter().flat_map(|error| told(error)).collect::<Vec<_>>())?;
        let models = models(self.args, &graph).map_err(|error| vec![format!("{error:#}")])?;
        let report = running.reload(&graph, models).map_err(|error| told(&error))?;
        Ok(vec![format!("reloaded {}: {report}", file.display())])
    }
}

fn stamps(args: &RunArgs) -> Stamps {
    let graphs = std::iter::once(&args.graph.file).chain(&args.graph.subgraphs);
    let files = graphs.chain(args.models.iter().map(|(_, path)| path));
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.map(|path| stamp(path)).collect()
}
