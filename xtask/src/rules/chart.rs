//! What the chart keeps: no right to everything, and a schema that knows exactly the values there are.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::Workspace;

const RIGHTS: &str = "charts/haizen/templates/operator/rbac.yaml";
const VALUES: &str = "charts/haizen/values.yaml";
const SCHEMA: &str = "charts/haizen/values.schema.json";

/// One line for each broken rule.
pub(crate) fn broken(workspace: &Workspace) -> Result<Vec<String>> {
    let read = |path: &str| {
        workspace
            .read(path)?
            .with_context(|| format!("{path} is missing"))
    };
    let values: Value =
        serde_saphyr::from_str(&read(VALUES)?).with_context(|| format!("reading {VALUES}"))?;
    let schema: Value = serde_json::from_str(&read(SCHEMA)?).with_context(|| format!("reading {SCHEMA}"))?;
    let mut findings = wildcards(&read(RIGHTS)?);
    compare("", &values, &schema, &schema, &mut findings);
    Ok(findings)
}

fn wildcards(rights: &str) -> Vec<String> {
    (1..)
        .zip(rights.lines())
        .filter(|(_, line)| !line.trim_start().starts_with('#') && line.contains('*'))
        .map(|(number, _)| format!("{RIGHTS}:{number}: name what the operator may do instead of `*`"))
        .collect()
}

/// Reports values that the schema doesn't know, and properties that have no value to change.
fn compare(path: &str, values: &Value, schema: &Value, root: &Value, findings: &mut Vec<String>) {
    let schema = resolved(schema, root);
    let (Some(values), Some(known)) = (values.as_object(), schema["properties"].as_object()) else {
        return;
    };
    if schema["additionalProperties"] != Value::Bool(false) {
        findings.push(format!(
            "{SCHEMA}: {path} lets a misspelt value pass: add \"additionalProperties\": false"
        ));
    }
    for (name, value) in values {
        let path = format!("{path}.{name}");
        match known.get(name) {
            Some(schema) => compare(&path, value, schema, root, findings),
            None => findings.push(format!("{SCHEMA}: {path} of values.yaml is missing")),
        }
    }
    // `global` is Helm's.
    for name in known
        .keys()
        .filter(|name| !values.contains_key(*name) && *name != "global")
    {
        findings.push(format!("{VALUES}: {path}.{name} of the schema has no default"));
    }
}

fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let pointer = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    pointer
        .and_then(|pointer| root.pointer(pointer))
        .unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_and_schema_must_agree() {
        let schema = json!({
            "additionalProperties": false,
            "definitions": {"port": {"additionalProperties": false, "properties": {"number": {}, "name": {}}}},
            "properties": {"global": {}, "port": {"$ref": "#/definitions/port"}},
        });
        let mut findings = Vec::new();
        compare(
            "",
            &json!({"port": {"number": 1, "kind": "x"}}),
            &schema,
            &schema,
            &mut findings,
        );
        assert_eq!(
            findings,
            [
                "charts/haizen/values.schema.json: .port.kind of values.yaml is missing",
                "charts/haizen/values.yaml: .port.name of the schema has no default",
            ]
        );
    }

    #[test]
    fn a_right_to_everything_is_found() {
        assert_eq!(wildcards("# all of *\nverbs: [get]\n"), Vec::<String>::new());
        assert_eq!(wildcards("verbs: [\"*\"]\n").len(), 1);
    }
}
