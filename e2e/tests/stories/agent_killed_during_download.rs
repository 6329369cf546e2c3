//! An agent is killed while it downloads a model: it goes on with the bytes it has.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::device::Group;
use e2e::wait::{Look, until};

use crate::stage::{Stage, model, pipeline};

#[tokio::test]
async fn a_download_is_resumed() -> Result<()> {
    let model = model().await?;
    let group = Group::new("slow", "edge-1t", 1, 1)
        .labelled("role=slow")
        .env("HAIZEN_DOWNLOAD_RATE", "16Ki");
    let stage = Stage::set("download", vec![group]).await?;
    stage
        .apply(&pipeline(
            "counter",
            "slow",
            &model,
            "{canary: {count: 1}, bake: 2s}",
        ))
        .await?;
    until("the device to download", Duration::from_mins(1), async || {
        let devices = stage.lab.devices().await?;
        let phase = devices
            .iter()
            .find(|d| d.id == "slow-0")
            .and_then(e2e::api::Device::phase);
        Ok(if phase == Some("Downloading") {
            Look::Done(())
        } else {
            Look::Not(format!("{phase:?}"))
        })
    })
    .await?;
    until("some bytes to be there", Duration::from_secs(30), async || {
        let log = stage
            .lab
            .tool("kubectl", &["logs", "-n", &stage.namespace, "slow-0"])
            .await?;
        Ok(if log.contains("downloading") {
            Look::Done(())
        } else {
            Look::Not("nothing logged".into())
        })
    })
    .await?;
    stage.lab.kill_pod(&stage.namespace, "slow-0").await?;

    stage.await_pipeline("counter", "True", "RolloutComplete").await?;
    let log = stage
        .lab
        .tool("kubectl", &["logs", "-n", &stage.namespace, "slow-0"])
        .await?;
    ensure!(
        log.contains("resuming"),
        "the second life downloads from the start:\n{log}"
    );
    stage.clear().await
}
