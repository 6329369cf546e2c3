//! An OpenAPI schema flattened to the fields a user writes.

use serde_json::Value;

/// One line of a reference.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// `spec.targets[].name`
    pub path: String,
    /// With its limits: `integer 1–64`.
    pub kind: String,
    pub default: Option<String>,
    pub required: bool,
    pub description: String,
}

/// The fields below a schema, depth first, in the order of their names.
pub(crate) fn fields(path: &str, schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    collect(path, schema, &mut found);
    found
}

/// The CEL rules of a schema and of everything below it: where, and what they say.
pub(crate) fn rules(path: &str, schema: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect_rules(path, schema, &mut found);
    found
}

fn collect(path: &str, schema: &Value, found: &mut Vec<Field>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, child) in properties {
        let path = join(path, name);
        found.push(Field {
            kind: kind(child),
            default: child.get("default").filter(|_| !told_below(child)).map(compact),
            required: required.contains(&name.as_str()),
            description: text(child),
            path: path.clone(),
        });
        if foreign(child) {
            continue;
        }
        let (inner, inner_path) = inside(child, path);
        collect(&inner_path, inner, found);
    }
}

fn collect_rules(path: &str, schema: &Value, found: &mut Vec<(String, String)>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let said = rule["message"]
            .as_str()
            .or(rule["rule"].as_str())
            .unwrap_or_default();
        found.push((path.to_owned(), said.to_owned()));
    }
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        let path = join(path, name);
        let (inner, inner_path) = inside(child, path.clone());
        if !std::ptr::eq(inner, child) {
            collect_rules(&path, child, found);
        }
        collect_rules(&inner_path, inner, found);
    }
}

/// The schema of a list's items or a map's values, and how a path names it.
fn inside(schema: &Value, path: String) -> (&Value, String) {
    if schema["items"].is_object() {
        inside(&schema["items"], format!("{path}[]"))
    } else if schema["additionalProperties"].is_object() {
        inside(&schema["additionalProperties"], format!("{path}.*"))
    } else {
        (schema, path)
    }
}

/// An object's default is the defaults of its fields, which have lines of their own; a choice's default is not.
fn told_below(schema: &Value) -> bool {
    schema["properties"].is_object() && !schema["oneOf"].is_array()
}

/// Kubernetes' own types have a reference of their own.
fn foreign(schema: &Value) -> bool {
    let (inner, _) = inside(schema, String::new());
    let has = |name: &str| inner["properties"].get(name).is_some();
    (has("limits") && has("requests")) || (has("lastTransitionTime") && has("reason"))
}

fn kind(schema: &Value) -> String {
    let base = if schema["items"].is_object() {
        format!("list of {}", kind(&schema["items"]))
    } else if schema["additionalProperties"].is_object() {
        format!("map to {}", kind(&schema["additionalProperties"]))
    } else if schema["x-kubernetes-int-or-string"] == true {
        "integer or string".to_owned()
    } else if let Some(values) = schema["enum"].as_array() {
        values.iter().map(compact).collect::<Vec<_>>().join(" \\| ")
    } else {
        schema["type"].as_str().unwrap_or("any").to_owned()
    };
    let key = if schema["oneOf"].is_array() {
        ", one key"
    } else {
        ""
    };
    format!("{base}{key}{}", limits(schema))
}

fn limits(schema: &Value) -> String {
    [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ]
    .iter()
    .filter_map(|(low, high, unit)| match (schema.get(low), schema.get(high)) {
        (Some(low), Some(high)) => Some(format!(", {}–{}{unit}", compact(low), compact(high))),
        (Some(low), None) if compact(low) == "0" => None,
        (Some(low), None) => Some(format!(", ≥ {}{unit}", compact(low))),
        (None, Some(high)) => Some(format!(", ≤ {}{unit}", compact(high))),
        (None, None) => None,
    })
    .collect()
}

fn text(schema: &Value) -> String {
    let (inner, _) = inside(schema, String::new());
    let own = schema["description"]
        .as_str()
        .or(inner["description"].as_str())
        .unwrap_or_default();
    own.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn compact(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number
            .as_f64()
            .filter(|f| f.fract() == 0.0)
            .map_or_else(|| number.to_string(), |f| format!("{f:.0}")),
        other => other.to_string(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_nested_schema_becomes_paths() {
        let schema = json!({
            "required": ["targets"],
            "properties": {
                "targets": {"type": "array", "minItems": 1, "maxItems": 16, "description": "Who.", "items": {
                    "type": "object",
                    "properties": {"share": {"type": "number", "minimum": 0.0, "maximum": 1.0, "default": 0.5}},
                    "x-kubernetes-validations": [{"rule": "self.share > 0", "message": "must be more than nothing"}],
                }},
            },
        });
        let found: Vec<String> = fields("spec", &schema)
            .iter()
            .map(|f| format!("{} ({}) {} {:?}", f.path, f.kind, f.required, f.default))
            .collect();
        assert_eq!(
            found,
            [
                "spec.targets (list of object, 1–16 items) true None",
                r#"spec.targets[].share (number, 0–1) false Some("0.5")"#,
            ]
        );
        assert_eq!(
            rules("spec", &schema),
            [(
                "spec.targets[]".to_owned(),
                "must be more than nothing".to_owned()
            )]
        );
    }
}
