//! What every Rust file keeps: its size, its name, and what it doesn't do.

use crate::workspace::Source;

/// Lines before a file's tests. Past it a file has two subjects.
const MOST_LINES: usize = 600;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "shared"];

/// Crates that may be named only below some folders, and why.
const CRATES: &[(&str, &[&str], &str)] = &[
    (
        "ort::",
        &["pipeline/src/backend"],
        "only the backend names ONNX Runtime",
    ),
    ("tch::", &["trainer/"], "only the trainer names libtorch"),
    ("sqlx::", &["operator/", "e2e/"], "SQL lives in the operator"),
    (
        "kube::runtime",
        &["operator/", "e2e/"],
        "the custom resources' types don't need the runtime",
    ),
    (
        "kube::Client",
        &["operator/", "e2e/"],
        "the custom resources' types don't need a client",
    ),
];

/// Calls that may stand only below some folders, and why.
const CALLS: &[(&str, &[&str], &str)] = &[
    ("rand::rng()", SHELLS, "chance is an argument"),
    ("Timestamp::now()", SHELLS, "time is an argument"),
    ("SystemTime::now()", SHELLS, "time is an argument"),
];

const SHELLS: &[&str] = &[
    "operator/",
    "edge-agent/",
    "trainer/",
    "e2e/",
    "pipeline/src/clock.rs",
];

/// One line for each broken rule.
pub(crate) fn broken(sources: &[Source]) -> Vec<String> {
    let tests: Vec<String> = sources.iter().flat_map(test_modules).collect();
    // This file has to name what it looks for.
    sources
        .iter()
        .filter(|s| s.path != "xtask/src/rules/sources.rs")
        .flat_map(|s| findings(s, &tests))
        .collect()
}

fn findings(source: &Source, tests: &[String]) -> Vec<String> {
    let Source { path, text } = source;
    let mut findings = Vec::new();
    let is_test = path.contains("/tests/") || tests.iter().any(|module| is_of(path, module));
    let production = || production(text).filter(|_| !is_test);
    let lines = production().count();
    if lines > MOST_LINES {
        findings.push(format!(
            "{path}: {lines} lines without its tests, {MOST_LINES} are the limit: split it by subject"
        ));
    }
    if let Some(name) = path.split(['/', '.']).find(|part| EMPTY_NAMES.contains(part)) {
        findings.push(format!(
            "{path}: `{name}` says nothing; name it after what it owns"
        ));
    }
    for (number, line) in code(text.lines()) {
        if line.contains("#[ignore") {
            findings.push(format!(
                "{path}:{number}: an ignored test proves nothing; make it run or delete it"
            ));
        }
    }
    for (number, line) in code(production()) {
        let outside = |places: &[&str]| !places.iter().any(|place| path.starts_with(place));
        let crates = CRATES
            .iter()
            .filter(|(root, places, _)| outside(places) && names_crate(line, root));
        let calls = CALLS
            .iter()
            .filter(|(call, places, _)| outside(places) && line.contains(call));
        for (text, _, why) in crates.chain(calls) {
            findings.push(format!("{path}:{number}: `{text}`: {why}"));
        }
    }
    findings
}

/// The lines before the file's own tests.
fn production(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let tests = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| module(next, " {").is_some());
        (!tests).then_some(line)
    })
}

/// Modules that a file declares for tests only and that are files of their own: `operator/src/api/tests`.
fn test_modules(source: &Source) -> Vec<String> {
    let folder = match source.path.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder,
        _ => source.path.trim_end_matches(".rs"),
    };
    let lines: Vec<&str> = source.text.lines().collect();
    let declared = lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| module(pair[1], ";"));
    declared.map(|name| format!("{folder}/{name}")).collect()
}

/// The name in `mod NAME` with this end, whoever may see it.
fn module<'a>(line: &'a str, end: &str) -> Option<&'a str> {
    let (visibility, rest) = line.split_once("mod ")?;
    let is_declaration = visibility.is_empty() || visibility.starts_with("pub");
    rest.strip_suffix(end).filter(|_| is_declaration)
}

fn is_of(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn code<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (usize, &'a str)> {
    (1..)
        .zip(lines)
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether the root stands for itself, and not as the tail of `report::` or `backend::ort::`.
fn names_crate(line: &str, root: &str) -> bool {
    line.match_indices(root)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lint(path: &str, text: &str) -> Vec<String> {
        broken(&[Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }])
    }

    #[test]
    fn long_files_count_without_their_tests() {
        let body = "fn f() {}\n".repeat(MOST_LINES);
        assert_eq!(
            lint(
                "a/src/x.rs",
                &format!("{body}#[cfg(test)]\nmod tests {{\n{body}}}\n")
            ),
            Vec::<String>::new()
        );
        assert!(lint("a/src/x.rs", &format!("{body}\n"))[0].contains("601 lines"));
    }

    #[test]
    fn files_that_only_tests_use_may_be_long() {
        let long = || "fn f() {}\n".repeat(MOST_LINES + 1);
        let file = |path: &str, text: String| Source {
            path: path.to_owned(),
            text,
        };
        let parent = file(
            "a/src/x/mod.rs",
            "#[cfg(test)]\npub(crate) mod stories;\nmod plan;\n".to_owned(),
        );
        let found = broken(&[
            parent,
            file("a/src/x/stories.rs", long()),
            file("a/src/x/plan.rs", long()),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("a/src/x/plan.rs"), "{found:?}");
    }

    #[test]
    fn names_and_places_are_checked() {
        assert!(lint("a/src/utils.rs", "")[0].contains("`utils`"));
        assert!(lint("a/src/common/x.rs", "")[0].contains("`common`"));
        assert!(
            lint("operator/src/x.rs", "use ort::Session;\n")[0].starts_with("operator/src/x.rs:1: `ort::`")
        );
        assert!(
            lint("search/src/x.rs", "let t = jiff::Timestamp::now();\n")[0].contains("time is an argument")
        );
        assert_eq!(
            lint("edge-agent/src/x.rs", "use pipeline::backend::ort::Backend;\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            lint("pipeline/src/backend/ort.rs", "use ort::Session;\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            lint("xtask/src/x.rs", "use crate::report::say;\n// ort::\n"),
            Vec::<String>::new()
        );
        assert!(
            lint("a/src/x.rs", "#[cfg(test)]\nmod tests {\n    #[ignore]\n")[0].starts_with("a/src/x.rs:3")
        );
    }
}
