//! The reference of the pipeline's calculators and status handlers, from their contracts and options.

use std::fmt::Write as _;

use pipeline::Registry;
use pipeline::reference::{NodeReference, PARALLEL, PortReference, handler_reference, reference};

use super::{Generated, cell};

const INTRODUCTION: &str = "# Calculators\n\n<!-- Generated from pipeline/src/nodes by `xtask codegen`. -->\n\n\
    What a graph's nodes can run. `edge-agent nodes` prints the same, `edge-agent check GRAPH.yaml` tells what is \
    wrong with a graph. A stream without a tag is written `stream`, one with a tag `TAG:stream`.\n";

const HANDLERS: &str = "\n## Status handlers\n\nWhat a graph's `statusHandlers` can name: they hear of a run before \
    the first node opens, and how it ended.\n";

pub(crate) fn reference_page() -> Generated {
    let nodes = reference(&Registry::standard());
    let mut page = INTRODUCTION.to_owned();
    let links: Vec<String> = nodes
        .iter()
        .map(|n| format!("[{0}](#{1})", n.name, n.name.to_lowercase()))
        .collect();
    let _ = write!(page, "\n{}\n", links.join(" · "));
    for node in &nodes {
        page.push_str(&section(node, "##"));
    }
    page.push_str(HANDLERS);
    for handler in &handler_reference(&Registry::standard()) {
        page.push_str(&section(handler, "###"));
    }
    Generated {
        path: "docs/reference/nodes.md".to_owned(),
        text: page,
    }
}

fn section(node: &NodeReference, level: &str) -> String {
    let mut text = format!("\n{level} {}\n\n{}\n", node.name, node.doc);
    let ports = [
        ("input", &node.inputs),
        ("output", &node.outputs),
        ("side packet", &node.side_packets),
        ("output side packet", &node.output_side_packets),
    ];
    if ports.iter().any(|(_, list)| !list.is_empty()) {
        text.push_str("\n| port | tag | carries | how many | |\n| --- | --- | --- | --- | --- |\n");
    }
    for (side, list) in ports {
        for PortReference {
            tag,
            carries,
            count,
            doc,
        } in list
        {
            let _ = writeln!(
                text,
                "| {side} | {tag} | {} | {count} | {} |",
                cell(carries),
                cell(doc)
            );
        }
    }
    if node.stateless {
        let _ = writeln!(text, "\nCalls may overlap: {PARALLEL}.");
    }
    for service in &node.services {
        let _ = writeln!(
            text,
            "\nService `{}` ({}), {}.",
            service.name,
            cell(service.carries),
            service.count
        );
    }
    if !node.options.is_empty() {
        text.push_str("\n| option | type | default | meaning |\n| --- | --- | --- | --- |\n");
    }
    for option in &node.options {
        let default = if option.default.is_null() {
            String::new()
        } else {
            format!("`{}`", option.default)
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {default} | {} |",
            option.name,
            cell(&option.kind),
            cell(&option.doc)
        );
    }
    text
}
