//! Lists as packets carry them, for the nodes that take them apart and put them together.

use serde_json::Value;

use crate::detection::{Detection, Detections};
use crate::label::to_json;
use crate::node::NodeError;
use crate::packet::{Payload, TypeInfo};

pub(super) fn types() -> Vec<TypeInfo> {
    vec![
        TypeInfo::of::<Value>(),
        TypeInfo::of::<Vec<i64>>(),
        TypeInfo::of::<Detections>(),
    ]
}

/// The items, each as a payload of its plain type.
pub(super) fn items(list: &Payload) -> Result<Vec<Payload>, NodeError> {
    if let Some(numbers) = list.get::<Vec<i64>>() {
        return Ok(numbers.iter().copied().map(Payload::new).collect());
    }
    if let Some(detections) = list.get::<Detections>() {
        return Ok(detections.found.iter().cloned().map(Payload::new).collect());
    }
    match list.get::<Value>() {
        Some(Value::Array(values)) => Ok(values.iter().map(plain).collect()),
        _ => Err(NodeError::Failed(format!("a {} is not a list", list.type_info()))),
    }
}

/// A list of items: detections stay such, everything else becomes JSON.
pub(super) fn of(items: &[Payload]) -> Result<Payload, NodeError> {
    let detections: Option<Vec<Detection>> = items.iter().map(|item| item.get().cloned()).collect();
    if let Some(found) = detections {
        return Ok(Payload::new(Detections { found }));
    }
    let json = |item: &Payload| {
        to_json(item)
            .ok_or_else(|| NodeError::Failed(format!("a {} has no place in a list", item.type_info())))
    };
    let values: Result<Vec<Value>, NodeError> = items.iter().map(json).collect();
    Ok(Payload::new(Value::Array(values?)))
}

fn plain(value: &Value) -> Payload {
    match value {
        Value::Bool(value) => Payload::new(*value),
        Value::String(text) => Payload::new(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Payload::new(number),
            (None, Some(number)) => Payload::new(number),
            (None, None) => Payload::new(value.clone()),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Payload::new(value.clone()),
    }
}
