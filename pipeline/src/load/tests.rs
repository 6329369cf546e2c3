//! Text in; a graph, or mistakes with their lines, out.

use proptest::prelude::*;

use super::*;
use crate::registry::Registry;

const BARE: &str = "nodes:\n- {name: camera, calculator: Generator, outputs: [frames]}\n- name: end\n  \
                    calculator: Discard\n  inputs: [frames]\n  maxAge: 20ms\n";

#[test]
fn reads_a_bare_graph_and_a_resource_alike() {
    let bare = load(BARE).unwrap();
    let indented = BARE.replace('\n', "\n    ");
    let resource = format!(
        "apiVersion: haizen.dev/v1alpha1\nkind: EdgePipeline\nmetadata: {{name: x}}\nspec:\n  models: {{dish: \
         {{nasJob: {{name: y}}}}}}\n  graph:\n    {indented}\n"
    );
    let resource = load(&resource).unwrap();
    assert_eq!(bare.graph, resource.graph);
    assert_eq!(resource.models, Some(vec!["dish".to_owned()]));
    assert_eq!((bare.lines.nodes[1], resource.lines.nodes[1]), (3, 9));
}

#[test]
fn mistakes_carry_the_line() {
    let table = [
        (
            BARE.replace("maxAge: 20ms", "maxAge: soon"),
            "line 3: node end: \"soon\" is not a duration",
        ),
        (
            BARE.replace("maxAge", "maxage"),
            "line 3: unknown field `maxage`, expected one of name",
        ),
        ("nodes: [".to_owned(), "line 1: "),
        ("kind: NasJob\nspec: {}\n".to_owned(), "this is a NasJob"),
        (String::new(), ""),
    ];
    for (text, start) in table {
        let error = load(&text).unwrap_err().remove(0).to_string();
        assert!(error.starts_with(start), "{text}: {error}");
    }
}

#[test]
fn validation_errors_carry_the_line_of_their_node() {
    let errors = load(&BARE.replace("[frames]\n  maxAge", "[frame]\n  maxAge")).unwrap();
    let errors = errors.validate(&Registry::standard()).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "line 3: node end: input 0 reads stream frame, which nothing writes; did you mean frames?"
    );
}

const TEXT: &str = "# proto-file: mediapipe/framework/calculator.proto
input_stream: 'in'
node { calculator: 'PassThroughCalculator' input_stream: 'in' output_stream: 'out' }
node {
  calculator: 'PassThroughCalculator' input_stream: 'outt' output_stream: 'end'
}
";

#[test]
fn both_forms_are_told_apart_by_name_or_content() {
    for (text, form) in [
        (BARE, Form::Yaml),
        (TEXT, Form::Pbtxt),
        ("executor { name: 'x' }", Form::Pbtxt),
        ("type: \"X\"\nnode: {", Form::Pbtxt),
        ("type: X\nnodes: []", Form::Yaml),
        ("{\"nodes\": []}", Form::Yaml),
        ("", Form::Yaml),
    ] {
        assert_eq!(Form::of_text(text), form, "{text}");
    }
    for (name, form) in [
        ("a/b.PBTXT", Some(Form::Pbtxt)),
        ("graph.yml", Some(Form::Yaml)),
        ("graph", None),
        ("-", None),
    ] {
        assert_eq!(Form::of_name(name), form, "{name}");
    }
}

#[test]
fn misspelt_calculators_are_found_with_the_suffix_too() {
    let text = "node { calculator: 'PassThroughCalculatr' }";
    let errors = load(text).unwrap().validate(&Registry::standard()).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "line 1: node PassThroughCalculatr: calculator PassThroughCalculatr is unknown; did you mean PassThrough?"
    );
}

#[test]
fn validation_errors_of_text_graphs_carry_the_line_of_their_node() {
    let errors = load(TEXT).unwrap().validate(&Registry::standard()).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "line 4: node PassThroughCalculator_2: input 0 reads stream outt, which nothing writes; did you mean out?"
    );
}

proptest! {
    #[test]
    fn graphs_come_back_from_either_form(spec in crate::spec::arbitrary::graph()) {
        for form in [Form::Yaml, Form::Pbtxt] {
            let text = form.write(&spec).unwrap();
            let back = load_as(&text, form).map_err(|errors| TestCaseError::fail(format!("{errors:?}\n{text}")))?;
            prop_assert_eq!(&back.graph, &spec, "{}", text);
        }
    }
}
