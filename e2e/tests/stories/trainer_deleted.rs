//! The trainer's pod is deleted while it trains: the search goes on from its checkpoint.

use std::time::Duration;

use anyhow::{Result, ensure};
use crds::nasjob::Stage as Step;
use e2e::device::Group;
use e2e::wait::{Look, until};

use crate::stage::{Stage, nasjob};

#[tokio::test]
async fn a_search_survives_its_trainer() -> Result<()> {
    let group = Group::new("trained", "edge-1t", 1, 1).labelled("role=trained");
    let stage = Stage::set("trainer", vec![group]).await?;
    stage
        .apply(&nasjob(
            "garments",
            "edge-1t",
            "5ms",
            "finalists: 1, trainEpochs: 2",
        ))
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
            (Some(Step::Training), Some(pod)) => Look::Done(pod),
            (seen, _) => Look::Not(format!("{seen:?}")),
        })
    })
    .await?;
    stage.lab.kill_pod(&stage.namespace, &pod).await?;

    let job = stage.await_nasjob("garments", "True", "ModelSelected").await?;
    ensure!(
        job.status
            .is_some_and(|s| s.targets.iter().all(|t| t.best.is_some()))
    );
    stage.clear().await
}
