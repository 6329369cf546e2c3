//! Which of the two forms a text is in.

use crate::pbtxt;
use crate::spec::GraphSpec;

/// Why a graph couldn't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the graph can't be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    #[error("the graph can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Yaml,
    /// Protobuf's text form, MediaPipe's own.
    Pbtxt,
}

/// Names of a text graph's fields that a line of a YAML graph may begin with too.
const IN_BOTH: [&str; 3] = ["executor", "type", "options"];

impl Form {
    /// By the ending of a file's name; none if that says nothing.
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "pbtxt" | "textproto" | "txtpb" | "prototxt" | "textpb" => Some(Self::Pbtxt),
            "yaml" | "yml" | "json" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// By the words that begin the lines.
    pub fn of_text(text: &str) -> Self {
        let mut first = true;
        for line in text.lines() {
            let line = line.trim_start_matches('\u{feff}').trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (word, rest) = line.split_at(end.unwrap_or(line.len()));
            let rest = rest.trim_start();
            let opens = rest.starts_with(['{', '<']);
            if pbtxt::FIELDS.contains(&word) && !IN_BOTH.contains(&word) && (opens || rest.starts_with(':'))
                || first && !word.is_empty() && opens
            {
                return Self::Pbtxt;
            }
            first = false;
        }
        Self::Yaml
    }

    /// Writes a graph in this form; `load_as` reads the same graph from it.
    pub fn write(self, graph: &GraphSpec) -> Result<String, WriteError> {
        match self {
            Self::Yaml => {
                let text = serde_saphyr::to_string(graph)?;
                let back: Result<GraphSpec, _> = serde_saphyr::from_str(&text);
                if back.is_ok_and(|back| back == *graph) {
                    return Ok(text);
                }
                // The writer leaves some odd names bare that YAML reads differently; JSON is YAML with all quotes.
                Ok(serde_json::to_string_pretty(graph)? + "\n")
            }
            Self::Pbtxt => Ok(pbtxt::write(graph)),
        }
    }
}
