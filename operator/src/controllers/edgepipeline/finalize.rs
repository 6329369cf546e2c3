//! A deleted pipeline's devices run nothing any more. Bounded in time: a database that is away doesn't keep a
//! resource for ever; what is left then is cleared when the operator finds it.

use std::time::Duration;

use crds::EdgePipeline;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use super::{Error, MANAGER, Shared, apply, events, namespaced, ownership};

const FINALIZER: &str = "haizen.dev/edgepipeline";
/// Longest time a deletion waits for the database.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks Kubernetes to wait with the deletion; nothing is written if it is asked already.
pub async fn guard(shared: &Shared, pipeline: &EdgePipeline) -> Result<(), Error> {
    if pipeline.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(());
    }
    set(shared, pipeline, &[FINALIZER]).await
}

pub async fn finalize(shared: &Shared, pipeline: &EdgePipeline) -> Result<Action, Error> {
    if !pipeline.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(Action::await_change());
    }
    let key = ownership::key(pipeline);
    let planning = shared.planning.lock().await;
    let cleared = apply::clear(shared, &key).await;
    drop(planning);
    if let Err(error) = cleared {
        let since = pipeline
            .metadata
            .deletion_timestamp
            .as_ref()
            .map_or(jiff::Timestamp::now(), |t| t.0);
        let waited = jiff::Timestamp::now().duration_since(since);
        if waited.unsigned_abs() < PATIENCE {
            return Err(error);
        }
        let note = format!(
            "devices could not be cleared within {} s: {error}",
            PATIENCE.as_secs()
        );
        events::publish(
            shared,
            pipeline,
            &[events::Said {
                reason: "CleanupIncomplete",
                note,
                warning: true,
            }],
        )
        .await;
    }
    set(shared, pipeline, &[]).await?;
    let uid = pipeline.uid().unwrap_or_default();
    shared
        .written
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .remove(&uid);
    shared.claims.notify_one();
    Ok(Action::await_change())
}

async fn set(shared: &Shared, pipeline: &EdgePipeline, finalizers: &[&str]) -> Result<(), Error> {
    let patch = json!({
        "apiVersion": EdgePipeline::api_version(&()),
        "kind": EdgePipeline::kind(&()),
        "metadata": {"name": pipeline.name_any(), "uid": pipeline.uid(), "finalizers": finalizers},
    });
    let params = PatchParams::apply(&format!("{MANAGER}-finalizer")).force();
    match namespaced(shared, pipeline)
        .patch_metadata(&pipeline.name_any(), &params, &Patch::Apply(&patch))
        .await
    {
        Ok(_) => Ok(()),
        // Deleted meanwhile.
        Err(kube::Error::Api(error)) if error.code == 404 || error.code == 409 => Ok(()),
        Err(source) => Err(Error::Kube {
            step: "set the finalizer",
            source,
        }),
    }
}
