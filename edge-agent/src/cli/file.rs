//! Graphs from files, of either form, with the files of their subgraphs.

use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result};
use pipeline::GraphError;
use pipeline::load::{LoadedGraph, load_file};

use crate::args::GraphArgs;

/// Reads the graph and its subgraphs; the inner error lists what is wrong in their texts.
pub(super) fn load(args: &GraphArgs) -> Result<Result<LoadedGraph, Vec<GraphError>>> {
    let mut graph = match load_file(&args.file.to_string_lossy(), &read(&args.file)?) {
        Ok(graph) => graph,
        Err(errors) => return Ok(Err(errors)),
    };
    for path in &args.subgraphs {
        let name = path.to_string_lossy();
        let loaded = load_file(&name, &read(path)?);
        let added = loaded.and_then(|subgraph| graph.add_subgraph(&name, subgraph));
        if let Err(mut errors) = added {
            for error in &mut errors {
                error.file.get_or_insert_with(|| name.clone().into_owned());
            }
            return Ok(Err(errors));
        }
    }
    Ok(Ok(graph))
}

/// The text of a file, or of standard input for `-`.
pub(super) fn read(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}
