//! How a run ended, in the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::node::NodeError;
use crate::run::RunError;
use crate::status_handler::{HandlerContext, HandlerKind, StatusHandler};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// What the log calls the graph; `graph` when not given.
    label: String,
}

#[derive(Debug)]
pub(crate) struct LogStatus {
    label: String,
    began: i64,
}

impl HandlerKind for LogStatus {
    const NAME: &'static str = "LogStatus";
    const DOC: &'static str = "Logs that a run begins, and how it ended: after what time, and with which error at \
                               which node. A failure is a warning.";
    type Options = Options;

    fn new(options: Options) -> Self {
        let label = if options.label.is_empty() {
            "graph".to_owned()
        } else {
            options.label
        };
        Self { label, began: 0 }
    }
}

impl StatusHandler for LogStatus {
    fn pre_run(&mut self, ctx: &HandlerContext<'_>) -> Result<(), NodeError> {
        self.began = ctx.now();
        tracing::info!(graph = self.label, "the run begins");
        Ok(())
    }

    fn post_run(&mut self, ctx: &HandlerContext<'_>, ended: Result<(), &RunError>) -> Result<(), NodeError> {
        let seconds = (ctx.now() - self.began) as f64 / 1e6;
        match ended {
            Ok(()) => tracing::info!(graph = self.label, seconds, "the run ended well"),
            Err(RunError::Cancelled) => tracing::info!(graph = self.label, seconds, "the run was cancelled"),
            Err(error) => tracing::warn!(
                graph = self.label,
                seconds,
                code = error.code(),
                node = error.node(),
                %error,
                "the run failed"
            ),
        }
        Ok(())
    }
}
