//! Options back to messages.

use serde_json::{Map, Value as Json};

use super::json::snake_case;
use super::write::{Out, quoted};

/// Messages in one another that are written as such; deeper ones go as JSON.
const DEEPEST: usize = 16;

/// Whether an option comes back as it was.
pub(super) fn can_write(name: &str, value: &Json) -> bool {
    snake_case(name).is_some() && can_write_value(value, DEEPEST)
}

fn can_write_value(value: &Json, deeper: usize) -> bool {
    let Some(deeper) = deeper.checked_sub(1) else {
        return false;
    };
    match value {
        Json::Null => false,
        Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
        Json::Array(values) => values
            .iter()
            .all(|value| !value.is_array() && can_write_value(value, deeper)),
        Json::Object(map) => map
            .iter()
            .all(|(name, value)| snake_case(name).is_some() && can_write_value(value, deeper)),
    }
}

pub(super) fn write_fields(out: &mut Out, map: &Map<String, Json>) {
    for (name, value) in map {
        write_field(out, name, value);
    }
}

pub(super) fn write_field(out: &mut Out, name: &str, value: &Json) {
    let field = snake_case(name).unwrap_or_else(|| name.to_owned());
    match value {
        Json::Object(map) => {
            out.open(&field);
            write_fields(out, map);
            out.close();
        }
        // One value alone would come back as no list.
        Json::Array(values) if values.len() > 1 && values.iter().all(Json::is_object) => {
            for value in values {
                write_field(out, name, value);
            }
        }
        other => out.line(format!("{field}: {}", inline(other))),
    }
}

fn inline(value: &Json) -> String {
    match value {
        Json::String(text) if is_enum_name(text) => text.clone(),
        Json::String(text) => quoted(text),
        Json::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let fields = map.iter().map(|(name, value)| {
                let name = snake_case(name).unwrap_or_else(|| name.clone());
                format!("{name}: {}", inline(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// The values of enumerations are written without quotes, and in capitals by custom.
fn is_enum_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}
