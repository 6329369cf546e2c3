//! Options that come as a packet or a side packet: an object that changes some of a node's own.

use serde_json::Value;

use crate::node::{Calculator, NodeError};
use crate::options::{self, OptionMap};

/// The options of `C` with those of `changes` in place of its own; errors name the option.
pub(crate) fn changed<C: Calculator>(own: &C::Options, changes: &Value) -> Result<C::Options, NodeError>
where
    C::Options: serde::Serialize,
{
    let failed = |problem: String| NodeError::Failed(format!("OPTIONS: {problem}"));
    let own = serde_json::to_value(own).map_err(|error| failed(error.to_string()))?;
    let (Value::Object(own), Value::Object(changes)) = (own, changes.clone()) else {
        return Err(failed("not an object".to_owned()));
    };
    // What isn't set must stay unset: null is no value of most options.
    let all: OptionMap = own
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .chain(changes)
        .collect();
    options::read::<C>(&all).map_err(|errors| {
        let problem = errors
            .first()
            .map_or_else(|| "unusable".to_owned(), ToString::to_string);
        failed(problem)
    })
}
