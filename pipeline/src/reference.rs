//! The reference of all calculators, generated from their contracts and options.

use std::fmt::Write;

use schemars::Schema;
use serde::Serialize;
use serde_json::Value;

use crate::contract::{Arity, Port};
use crate::node::NodeType;
use crate::registry::Registry;
use crate::service::ServiceRequest;

/// What a user needs to know of one calculator.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReference {
    pub name: &'static str,
    pub doc: &'static str,
    /// Its calls may overlap: `parallel` has an effect.
    pub stateless: bool,
    pub inputs: Vec<PortReference>,
    pub outputs: Vec<PortReference>,
    pub side_packets: Vec<PortReference>,
    pub output_side_packets: Vec<PortReference>,
    pub services: Vec<ServiceReference>,
    pub options: Vec<OptionReference>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortReference {
    /// `-` for streams written without a tag.
    pub tag: &'static str,
    pub carries: String,
    pub count: &'static str,
    pub doc: &'static str,
}

/// An object that the program lends.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReference {
    pub name: &'static str,
    pub carries: &'static str,
    pub count: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OptionReference {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub default: Value,
    pub doc: String,
}

/// Said of nodes whose calls may overlap.
pub const PARALLEL: &str = "`parallel: n` has up to n at once";

/// All calculators, by name.
pub fn reference(registry: &Registry) -> Vec<NodeReference> {
    registry.iter().map(node_reference).collect()
}

/// All status handlers, by name, as calculators that take side packets only.
pub fn handler_reference(registry: &Registry) -> Vec<NodeReference> {
    let handlers = registry.handlers().map(|handler| NodeReference {
        name: handler.name,
        doc: handler.doc,
        stateless: false,
        inputs: Vec::new(),
        outputs: Vec::new(),
        side_packets: handler.default_side_inputs().iter().map(port_reference).collect(),
        output_side_packets: Vec::new(),
        services: Vec::new(),
        options: options(&handler.options_schema()),
    });
    handlers.collect()
}

/// The reference as text for a terminal.
pub fn render(nodes: &[NodeReference]) -> String {
    let mut text = String::new();
    for node in nodes {
        // Writing to a string can't fail.
        let _ = write!(text, "{}\n  {}\n", node.name, node.doc);
        for (title, ports) in [
            ("inputs", &node.inputs),
            ("outputs", &node.outputs),
            ("sidePackets", &node.side_packets),
            ("makes", &node.output_side_packets),
        ] {
            for port in ports {
                let _ = writeln!(
                    text,
                    "  {title:<12} {:<8} {:<22} {:<10} {}",
                    port.tag, port.carries, port.count, port.doc
                );
            }
        }
        if node.stateless {
            let _ = writeln!(text, "  calls may overlap: {PARALLEL}");
        }
        for service in &node.services {
            let _ = writeln!(
                text,
                "  {:<12} {:<8} {:<22} {}",
                "service", service.name, service.carries, service.count
            );
        }
        for option in &node.options {
            let _ = writeln!(
                text,
                "  options      {:<8} {:<22} = {:<8} {}",
                option.name, option.kind, option.default, option.doc
            );
        }
        text.push('\n');
    }
    text
}

fn node_reference(node: &NodeType) -> NodeReference {
    let contract = node.default_contract();
    NodeReference {
        name: node.name,
        stateless: contract.stateless,
        doc: node.doc,
        inputs: contract.inputs.iter().map(port_reference).collect(),
        outputs: contract.outputs.iter().map(port_reference).collect(),
        side_packets: contract.side_inputs.iter().map(port_reference).collect(),
        output_side_packets: contract.side_outputs.iter().map(port_reference).collect(),
        services: contract.services.iter().map(service_reference).collect(),
        options: options(&node.options_schema()),
    }
}

fn port_reference(port: &Port) -> PortReference {
    let count = match port.arity {
        Arity::One => "one",
        Arity::Optional => "optional",
        Arity::Many => "1 or more",
        Arity::Any => "0 or more",
    };
    let tag = if port.tag.is_empty() { "-" } else { port.tag };
    PortReference {
        tag,
        carries: port.carries.to_string(),
        count,
        doc: port.doc,
    }
}

fn service_reference(service: &ServiceRequest) -> ServiceReference {
    ServiceReference {
        name: service.name,
        carries: service.carries.name(),
        count: if service.optional { "optional" } else { "one" },
    }
}

fn options(schema: &Schema) -> Vec<OptionReference> {
    let schema = schema.clone().to_value();
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    let option = |(name, property): (&String, &Value)| OptionReference {
        name: name.clone(),
        kind: kind(property, &definitions),
        default: property.get("default").cloned().unwrap_or_default(),
        doc: property
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .replace('\n', " "),
    };
    properties.into_iter().flatten().map(option).collect()
}

/// A schema in a few words.
fn kind(schema: &Value, definitions: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return definitions
            .get(name)
            .map_or(name.to_owned(), |definition| kind(definition, definitions));
    }
    if let Some(Value::Array(choices)) = schema.get("oneOf").or_else(|| schema.get("anyOf")) {
        let kinds: Vec<String> = choices.iter().map(|choice| kind(choice, definitions)).collect();
        return kinds.join(" or ");
    }
    if let Some(value) = schema.get("const") {
        return text(value);
    }
    match schema.get("type") {
        Some(Value::String(kind_name)) if kind_name == "array" => {
            format!(
                "list of {}",
                schema
                    .get("items")
                    .map_or("anything".to_owned(), |items| kind(items, definitions))
            )
        }
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names
            .iter()
            .map(text)
            .filter(|name| name != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "anything".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_calculator_is_explained() {
        let nodes = reference(&Registry::standard());
        assert!(nodes.len() >= 9);
        for node in &nodes {
            assert!(
                !node.doc.is_empty()
                    && node.inputs.len() + node.outputs.len() + node.output_side_packets.len() > 0,
                "{}",
                node.name
            );
        }
        let text = render(&nodes);
        for part in [
            "ImageToTensor",
            "MODEL",
            "gray or rgb",
            "number or list of object",
            "Frame",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
