//! Controller of EdgePipeline.

use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Reconciles until `shutdown` is cancelled.
pub async fn run(_ctx: Context, shutdown: CancellationToken) {
    shutdown.cancelled().await;
}
