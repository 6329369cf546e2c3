//! `optionValues`: options of a node that come from those of its graph.

use serde_json::{Map, Value};

use crate::options::OptionMap;
use crate::spec::NodeSpec;
use crate::validate::Problem;

/// Puts the graph's values into the node's options and forgets where they came from.
pub(super) fn apply(node: &mut NodeSpec, of_graph: &OptionMap) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (option, path) in std::mem::take(&mut node.option_values) {
        let Some(path) = path.strip_prefix("options/").filter(|path| !path.is_empty()) else {
            problems.push(Problem::OptionValue {
                option,
                problem: format!("`{path}` is no path to an option of the graph; write options/name"),
            });
            continue;
        };
        let Some(value) = find(of_graph, path).cloned() else {
            continue;
        };
        if !put(&mut node.options, &option, value) {
            let problem = "a part of the path is no object".to_owned();
            problems.push(Problem::OptionValue { option, problem });
        }
    }
    problems
}

fn find<'a>(options: &'a OptionMap, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('/');
    let first = options.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// False where something on the way is no object.
fn put(options: &mut OptionMap, path: &str, value: Value) -> bool {
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or_default();
    let mut place = options.entry(first.to_owned()).or_insert(Value::Null);
    for part in parts {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else {
            return false;
        };
        place = map.entry(part).or_insert(Value::Null);
    }
    *place = value;
    true
}
