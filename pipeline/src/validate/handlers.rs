//! Status handlers: known, with options and ports they take.

use crate::nearest::{listed, suggestion};
use crate::registry::Registry;
use crate::spec::{GraphSpec, StatusHandlerSpec};
use crate::validate::error::{GraphError, Problem, Side};
use crate::validate::plan::PlannedHandler;
use crate::validate::ports::{arrange, check};
use crate::validate::side_entries;

/// Gives those that can be used.
pub(super) fn plan(
    spec: &GraphSpec,
    registry: &Registry,
    errors: &mut Vec<GraphError>,
) -> Vec<PlannedHandler> {
    let mut planned = Vec::new();
    for (index, handler) in spec.status_handlers.iter().enumerate() {
        match planned_handler(handler, registry) {
            Ok(handler) => planned.push(handler),
            Err(problems) => errors.extend(problems.into_iter().map(|problem| {
                GraphError::graph(Problem::StatusHandler {
                    index,
                    handler: handler.handler.clone(),
                    problem: Box::new(problem),
                })
            })),
        }
    }
    planned
}

fn planned_handler(spec: &StatusHandlerSpec, registry: &Registry) -> Result<PlannedHandler, Vec<Problem>> {
    let Some(kind) = registry.handler(&spec.handler) else {
        let known = || registry.handlers().map(|handler| handler.name);
        let hint = suggestion(&spec.handler, known()).map_or_else(
            || format!("; known are {}", listed(known())),
            |name| format!("; did you mean {name}?"),
        );
        return Err(vec![Problem::UnknownHandler { hint }]);
    };
    let mut problems = Vec::new();
    let side = side_entries(&spec.side_packets, &mut problems);
    let side_inputs = match kind.side_inputs(&spec.options) {
        Ok(side_inputs) => side_inputs,
        Err(wrong) => {
            problems.extend(wrong.into_iter().map(Problem::Option));
            return Err(problems);
        }
    };
    problems.extend(check(kind.name, Side::SidePacket, &side, &side_inputs));
    if !problems.is_empty() {
        return Err(problems);
    }
    let side = arrange(&side, &side_inputs).into_iter();
    Ok(PlannedHandler {
        name: spec.handler.clone(),
        options: spec.options.clone(),
        side: side
            .map(|(tag, entry)| (tag, entry.index, entry.stream.clone()))
            .collect(),
        side_inputs,
        kind,
    })
}
