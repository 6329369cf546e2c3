//! The reference of one custom resource, from its schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::schema::{Field, fields, rules};
use super::{Generated, cell};

pub(crate) fn of(crd: &Value) -> Generated {
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
    let version = &crd["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut page = String::new();
    let _ = write!(
        page,
        "# {kind}\n\n<!-- Generated from crds/ by `xtask codegen`. -->\n\n{}\n\n{}\n",
        sentence(crd, schema),
        header(crd, version)
    );
    let _ = write!(
        page,
        "\n## What you write\n\n{}",
        table(&fields("spec", &schema["properties"]["spec"]))
    );
    let said = rules("", schema);
    if !said.is_empty() {
        page.push_str("\nRefused at once by the API server:\n\n");
        for (path, message) in said {
            let place = if path.is_empty() {
                String::new()
            } else {
                format!("`{path}`: ")
            };
            let _ = writeln!(page, "- {place}{message}");
        }
    }
    let status = status_table(&fields("status", &schema["properties"]["status"]));
    let _ = write!(page, "\n## What the operator answers\n\n{status}");
    let _ = write!(page, "\n## `kubectl get`\n\n{}", columns(version));
    Generated {
        path: format!("docs/reference/{}.md", kind.to_lowercase()),
        text: page,
    }
}

fn sentence(crd: &Value, schema: &Value) -> String {
    let singular = crd["spec"]["names"]["singular"].as_str().unwrap_or_default();
    let text = schema["properties"]["spec"]["description"]
        .as_str()
        .unwrap_or_default();
    format!("{text} `kubectl explain {singular}.spec` says the same.")
}

fn header(crd: &Value, version: &Value) -> String {
    let names = &crd["spec"]["names"];
    let group = crd["spec"]["group"].as_str().unwrap_or_default();
    let version = version["name"].as_str().unwrap_or_default();
    let short: Vec<&str> = names["shortNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    format!(
        "`apiVersion: {group}/{version}`, short name `{}`, namespaced.",
        short.join("`, `")
    )
}

fn table(fields: &[Field]) -> String {
    let mut table = "| field | type | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for field in fields {
        let default = match (&field.default, field.required) {
            (Some(default), _) => format!("`{}`", cell(default)),
            (None, true) => "**required**".to_owned(),
            (None, false) => String::new(),
        };
        let _ = writeln!(
            table,
            "| `{}` | {} | {default} | {} |",
            field.path,
            field.kind,
            cell(&field.description)
        );
    }
    table
}

fn status_table(fields: &[Field]) -> String {
    let mut table = "| field | type | meaning |\n| --- | --- | --- |\n".to_owned();
    for field in fields {
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            field.path,
            field.kind,
            cell(&field.description)
        );
    }
    table
}

fn columns(version: &Value) -> String {
    let mut table = "| column | shows | |\n| --- | --- | --- |\n".to_owned();
    for column in version["additionalPrinterColumns"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = |key: &str| column[key].as_str().unwrap_or_default();
        let wide = if column["priority"].as_i64().unwrap_or_default() > 0 {
            "with `-o wide`"
        } else {
            ""
        };
        let _ = writeln!(
            table,
            "| {} | `{}` | {wide} |",
            text("name").to_uppercase(),
            cell(text("jsonPath"))
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_a_user_writes_is_explained() {
        for crd in crds::all() {
            let crd = serde_json::to_value(&crd).unwrap();
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            for part in ["spec", "status"] {
                for field in fields(part, &schema["properties"][part]) {
                    assert!(
                        !field.description.is_empty(),
                        "{}: {} has no doc comment",
                        crd["spec"]["names"]["kind"],
                        field.path
                    );
                }
            }
        }
    }
}
