//! Messages of options as the maps that our nodes read: `max_in_flight: 2` becomes `maxInFlight: 2`.

use serde_json::{Map, Number, Value as Json};

use super::reading::Reading;
use super::tree::{Field, Message, Name, Value};

/// A message as an object. A field that stands several times becomes a list; the wrapper of an extension or of an Any
/// is taken away.
pub(super) fn object(reading: &mut Reading, message: &Message) -> Map<String, Json> {
    let mut map = Map::new();
    for field in &message.fields {
        match (&field.name, &field.value) {
            (Name::Bracketed(_), Value::Message(content)) => {
                for (key, value) in object(reading, content) {
                    add(&mut map, key, value);
                }
            }
            (Name::Bracketed(_), other) => reading.wrong(field, "a message in braces", other),
            (Name::Plain(name), value) => {
                if let Some(value) = json(reading, field, value) {
                    add(&mut map, camel_case(name), value);
                }
            }
        }
    }
    map
}

fn json(reading: &mut Reading, field: &Field, value: &Value) -> Option<Json> {
    Some(match value {
        Value::Message(message) => Json::Object(object(reading, message)),
        Value::List(values) => {
            let values = values.iter().filter_map(|value| json(reading, field, value));
            Json::Array(values.collect())
        }
        Value::Text(text) => Json::String(text.clone()),
        Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
            (Ok(value), _) => value.into(),
            (_, Ok(value)) => value.into(),
            _ => {
                reading.wrong(field, "a number of 64 bits", &Value::Integer(*value));
                return None;
            }
        },
        Value::Float(value) => {
            if let Some(number) = Number::from_f64(*value) {
                Json::Number(number)
            } else {
                reading.wrong(field, "a finite number", &Value::Float(*value));
                return None;
            }
        }
        Value::Word(word) => match word.as_str() {
            "true" | "True" => true.into(),
            "false" | "False" => false.into(),
            other => other.into(),
        },
    })
}

fn add(map: &mut Map<String, Json>, key: String, value: Json) {
    match map.get_mut(&key) {
        None => {
            map.insert(key, value);
        }
        Some(Json::Array(values)) => match value {
            Json::Array(more) => values.extend(more),
            one => values.push(one),
        },
        Some(first) => {
            let mut values = vec![first.take()];
            match value {
                Json::Array(more) => values.extend(more),
                one => values.push(one),
            }
            *first = Json::Array(values);
        }
    }
}

/// `max_in_flight` as `maxInFlight`.
pub(super) fn camel_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut raise = false;
    for c in name.chars() {
        match c {
            '_' => raise = true,
            c if raise => {
                text.push(c.to_ascii_uppercase());
                raise = false;
            }
            c => text.push(c),
        }
    }
    text
}

/// `maxInFlight` as `max_in_flight`; none for names that don't come back from there.
pub(super) fn snake_case(name: &str) -> Option<String> {
    let mut text = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    let word = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (word && camel_case(&text) == name).then_some(text)
}
