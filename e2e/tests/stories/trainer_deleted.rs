//! A strategy learns from trained trials, and the trainer's pod is deleted while it trains one: the search goes on from
//! its checkpoint and its records.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use crds::nasjob::Stage as Step;
use e2e::device::Group;
use e2e::wait::{Look, until};

use crate::stage::{Stage, nasjob};

#[tokio::test]
async fn a_search_survives_its_trainer() -> Result<()> {
    let group = Group::new("trained", "edge-1t", 1, 1).labelled("role=trained");
    let stage = Stage::set("trainer", vec![group]).await?;
    stage
        .apply(
            &(nasjob(
                "garments",
                "edge-1t",
                "5ms",
                "finalists: 1, trials: 5, trialEpochs: 1, trainEpochs: 2",
            ) + "  strategy: {evolution: {guide: none}}\n"),
        )
        .await?;
    let pod = until("a trainer at work", Duration::from_mins(5), async || {
        let stage_now = stage
            .nasjob("garments")
            .await?
            .status
            .and_then(|s| s.progress)
            .map(|p| p.stage);
        let pods = stage.lab.running_pods(&stage.namespace, "job-name").await?;
        Ok(match (stage_now, pods.into_iter().next()) {
            (Some(Step::Searching), Some(pod)) => Look::Done(pod),
            (seen, _) => Look::Not(format!("{seen:?}")),
        })
    })
    .await?;
    stage.lab.kill_pod(&stage.namespace, &pod).await?;

    let job = stage.await_nasjob("garments", "True", "ModelSelected").await?;
    let targets = job.status.map(|status| status.targets).unwrap_or_default();
    let [target] = targets.as_slice() else {
        bail!("one target: {targets:?}");
    };
    let search = target.search.as_ref().context("a search that learned")?;
    ensure!(
        target.best.is_some() && search.done == 5 && search.generation == 2 && search.best_accuracy.is_some(),
        "{target:?}"
    );
    stage.clear().await
}
