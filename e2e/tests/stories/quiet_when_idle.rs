//! An unchanged world makes no write, and costs little memory.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::device::Group;
use e2e::wait::{Look, until};

use crate::stage::{Stage, plain_pipeline};

#[tokio::test]
async fn reconciles_of_an_unchanged_world_write_nothing() -> Result<()> {
    let group = Group::new("quiet", "edge-1t", 1, 1).labelled("role=quiet");
    let stage = Stage::set("quiet", vec![group]).await?;
    stage
        .apply(&plain_pipeline(
            "counter",
            "quiet",
            5,
            "{canary: {count: 1}, bake: 1s}",
        ))
        .await?;
    let before = stage.await_pipeline("counter", "True", "RolloutComplete").await?;
    let reconciles = counter(&stage, "haizen_reconcile_total").await?;
    until("more reconciles", Duration::from_mins(2), async || {
        let now = counter(&stage, "haizen_reconcile_total").await?;
        Ok(if now >= reconciles + 3.0 {
            Look::Done(())
        } else {
            Look::Not(format!("{now} of {reconciles} + 3"))
        })
    })
    .await?;
    let after = stage.pipeline("counter").await?;
    ensure!(
        after.metadata.resource_version == before.metadata.resource_version,
        "something was written"
    );

    let device = stage
        .lab
        .devices()
        .await?
        .into_iter()
        .find(|d| d.id == "quiet-0")
        .context("the device")?;
    let rss = device.reported.context("its report")?.rss_mib;
    ensure!(
        rss > 0.0 && rss <= 20.0,
        "the agent has {rss} MiB resident without a model"
    );
    stage.clear().await
}

/// Sum of a counter over its labels.
async fn counter(stage: &Stage, name: &str) -> Result<f64> {
    let text = stage.lab.operator_text("/metrics").await?;
    let lines = text.lines().filter(|line| line.starts_with(name));
    Ok(lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum())
}
