//! What the stories share: a namespace with devices, resources as YAML, and waiting for their conditions.

use std::time::Duration;

use anyhow::{Context, Result};
use crds::{EdgePipeline, NasJob};
use e2e::device::Group;
use e2e::lab::Lab;
use e2e::wait::{Look, until};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use tokio::sync::OnceCell;

static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// A story's namespace and devices.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) namespace: String,
    pub(crate) groups: Vec<Group>,
}

impl Stage {
    /// Installs the release if it isn't there, and starts the story's devices.
    pub(crate) async fn set(story: &str, groups: Vec<Group>) -> Result<Self> {
        let lab = Lab::connect("haizen").await?;
        INSTALLED.get_or_try_init(async || lab.install().await).await?;
        lab.await_ready(Duration::from_mins(1)).await?;
        let namespace = format!("haizen-story-{story}");
        lab.delete_namespace(&namespace, Duration::from_mins(2)).await?;
        lab.start_devices(&namespace, &groups).await?;
        lab.await_devices(&groups, Duration::from_mins(2)).await?;
        Ok(Self {
            lab,
            namespace,
            groups,
        })
    }

    pub(crate) async fn apply(&self, yaml: &str) -> Result<()> {
        self.lab.apply(&self.namespace, yaml).await
    }

    pub(crate) async fn pipeline(&self, name: &str) -> Result<EdgePipeline> {
        Ok(Api::namespaced(self.lab.client.clone(), &self.namespace)
            .get(name)
            .await?)
    }

    pub(crate) async fn nasjob(&self, name: &str) -> Result<NasJob> {
        Ok(Api::namespaced(self.lab.client.clone(), &self.namespace)
            .get(name)
            .await?)
    }

    /// Waits until the pipeline's condition `Ready` has this status and reason for the spec as it is now.
    pub(crate) async fn await_pipeline(
        &self,
        name: &str,
        status: &str,
        reason: &str,
    ) -> Result<EdgePipeline> {
        until(
            &format!("{name} to be Ready={status} {reason}"),
            Duration::from_mins(4),
            async || {
                let pipeline = self.pipeline(name).await?;
                let conditions = pipeline
                    .status
                    .as_ref()
                    .map(|s| s.conditions.as_slice())
                    .unwrap_or_default();
                let generation = pipeline.metadata.generation;
                Ok(match holds(conditions, "Ready", status, reason, generation) {
                    None => Look::Done(pipeline),
                    Some(seen) => Look::Not(seen),
                })
            },
        )
        .await
    }

    /// Waits until the NasJob's condition `Succeeded` has this status and reason.
    pub(crate) async fn await_nasjob(&self, name: &str, status: &str, reason: &str) -> Result<NasJob> {
        until(
            &format!("{name} to be Succeeded={status} {reason}"),
            Duration::from_mins(10),
            async || {
                let job = self.nasjob(name).await?;
                let seen = job.status.as_ref();
                let conditions = seen.map(|s| s.conditions.as_slice()).unwrap_or_default();
                Ok(
                    match holds(conditions, "Succeeded", status, reason, job.metadata.generation) {
                        None => Look::Done(job),
                        Some(text) => Look::Not(format!(
                            "{text}; progress {:?}",
                            seen.and_then(|s| s.progress.clone())
                        )),
                    },
                )
            },
        )
        .await
    }

    /// Ids of the story's devices.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.groups.iter().flat_map(Group::ids).collect()
    }

    /// Waits until every device of the story runs the revision.
    pub(crate) async fn await_revision(&self, revision: &str) -> Result<()> {
        let ids = self.ids();
        until(
            &format!("all devices to run {revision}"),
            Duration::from_mins(2),
            async || {
                let devices = self.lab.devices().await?;
                let mine = devices.iter().filter(|d| ids.contains(&d.id));
                let others: Vec<_> = mine
                    .filter(|d| d.revision() != Some(revision))
                    .map(|d| format!("{} runs {:?}", d.id, d.revision()))
                    .collect();
                Ok(if others.is_empty() {
                    Look::Done(())
                } else {
                    Look::Not(others.join(", "))
                })
            },
        )
        .await
    }

    /// Waits until every sample the story's devices had numbered is a row, and returns how many.
    pub(crate) async fn await_all_stored(&self) -> Result<u64> {
        let ids = self.ids();
        let at: Vec<_> = self
            .lab
            .devices()
            .await?
            .into_iter()
            .filter(|d| ids.contains(&d.id))
            .collect();
        until(
            "every sample sent to be stored",
            Duration::from_secs(90),
            async || {
                let sent = e2e::demo::report::sent(&at, &self.lab.telemetry().await?);
                let whole = sent.sent > 0 && sent.sent == sent.stored;
                Ok(if whole {
                    Look::Done(sent.sent)
                } else {
                    Look::Not(format!("{sent:?}"))
                })
            },
        )
        .await
    }

    /// Removes the story's namespace; a story that failed leaves it to be looked at.
    pub(crate) async fn clear(self) -> Result<()> {
        self.lab
            .delete_namespace(&self.namespace, Duration::from_mins(2))
            .await
    }
}

/// `None` when the condition holds, else what is there.
fn holds(
    conditions: &[Condition],
    kind: &str,
    status: &str,
    reason: &str,
    generation: Option<i64>,
) -> Option<String> {
    let Some(found) = conditions.iter().find(|c| c.type_ == kind) else {
        return Some(format!("no condition {kind}"));
    };
    let same = found.status == status && found.reason == reason && found.observed_generation == generation;
    (!same).then(|| format!("{kind}={} {}: {}", found.status, found.reason, found.message))
}

/// A small NasJob for the devices of one class.
pub(crate) fn nasjob(name: &str, class: &str, p95: &str, budget: &str) -> String {
    format!(
        "
apiVersion: haizen.dev/v1alpha1
kind: NasJob
metadata: {{name: {name}}}
spec:
  task: {{imageClassification: {{dataset: {{uri: file:///usr/share/datasets/fashion-mnist, limit: 20000}}}}}}
  searchSpace: {{mobileBlocks: {{preset: mobile-small, depths: [1], kernels: [3], expands: [2, 4]}}}}
  targets:
    - name: only
      deviceSelector: {{matchLabels: {{haizen.dev/class: {class}}}}}
      constraints: {{latency: {{p95: {p95}}}}}
  budget: {{candidates: 200, seed: 3, deadline: 15m, {budget}}}
"
    )
}

/// A pipeline over the test images for the devices of one role.
pub(crate) fn pipeline(name: &str, role: &str, model: &str, rollout: &str) -> String {
    format!(
        "
apiVersion: haizen.dev/v1alpha1
kind: EdgePipeline
metadata: {{name: {name}}}
spec:
  deviceSelector: {{matchLabels: {{role: {role}}}}}
  models: {{garment: {model}}}
  graph:
    nodes:
      - {{name: camera, calculator: ImageFiles, outputs: [frames], options: {{path: /usr/share/haizen/fashion-mnist/t10k-images-idx3-ubyte.gz, fps: 10, loop: true}}}}
      - {{name: prep, calculator: ImageToTensor, inputs: [frames], outputs: [tensors], options: {{width: 28, height: 28, channels: gray}}}}
      - {{name: garment, calculator: Inference, inputs: [tensors], outputs: [scores], sidePackets: {{MODEL: garment}}, freshness: newest, maxAge: 500ms}}
      - {{name: label, calculator: Classify, inputs: [scores], outputs: [labels]}}
      - {{name: publish, calculator: MqttSink, inputs: [labels], options: {{stream: garments}}}}
  rollout: {rollout}
"
    )
}

/// A graph without a model: what every device runs.
pub(crate) fn plain_pipeline(name: &str, role: &str, fps: u32, rollout: &str) -> String {
    format!(
        "
apiVersion: haizen.dev/v1alpha1
kind: EdgePipeline
metadata: {{name: {name}}}
spec:
  deviceSelector: {{matchLabels: {{role: {role}}}}}
  graph:
    nodes:
      - {{name: camera, calculator: ImageFiles, outputs: [frames], options: {{path: /usr/share/haizen/fashion-mnist/t10k-images-idx3-ubyte.gz, fps: {fps}, loop: true}}}}
      - {{name: prep, calculator: ImageToTensor, inputs: [frames], outputs: [tensors], options: {{width: 4, height: 4, channels: gray}}}}
      - {{name: label, calculator: Classify, inputs: [tensors], outputs: [labels]}}
      - {{name: publish, calculator: MqttSink, inputs: [labels], options: {{stream: frames}}}}
  rollout: {rollout}
"
    )
}

/// A model by digest, as an artifact of the operator's store: the one the happy path's search left there.
pub(crate) async fn model() -> Result<String> {
    static MODEL: OnceCell<String> = OnceCell::const_new();
    let digest = MODEL.get_or_try_init(search_one).await?;
    Ok(format!("{{artifact: {{uri: 'blob:', sha256: '{digest}'}}}}"))
}

async fn search_one() -> Result<String> {
    let stage = Stage::set(
        "model",
        vec![Group::new("model", "edge-1t", 1, 1).labelled("role=model")],
    )
    .await?;
    stage
        .apply(&nasjob("model", "edge-1t", "5ms", "finalists: 1, trainEpochs: 1"))
        .await?;
    let job = stage.await_nasjob("model", "True", "ModelSelected").await?;
    let best = job
        .status
        .and_then(|s| s.targets.into_iter().find_map(|t| t.best));
    let digest = best
        .context("a NasJob that succeeded names its best model")?
        .model;
    stage.clear().await?;
    Ok(digest)
}
