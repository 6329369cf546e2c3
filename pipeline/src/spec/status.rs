//! Who hears of a graph's run, as a user writes it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::any_object;

/// A status handler: it is told before the run begins, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusHandlerSpec {
    /// Which one, for instance LogStatus; `edge-agent nodes` lists all.
    #[schemars(length(min = 1, max = 63))]
    pub handler: String,
    /// Side packets by port (`TAG` or `TAG:index`). Where one is missing the handler isn't called, and that is an
    /// error of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub side_packets: BTreeMap<String, String>,
    /// Options of the handler.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub options: BTreeMap<String, serde_json::Value>,
}
