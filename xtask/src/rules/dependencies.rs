//! Who may use whom, and which outside packages a member must never link.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::{Member, Workspace};

/// Members that each member may use. `e2e` and `xtask` may use any.
const ALLOWED: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("pipeline", &["units"]),
    ("search", &["units"]),
    ("rollout", &["units"]),
    ("export", &["units", "search"]),
    ("protocol", &["units", "pipeline"]),
    ("crds", &["units", "pipeline", "search", "rollout", "protocol"]),
    ("trainer", &["units", "search", "export", "protocol", "pipeline"]),
    (
        "operator",
        &[
            "units", "pipeline", "search", "rollout", "export", "protocol", "crds",
        ],
    ),
    ("edge-agent", &["units", "pipeline", "protocol"]),
];

const UNRESTRICTED: &[&str] = &["e2e", "xtask"];

const SERVICES: &[&str] = &[
    "tokio",
    "kube",
    "k8s-openapi",
    "sqlx",
    "rumqttc",
    "axum",
    "reqwest",
    "hyper",
    "tch",
];

/// Outside packages that a member must not link, however deep: a prefix ending in `-` stands for a family.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("units", SERVICES),
    ("pipeline", SERVICES),
    ("search", SERVICES),
    ("rollout", SERVICES),
    ("export", SERVICES),
    ("protocol", SERVICES),
    ("operator", &["ort", "ort-sys", "tch", "torch-sys"]),
    (
        "edge-agent",
        &[
            "kube",
            "kube-",
            "k8s-openapi",
            "sqlx",
            "sqlx-",
            "tch",
            "torch-sys",
        ],
    ),
    (
        "trainer",
        &["kube", "kube-", "k8s-openapi", "sqlx", "sqlx-", "rumqttc"],
    ),
];

/// Members that use another one they may not.
pub(crate) fn members(members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    for member in members
        .iter()
        .filter(|m| !UNRESTRICTED.contains(&m.name.as_str()))
    {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member.name) else {
            findings.push(format!(
                "{}: say whom it may use in xtask/src/rules/dependencies.rs",
                member.name
            ));
            continue;
        };
        for used in member
            .uses
            .iter()
            .filter(|used| !allowed.contains(&used.as_str()))
        {
            findings.push(format!(
                "{} uses {used}: ARCHITECTURE lets it use only {allowed:?}",
                member.name
            ));
        }
    }
    findings
}

/// Members that link a package they must not.
pub(crate) fn packages(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for (member, forbidden) in FORBIDDEN {
        let linked = linked(workspace, member)?;
        findings.extend(
            linked
                .iter()
                .filter(|package| forbidden.iter().any(|f| matches(f, package)))
                .map(|package| {
                    format!(
                        "{member} links {package}: `cargo tree -p {member} -i {package}` says through whom"
                    )
                }),
        );
    }
    Ok(findings)
}

fn matches(forbidden: &str, package: &str) -> bool {
    package == forbidden || (forbidden.ends_with('-') && package.starts_with(forbidden))
}

/// What a member links when it is built alone. `cargo metadata` won't do: it unites the features of all members.
fn linked(workspace: &Workspace, member: &str) -> Result<Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .current_dir(&workspace.root)
        .args([
            "tree",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            member,
        ])
        .output()
        .with_context(|| format!("cargo tree of {member}"))?;
    if !output.status.success() {
        bail!(
            "cargo tree of {member}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_uses_too_much_is_named() {
        let member = |name: &str, uses: &[&str]| Member {
            name: name.to_owned(),
            uses: uses.iter().map(|&u| u.to_owned()).collect(),
        };
        assert_eq!(
            members(&[member("rollout", &["units"]), member("e2e", &["crds"])]),
            Vec::<String>::new()
        );
        let findings = members(&[member("rollout", &["search"]), member("novel", &[])]);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("rollout uses search"), "{findings:?}");
    }

    #[test]
    fn a_family_is_a_prefix_and_a_name_is_whole() {
        assert!(matches("kube-", "kube-runtime"));
        assert!(!matches("ort", "sort"));
        assert!(!matches("kube", "kubelet"));
    }
}
