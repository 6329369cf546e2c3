//! Conformance cases: a graph with a feed and the record that a run must give, or with a verdict on the graph.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::compare::compare;
use super::drive::{Settings, run};
use super::line::Feed;
use super::record::{Record, RecordLine, Status};
use crate::load::load_file;
use crate::registry::Registry;
use crate::run::Inputs;
use crate::validate::{GraphError, ValidatedGraph};

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Case {
    /// A folder with `graph.pbtxt` or `graph.yaml`, `feed.jsonl` and `record.jsonl`.
    Run { graph: PathBuf, folder: PathBuf },
    /// `NAME.pbtxt` or `NAME.yaml` beside `NAME.verdict`: what the reference said of the graph.
    Check { graph: PathBuf, verdict: PathBuf },
}

const GRAPHS: [&str; 3] = ["pbtxt", "yaml", "yml"];

impl Case {
    /// All cases in a folder and below, in the order of their paths.
    pub fn find(folder: &Path) -> io::Result<Vec<Self>> {
        let mut cases = Vec::new();
        let mut entries: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder)? {
            entries.push(entry?.path());
        }
        entries.sort();
        let graph = GRAPHS
            .iter()
            .map(|ending| folder.join("graph").with_extension(ending));
        let graph = graph.into_iter().find(|path| entries.contains(path));
        if let Some(graph) = graph.filter(|_| entries.contains(&folder.join("record.jsonl"))) {
            let folder = folder.to_owned();
            cases.push(Self::Run { graph, folder });
        }
        for path in &entries {
            if path.is_dir() {
                cases.extend(Self::find(path)?);
            } else if GRAPHS
                .iter()
                .any(|ending| path.extension().is_some_and(|found| found == *ending))
            {
                let (graph, verdict) = (path.clone(), path.with_extension("verdict"));
                if entries.contains(&verdict) {
                    cases.push(Self::Check { graph, verdict });
                }
            }
        }
        Ok(cases)
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Run { folder, .. } => folder,
            Self::Check { graph, .. } => graph,
        }
    }

    /// Whether the number of threads plays a part.
    pub fn runs(&self) -> bool {
        matches!(self, Self::Run { .. })
    }

    /// What differs from the reference; none if nothing does. `head_start`: see `Settings`.
    pub fn differs(
        &self,
        registry: &Registry,
        threads: usize,
        head_start: usize,
    ) -> Result<Option<String>, CaseError> {
        match self {
            Self::Run { graph, folder } => run_case(graph, folder, registry, threads, head_start),
            Self::Check { graph, verdict } => check_case(graph, verdict, registry),
        }
    }
}

/// Why a case can't be judged.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {problem}", path = path.display())]
    Text { path: PathBuf, problem: String },
}

fn run_case(
    graph: &Path,
    folder: &Path,
    registry: &Registry,
    threads: usize,
    head_start: usize,
) -> Result<Option<String>, CaseError> {
    let text = |path: &Path| read(path);
    let wrong = |path: PathBuf| move |problem: String| CaseError::Text { path, problem };
    let (feed_path, record_path) = (folder.join("feed.jsonl"), folder.join("record.jsonl"));
    let feed = Feed::parse(&text(&feed_path)?, folder).map_err(|error| error.to_string());
    let feed = feed.map_err(wrong(feed_path.clone()))?;
    let expected = Record::parse(&text(&record_path)?, folder).map_err(|error| error.to_string());
    let expected = expected.map_err(wrong(record_path))?;
    let found = match validated(graph, registry)? {
        Err(errors) => Record(vec![RecordLine::Status(refused(&errors))]),
        Ok(graph) => {
            let inputs = Inputs {
                threads: Some(threads),
                ..Inputs::default()
            };
            let bounds = expected
                .0
                .iter()
                .any(|line| matches!(line, RecordLine::Bound { .. } | RecordLine::Closed { .. }));
            let settings = Settings {
                bounds,
                head_start,
                ..Settings::default()
            };
            let found = run(&graph, &feed, inputs, &settings).map_err(|error| error.to_string());
            found.map_err(wrong(feed_path))?
        }
    };
    Ok(compare(&expected, &found))
}

fn refused(errors: &[GraphError]) -> Status {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Status::Error {
        code: "invalidArgument".to_owned(),
        node: None,
        message: errors.join("; "),
    }
}

fn check_case(graph: &Path, verdict: &Path, registry: &Registry) -> Result<Option<String>, CaseError> {
    let verdict = read(verdict)?;
    let accepted = verdict.trim() == "ok";
    Ok(match (accepted, validated(graph, registry)?) {
        (true, Ok(_)) | (false, Err(_)) => None,
        (false, Ok(_)) => Some(format!("accepted, but the reference says {}", verdict.trim())),
        (true, Err(errors)) => Some(format!(
            "refused, but the reference accepts it: {}",
            errors.first().map_or(String::new(), ToString::to_string)
        )),
    })
}

fn validated(path: &Path, registry: &Registry) -> Result<Result<ValidatedGraph, Vec<GraphError>>, CaseError> {
    let loaded = load_file(&path.to_string_lossy(), &read(path)?);
    Ok(loaded.and_then(|graph| graph.validate(registry)))
}

fn read(path: &Path) -> Result<String, CaseError> {
    fs::read_to_string(path).map_err(|source| CaseError::File {
        path: path.to_owned(),
        source,
    })
}
