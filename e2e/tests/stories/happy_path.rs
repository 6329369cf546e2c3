//! From an empty profile table to classified images in the database.

use anyhow::{Context, Result, ensure};
use e2e::device::Group;

use crate::stage::{Stage, nasjob, pipeline};

#[tokio::test]
async fn a_model_is_searched_rolled_out_and_its_results_come_back() -> Result<()> {
    let group = Group::new("happy", "edge-happy", 1, 3).labelled("role=happy");
    let stage = Stage::set("happy", vec![group]).await?;
    stage
        .apply(&nasjob(
            "garments",
            "edge-happy",
            "4ms",
            "finalists: 1, trainEpochs: 1",
        ))
        .await?;
    let rollout = "{canary: {count: 1}, waves: [50%, 100%], bake: 2s}";
    stage
        .apply(&pipeline(
            "counter",
            "happy",
            "{nasJob: {name: garments}}",
            rollout,
        ))
        .await?;

    let job = stage.await_nasjob("garments", "True", "ModelSelected").await?;
    let best = job
        .status
        .and_then(|s| s.targets.into_iter().find_map(|t| t.best))
        .context("a best model")?;
    ensure!(
        best.measured_p95.as_millis_f64() <= 4.0,
        "measured {} over the bound",
        best.measured_p95
    );
    ensure!(best.accuracy > 0.7, "accuracy {} after one epoch", best.accuracy);

    // The pipeline was there first and waited for the model by itself.
    let pipeline = stage.await_pipeline("counter", "True", "RolloutComplete").await?;
    let status = pipeline.status.context("a status")?;
    ensure!(
        status.devices.ready == 3 && status.wave.as_deref() == Some("3/3"),
        "{status:?}"
    );
    stage
        .await_revision(&status.revision.context("a revision")?)
        .await?;
    for device in stage
        .lab
        .devices()
        .await?
        .iter()
        .filter(|d| stage.ids().contains(&d.id))
    {
        ensure!(
            device.models() == [best.model.clone()],
            "{} runs {:?}",
            device.id,
            device.models()
        );
    }
    ensure!(stage.await_all_stored().await? > 0);
    stage.clear().await
}
