//! A bound that no architecture meets ends with the nearest miss, and other objects go on.

use anyhow::{Context, Result, ensure};
use e2e::device::Group;

use crate::stage::{Stage, nasjob};

#[tokio::test]
async fn the_nearest_miss_is_named() -> Result<()> {
    let group = Group::new("tight", "edge-1t", 1, 1).labelled("role=tight");
    let stage = Stage::set("infeasible", vec![group]).await?;
    stage
        .apply(&nasjob(
            "garments",
            "edge-1t",
            "1us",
            "finalists: 1, trainEpochs: 1",
        ))
        .await?;
    let job = stage.await_nasjob("garments", "False", "Infeasible").await?;
    let conditions = job.status.context("a status")?.conditions;
    let message = &conditions
        .iter()
        .find(|c| c.type_ == "Succeeded")
        .context("Succeeded")?
        .message;
    ensure!(message.contains("only") && message.contains("1us"), "{message}");
    let stalled = conditions
        .iter()
        .find(|c| c.type_ == "Stalled")
        .context("Stalled")?;
    ensure!(stalled.status == "True", "{stalled:?}");
    stage.clear().await
}
