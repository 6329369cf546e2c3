//! What users get wrong: a clear condition or refusal, while good objects go on and recovery needs no help.

use anyhow::{Result, ensure};
use e2e::device::Group;

use crate::stage::{Stage, nasjob, pipeline, plain_pipeline};

#[tokio::test]
async fn each_mistake_has_its_condition() -> Result<()> {
    let group = Group::new("input", "edge-1t", 1, 1).labelled("role=input");
    let stage = Stage::set("input", vec![group]).await?;
    let rollout = "{canary: {count: 1}, bake: 1s}";

    // Refused by the API server itself.
    for (yaml, hint) in [
        (nasjob("wrong", "edge-1t", "5 parsecs", "finalists: 1"), "p95"),
        (nasjob("wrong", "edge-1t", "5ms", "finalists: 0"), "finalists"),
        (
            nasjob("wrong", "edge-1t", "5ms", "finalists: 1") + "  strategy: {fbnet: {cooling: 3}}\n",
            "cooling",
        ),
        (plain_pipeline("wrong", "input", 5, "{waves: [150%]}"), "waves"),
    ] {
        let error = stage
            .apply(&yaml)
            .await
            .err()
            .map(|e| format!("{e:#}"))
            .unwrap_or_default();
        ensure!(
            error.contains(hint),
            "expected a refusal naming {hint}, got {error:?}"
        );
    }

    let unknown = plain_pipeline("unknown-calculator", "nobody", 5, rollout).replace("Classify", "Clasify");
    stage.apply(&unknown).await?;
    let broken = stage
        .await_pipeline("unknown-calculator", "False", "InvalidGraph")
        .await?;
    let message = message(&broken.status.map(|s| s.conditions).unwrap_or_default());
    ensure!(
        message.contains("label") && message.contains("Classify"),
        "{message}"
    );

    stage
        .apply(&pipeline(
            "no-search",
            "nobody",
            "{nasJob: {name: not-there}}",
            rollout,
        ))
        .await?;
    stage.await_pipeline("no-search", "False", "ModelMissing").await?;

    stage
        .apply(&nasjob("nobody", "edge-nowhere", "5ms", "finalists: 1"))
        .await?;
    stage
        .await_nasjob("nobody", "Unknown", "NoMatchingDevice")
        .await?;

    let mute = nasjob("mute", "edge-1t", "5ms", "finalists: 1, trials: 0") + "  strategy: {proxyless: {}}\n";
    stage.apply(&mute).await?;
    stage.await_nasjob("mute", "False", "InvalidSpec").await?;

    let later = nasjob("later", "edge-1t", "5ms", "finalists: 1") + "  schedule: {onDrift: true}\n";
    stage.apply(&later).await?;
    stage.await_nasjob("later", "False", "NotYetSupported").await?;

    // Beside all of these a good pipeline goes on, and a mended one recovers.
    stage.apply(&plain_pipeline("good", "input", 5, rollout)).await?;
    stage.await_pipeline("good", "True", "RolloutComplete").await?;
    stage
        .apply(&plain_pipeline("unknown-calculator", "nobody", 5, rollout))
        .await?;
    stage
        .await_pipeline("unknown-calculator", "False", "NoDevices")
        .await?;
    stage.clear().await
}

fn message(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> String {
    conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .map(|c| c.message.clone())
        .unwrap_or_default()
}
