//! Takes values out of a tree and remembers what was wrong, so that all mistakes are told at once.

use super::tree::{Field, Message, Name, Value};
use crate::nearest::{listed, suggestion};
use crate::validate::{GraphError, Problem};

#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The node that is being read.
    pub(super) node: Option<String>,
    pub(super) errors: Vec<GraphError>,
}

impl Reading {
    pub(super) fn refuse(&mut self, line: u64, problem: impl Into<String>) {
        self.errors.push(GraphError {
            line: Some(line),
            file: None,
            node: self.node.clone(),
            problem: Problem::Text(problem.into()),
        });
    }

    /// Reports a field that is none of the known ones.
    pub(super) fn unknown(&mut self, field: &Field, of: &str, known: &[&str]) {
        let name = field.name.text();
        let hint = suggestion(name, known.iter().copied()).map_or_else(
            || format!("it has {}", listed(known.iter().copied())),
            |near| format!("did you mean {near}?"),
        );
        self.refuse(field.line, format!("{of} has no field `{name}`; {hint}"));
    }

    /// Reports fields that may stand once and stand twice.
    pub(super) fn once(&mut self, message: &Message, singular: &[&str]) {
        for (index, field) in message.fields.iter().enumerate() {
            let earlier = message.fields.iter().take(index);
            if singular.contains(&field.name.text())
                && earlier.clone().any(|before| before.name == field.name)
            {
                self.refuse(field.line, format!("`{}` is given twice", field.name.text()));
            }
        }
    }

    pub(super) fn text(&mut self, field: &Field) -> String {
        match &field.value {
            Value::Text(text) => text.clone(),
            other => {
                self.wrong(field, "a quoted text", other);
                String::new()
            }
        }
    }

    pub(super) fn texts(&mut self, field: &Field) -> Vec<String> {
        let mut texts = Vec::new();
        for value in field.value.each() {
            match value {
                Value::Text(text) => texts.push(text.clone()),
                other => self.wrong(field, "a quoted text", other),
            }
        }
        texts
    }

    pub(super) fn integer(&mut self, field: &Field) -> Option<i64> {
        let value = match &field.value {
            Value::Integer(value) => i64::try_from(*value).ok(),
            _ => None,
        };
        if value.is_none() {
            self.wrong(field, "a whole number", &field.value);
        }
        value
    }

    /// A number that is no less than 0.
    pub(super) fn count(&mut self, field: &Field) -> Option<u32> {
        let value = self.integer(field)?;
        let count = u32::try_from(value).ok();
        if count.is_none() {
            self.refuse(
                field.line,
                format!("`{}` is {value}, which isn't possible", field.name.text()),
            );
        }
        count
    }

    pub(super) fn flag(&mut self, field: &Field) -> bool {
        match &field.value {
            Value::Word(word) if matches!(word.as_str(), "true" | "True" | "t") => true,
            Value::Word(word) if matches!(word.as_str(), "false" | "False" | "f") => false,
            Value::Integer(value @ (0 | 1)) => *value == 1,
            other => {
                self.wrong(field, "true or false", other);
                false
            }
        }
    }

    pub(super) fn messages<'a>(&mut self, field: &'a Field) -> Vec<&'a Message> {
        let mut messages = Vec::new();
        for value in field.value.each() {
            match value {
                Value::Message(message) => messages.push(message),
                other => self.wrong(field, "a message in braces", other),
            }
        }
        messages
    }

    /// The messages of types that a container of extensions or an Any holds, by type without package.
    pub(super) fn typed<'a>(&mut self, field: &'a Field) -> Vec<(u64, &'a str, &'a Message)> {
        let mut typed = Vec::new();
        for message in self.messages(field) {
            for inner in &message.fields {
                match (&inner.name, &inner.value) {
                    (Name::Bracketed(name), Value::Message(content)) => {
                        typed.push((inner.line, type_name(name), content));
                    }
                    (Name::Bracketed(_), other) => self.wrong(inner, "a message in braces", other),
                    // Says how options of subgraphs are merged; ours always are.
                    (Name::Plain(name), _) if name == "merge_fields" => {}
                    (Name::Plain(name), _) => self.refuse(
                        inner.line,
                        format!(
                            "`{}` holds messages by type, as `[mediapipe.XOptions.ext] {{ … }}` or \
                             `[type.googleapis.com/mediapipe.XOptions] {{ … }}`, not `{name}`",
                            field.name.text()
                        ),
                    ),
                }
            }
        }
        typed
    }

    pub(super) fn wrong(&mut self, field: &Field, wanted: &str, found: &Value) {
        let (name, kind) = (field.name.text(), found.kind());
        self.refuse(field.line, format!("`{name}` must be {wanted}, not {kind}"));
    }
}

/// `type.googleapis.com/mediapipe.XOptions` and `mediapipe.XOptions.ext` both name `mediapipe.XOptions`.
fn type_name(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(".ext").unwrap_or(name)
}
