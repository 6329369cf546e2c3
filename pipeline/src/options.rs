//! A node's options: a map in the graph, a struct in the node, and errors that name the option.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::nearest::{listed, suggestion};
use crate::node::Calculator;

pub type OptionMap = BTreeMap<String, Value>;

/// What is wrong with one option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error("option {option} is unknown{hint}")]
    Unknown { option: String, hint: String },
    #[error("option {option}: {problem}")]
    Value { option: String, problem: String },
    #[error("options: {problem}")]
    Whole { problem: String },
}

impl OptionError {
    pub fn value(option: &str, problem: impl Into<String>) -> Self {
        Self::Value {
            option: option.to_owned(),
            problem: problem.into(),
        }
    }
}

/// Reads and checks the options of a calculator.
pub fn read<C: Calculator>(map: &OptionMap) -> Result<C::Options, Vec<OptionError>> {
    let options = of_kind(C::NAME, map)?;
    C::check(&options).map_err(|error| vec![error])?;
    Ok(options)
}

/// Reads the options of something that errors call by this name.
pub(crate) fn of_kind<O: DeserializeOwned + JsonSchema>(
    name: &str,
    map: &OptionMap,
) -> Result<O, Vec<OptionError>> {
    let schema = schemars::schema_for!(O);
    let unknown = unknown_options(name, &schema, map);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let map = &with_lists(&schema, map);
    parse::<O>(map.clone()).map_err(|error| culprits::<O>(map, &error))
}

/// One value stands for a list of one: protobuf's text form writes lists as fields that repeat, and one of them looks
/// like a single value.
fn with_lists(schema: &Schema, map: &OptionMap) -> OptionMap {
    let is_list = |option: &str| {
        let kind = schema
            .get("properties")
            .and_then(|all| all.get(option)?.get("type"));
        match kind {
            Some(Value::Array(kinds)) => kinds.iter().all(|kind| kind == "array" || kind == "null"),
            Some(kind) => kind == "array",
            None => false,
        }
    };
    let wrapped = map.iter().map(|(option, value)| {
        let alone = !value.is_array() && !value.is_null() && is_list(option);
        let value = value.clone();
        let value = if alone { Value::Array(vec![value]) } else { value };
        (option.clone(), value)
    });
    wrapped.collect()
}

fn parse<T: DeserializeOwned>(map: OptionMap) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::Object(map.into_iter().collect()))
}

fn unknown_options(name: &str, schema: &Schema, map: &OptionMap) -> Vec<OptionError> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let known: Vec<&str> = properties
        .into_iter()
        .flat_map(|map| map.keys())
        .map(String::as_str)
        .collect();
    let unknown = map.keys().filter(|key| !known.contains(&key.as_str()));
    unknown
        .map(|option| {
            let hint = match suggestion(option, known.iter().copied()) {
                Some(near) => format!("; did you mean {near}?"),
                None if known.is_empty() => format!("; {name} has no options"),
                None => format!("; {name} has {}", listed(known.iter().copied())),
            };
            OptionError::Unknown {
                option: option.clone(),
                hint,
            }
        })
        .collect()
}

/// Finds the options that don't parse by trying each alone; serde itself doesn't say which it was.
fn culprits<O: DeserializeOwned>(map: &OptionMap, error: &serde_json::Error) -> Vec<OptionError> {
    let alone = map.iter().filter_map(|(option, value)| {
        let single = OptionMap::from([(option.clone(), value.clone())]);
        let problem = parse::<O>(single).err()?.to_string();
        (!problem.starts_with("missing field")).then(|| OptionError::value(option, problem))
    });
    let mut found: Vec<OptionError> = alone.collect();
    if found.is_empty() {
        found.push(OptionError::Whole {
            problem: error.to_string(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Registry;
    use crate::spec::arbitrary;

    proptest! {
        /// Any options for any calculator: a contract and a node, or mistakes that name the option.
        #[test]
        fn no_options_panic(calculator in 0_usize..100, picks in prop::collection::vec((0_usize..100, arbitrary::json()), 0..4)) {
            let registry = Registry::standard();
            let kinds: Vec<_> = registry.iter().collect();
            let kind = kinds[calculator % kinds.len()];
            let schema = kind.options_schema();
            let known: Vec<String> = schema
                .get("properties")
                .and_then(serde_json::Value::as_object)
                .map(|properties| properties.keys().cloned().collect())
                .unwrap_or_default();
            let options: super::OptionMap = picks
                .into_iter()
                .map(|(pick, value)| (known.get(pick % (known.len() + 1)).cloned().unwrap_or("other".to_owned()), value))
                .collect();
            match kind.contract(&options) {
                Ok(_) => drop(kind.build(&options)),
                Err(mistakes) => prop_assert!(!mistakes.is_empty()),
            }
        }
    }
}
