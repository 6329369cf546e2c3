//! CRDs as plain YAML for `kubectl apply`, and as templates of the chart.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Generated;

const HEADER: &str = "# Generated from crds/ by `xtask codegen`: edit the Rust types instead.\n";

/// Both files of one CRD.
pub(crate) fn of(crd: &Value) -> Result<Vec<Generated>> {
    let name = crd["metadata"]["name"].as_str().context("a CRD without a name")?;
    let plural = crd["spec"]["names"]["plural"]
        .as_str()
        .context("a CRD without a plural")?;
    Ok(vec![
        Generated {
            path: format!("crds/{plural}.yaml"),
            text: format!("{HEADER}{}", yaml(crd)?),
        },
        Generated {
            path: format!("charts/haizen/templates/crds/{plural}.yaml"),
            text: template(name, crd)?,
        },
    ])
}

/// As a template, and not in the chart's `crds/` folder, which `helm upgrade` never looks at again.
fn template(name: &str, crd: &Value) -> Result<String> {
    let mut crd = crd.clone();
    crd["metadata"]["annotations"]["helm.sh/resource-policy"] = json!("keep");
    let body = escaped(&yaml(&crd)?);
    let condition = format!(r#"eq (include "haizen.ownsCrd" (dict "root" . "name" "{name}")) "yes""#);
    Ok(format!(
        "{HEADER}{{{{- if {condition} }}}}\n{body}{{{{- end }}}}\n"
    ))
}

/// Braces that Helm would take for its own.
fn escaped(text: &str) -> String {
    text.replace("{{", r#"{{ "{{" }}"#)
}

fn yaml(value: &Value) -> Result<String> {
    let text = serde_saphyr::to_string(value).context("writing a CRD as YAML")?;
    Ok(if text.ends_with('\n') {
        text
    } else {
        format!("{text}\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_keeps_crds_and_the_text_is_whole() {
        let crd = json!({"metadata": {"name": "things.haizen.dev"}, "spec": {"names": {"plural": "things"},
            "description": "a {{template}}: with - signs # and\nlines"}});
        let [plain, chart] = &of(&crd).unwrap()[..] else {
            panic!("two files")
        };
        let read: Value = serde_saphyr::from_str(&plain.text).unwrap();
        assert_eq!(read, crd, "reads back as it was written");
        assert!(
            chart.text.contains("helm.sh/resource-policy: keep"),
            "{}",
            chart.text
        );
        assert!(chart.text.contains(r#"{{ "{{" }}template}}"#), "{}", chart.text);
    }
}
