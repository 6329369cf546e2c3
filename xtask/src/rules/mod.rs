//! Rules of ARCHITECTURE and CONTRIBUTING that a program can check.

mod chart;
mod dependencies;
mod sources;

use anyhow::Result;

use crate::workspace::Workspace;

/// One line for each broken rule.
pub(crate) fn broken(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = dependencies::members(&workspace.members);
    findings.extend(dependencies::packages(workspace)?);
    findings.extend(chart::broken(workspace)?);
    findings.extend(sources::broken(&workspace.sources()?));
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_its_rules() {
        let findings = broken(&Workspace::here().unwrap()).unwrap();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}
