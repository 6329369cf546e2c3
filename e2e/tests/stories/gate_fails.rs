//! A revision that one device can't run: everybody who had it goes back.

use anyhow::{Context, Result, ensure};
use e2e::device::Group;

use crate::stage::{Stage, model, pipeline, plain_pipeline};

#[tokio::test]
async fn all_touched_devices_go_back_to_the_previous_revision() -> Result<()> {
    let model = model().await?;
    let good = Group::new("gate-good", "edge-1t", 1, 3).labelled("role=gate");
    // A device whose ONNX Runtime is missing: it runs graphs without a model only.
    let bad = Group::new("gate-bad", "edge-broken", 1, 1)
        .labelled("role=gate")
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    let stage = Stage::set("gate", vec![good, bad]).await?;
    let rollout =
        "{canary: {count: 1}, waves: [100%], bake: 2s, gates: [{successRatio: {min: 1.0}}], maxPerSite: 2}";

    stage
        .apply(&plain_pipeline("counter", "gate", 5, rollout))
        .await?;
    let first = stage.await_pipeline("counter", "True", "RolloutComplete").await?;
    let previous = first
        .status
        .and_then(|s| s.revision)
        .context("a first revision")?;

    stage.apply(&pipeline("counter", "gate", &model, rollout)).await?;
    let failed = stage.await_pipeline("counter", "False", "GateFailed").await?;
    let status = failed.status.context("a status")?;
    ensure!(status.previous_revision.as_ref() == Some(&previous), "{status:?}");
    ensure!(
        status.failing.iter().any(|f| f.device == "gate-bad-0"),
        "{:?}",
        status.failing
    );
    stage.await_revision(&previous).await?;
    ensure!(stage.await_all_stored().await? > 0);
    stage.clear().await
}
