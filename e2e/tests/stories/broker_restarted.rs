//! The broker is killed under telemetry: what was sent is stored.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::device::Group;
use e2e::wait::{Look, until};

use crate::stage::{Stage, plain_pipeline};

#[tokio::test]
async fn sent_rows_are_stored_rows() -> Result<()> {
    let group = Group::new("broker", "edge-1t", 1, 3).labelled("role=broker");
    let stage = Stage::set("broker", vec![group]).await?;
    let rollout = "{canary: {count: 1}, waves: [100%], bake: 1s, maxPerSite: 3}";
    stage
        .apply(&plain_pipeline("counter", "broker", 20, rollout))
        .await?;
    stage.await_pipeline("counter", "True", "RolloutComplete").await?;
    let before = stage.await_all_stored().await?;

    stage.lab.kill_pods("app.kubernetes.io/component=mqtt").await?;
    until(
        "samples of after the broker's death",
        Duration::from_mins(2),
        async || {
            let stored = stage.await_all_stored().await?;
            let more = stored > before + 600;
            Ok(if more {
                Look::Done(())
            } else {
                Look::Not(format!("{stored} after {before}"))
            })
        },
    )
    .await?;
    let ids = stage.ids();
    let telemetry = stage.lab.telemetry().await?;
    for boot in telemetry.boots.iter().filter(|b| ids.contains(&b.device)) {
        ensure!(boot.stored == boot.max_seq, "{boot:?} has a gap");
    }
    stage.clear().await
}
