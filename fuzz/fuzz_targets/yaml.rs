//! Any text as a graph: read, validated, drawn and written again, and never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeline::Registry;
use pipeline::load::{Form, load_as};

fuzz_target!(|text: &str| {
    if let Ok(graph) = load_as(text, Form::Yaml) {
        let _ = graph.validate(&Registry::standard());
        let _ = graph.draw();
        let written = Form::Yaml.write(&graph.graph).unwrap();
        assert!(load_as(&written, Form::Yaml).is_ok());
    }
});
