//! Files that are derived from the code, committed, and must equal what the code says now.

mod manifests;
mod nodes;
mod reference;
mod schema;

use anyhow::Result;

use crate::workspace::Workspace;

/// A file as the code wants it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    /// From the root of the workspace.
    pub path: String,
    pub text: String,
}

/// Writes what differs, and returns the paths.
pub(crate) fn write(workspace: &Workspace) -> Result<Vec<String>> {
    let mut written = Vec::new();
    for file in all()? {
        if workspace.read(&file.path)?.as_deref() != Some(&file.text) {
            workspace.write(&file.path, &file.text)?;
            written.push(file.path);
        }
    }
    Ok(written)
}

/// One line for each file that differs from what the code says.
pub(crate) fn stale(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in all()? {
        let found = workspace.read(&file.path)?;
        if found.as_deref() != Some(&file.text) {
            let what = if found.is_some() { "is stale" } else { "is missing" };
            findings.push(format!(
                "{} {what}: run `cargo run --profile fast -p xtask -- codegen`",
                file.path
            ));
        }
    }
    Ok(findings)
}

/// The one list of generated files.
fn all() -> Result<Vec<Generated>> {
    let mut files = Vec::new();
    for crd in crds::all() {
        let crd = serde_json::to_value(&crd)?;
        files.extend(manifests::of(&crd)?);
        files.push(reference::of(&crd));
    }
    files.push(nodes::reference_page());
    Ok(files)
}

/// Text that must stay inside one cell of a Markdown table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_generated_file_is_stale() {
        let findings = stale(&Workspace::here().unwrap()).unwrap();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}
