//! What every controller works with. Owns nothing: handles only, cheap to clone.

use std::sync::Arc;

use crate::args::Config;
use crate::blobs::Blobs;
use crate::change::Changes;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::mqtt::Publisher;

#[derive(Clone)]
pub struct Context {
    pub client: kube::Client,
    pub db: sqlx::PgPool,
    pub mqtt: Publisher,
    pub blobs: Blobs,
    pub changes: Changes,
    pub metrics: Arc<Metrics>,
    pub config: Arc<Config>,
    pub recorder: Events,
    /// The leader's term, from the database: [`crate::store::leadership::fence`] refuses writes of an older one.
    pub epoch: u64,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
