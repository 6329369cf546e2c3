//! What every Rust file keeps: its size, its name, and what it doesn't do.

use crate::workspace::Source;

/// Lines before a file's tests. Past it a file has two subjects.
const MOST_LINES: usize = 600;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "shared"];

/// Crates that may be named only below some folders, and why.
const CRATES: &[(&str, &[&str], &str)] = &[
    ("ort::", &["pipeline/src/backend"], "only the backend names ONNX Runtime"),
    ("tch::", &["trainer/"], "only the trainer names libtorch"),
    ("sqlx::", &["operator/", "e2e/"], "SQL lives in the operator"),
    ("kube::runtime", &["operator/", "e2e/"], "the custom resources' types don't need the runtime"),
    ("kube::Client", &["operator/", "e2e/"], "the custom resources' types don't need a client"),
];

/// Calls that may stand only below some folders, and why.
const CALLS: &[(&str, &[&str], &str)] = &[
    ("rand::rng()", SHELLS, "chance is an argument"),
    ("Timestamp::now()", SHELLS, "time is an argument"),
    ("SystemTime::now()", SHELLS, "time is an argument"),
];

const SHELLS: &[&str] = &["operator/", "edge-agent/", "trainer/", "e2e/", "pipeline/src/clock.rs"];

/// One line for each broken rule.
pub(crate) fn broken(sources: &[Source]) -> Vec<String> {
    // This file has to name what it looks for.
    sources.iter().filter(|s| s.path != "xtask/src/rules/sources.rs").flat_map(findings).collect()
}

fn findings(source: &Source) -> Vec<String> {
    let Source { path, text } = source;
    let mut findings = Vec::new();
    let lines = production(text).count();
    if lines > MOST_LINES {
        findings.push(format!("{path}: {lines} lines without its tests, {MOST_LINES} are the limit: split it by subject"));
    }
    if let Some(name) = path.split(['/', '.']).find(|part| EMPTY_NAMES.contains(part)) {
        findings.push(format!("{path}: `{name}` says nothing; name it after what it owns"));
    }
    for (number, line) in code(text.lines()) {
        if line.contains("#[ignore") {
            findings.push(format!("{path}:{number}: an ignored test proves nothing; make it run or delete it"));
        }
    }
    for (number, line) in code(production(text)) {
        let outside = |places: &[&str]| !places.iter().any(|place| path.starts_with(place));
        let crates = CRATES.iter().filter(|(root, places, _)| outside(places) && names_crate(line, root));
        let calls = CALLS.iter().filter(|(call, places, _)| outside(places) && line.contains(call));
        for (text, _, why) in crates.chain(calls) {
            findings.push(format!("{path}:{number}: `{text}`: {why}"));
        }
    }
    findings
}

/// The lines before the file's test module.
fn production(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let tests = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod "));
        (!tests).then_some(line)
    })
}

fn code<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (usize, &'a str)> {
    (1..).zip(lines).filter(|(_, line)| !line.trim_start().starts_with("//"))
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
        broken(&[Source { path: path.to_owned(), text: text.to_owned() }])
    }

    #[test]
    fn long_files_count_without_their_tests() {
        let body = "fn f() {}\n".repeat(MOST_LINES);
        assert_eq!(lint("a/src/x.rs", &format!("{body}#[cfg(test)]\nmod tests {{\n{body}}}\n")), Vec::<String>::new());
        assert!(lint("a/src/x.rs", &format!("{body}\n"))[0].contains("601 lines"));
    }

    #[test]
    fn names_and_places_are_checked() {
        assert!(lint("a/src/utils.rs", "")[0].contains("`utils`"));
        assert!(lint("a/src/common/x.rs", "")[0].contains("`common`"));
        assert!(lint("operator/src/x.rs", "use ort::Session;\n")[0].starts_with("operator/src/x.rs:1: `ort::`"));
        assert!(lint("search/src/x.rs", "let t = jiff::Timestamp::now();\n")[0].contains("time is an argument"));
        assert_eq!(lint("edge-agent/src/x.rs", "use pipeline::backend::ort::Backend;\n"), Vec::<String>::new());
        assert_eq!(lint("pipeline/src/backend/ort.rs", "use ort::Session;\n"), Vec::<String>::new());
        assert_eq!(lint("xtask/src/x.rs", "use crate::report::say;\n// ort::\n"), Vec::<String>::new());
        assert!(lint("a/src/x.rs", "#[cfg(test)]\nmod tests {\n    #[ignore]\n")[0].starts_with("a/src/x.rs:3"));
    }
}
