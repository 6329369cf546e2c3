//! The operator is killed while a wave runs: the rollout goes on where it was.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::device::Group;
use e2e::wait::{Look, until};

use crate::stage::{Stage, model, pipeline};

#[tokio::test]
async fn a_rollout_survives_the_operator() -> Result<()> {
    let model = model().await?;
    let group = Group::new("killed", "edge-1t", 1, 4).labelled("role=killed");
    let stage = Stage::set("killed", vec![group]).await?;
    let rollout = "{canary: {count: 1}, waves: [50%, 100%], bake: 4s}";
    stage
        .apply(&pipeline("counter", "killed", &model, rollout))
        .await?;
    until("the second wave", Duration::from_secs(90), async || {
        let wave = stage.pipeline("counter").await?.status.and_then(|s| s.wave);
        Ok(if wave.as_deref() == Some("2/3") {
            Look::Done(())
        } else {
            Look::Not(format!("{wave:?}"))
        })
    })
    .await?;
    stage
        .lab
        .kill_pods("app.kubernetes.io/component=operator")
        .await?;

    let done = stage.await_pipeline("counter", "True", "RolloutComplete").await?;
    let status = done.status.context("a status")?;
    ensure!(
        (status.devices.ready, status.devices.failed) == (4, 0),
        "{status:?}"
    );
    for device in stage
        .lab
        .devices()
        .await?
        .iter()
        .filter(|d| stage.ids().contains(&d.id))
    {
        let attempt = device
            .reported
            .as_ref()
            .and_then(|r| r.progress.as_ref())
            .map(|p| p.attempt);
        ensure!(attempt == Some(1), "{} was offered {attempt:?} times", device.id);
    }
    stage.clear().await
}
