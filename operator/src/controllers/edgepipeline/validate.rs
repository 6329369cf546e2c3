//! What a user may have got wrong, and what the models resolve to. Pure: all of it was looked up before.

use std::collections::BTreeMap;

use crds::EdgePipeline;
use crds::conditions::types;
use crds::edgepipeline::{EdgePipelineSpec, ModelSource};
use crds::nasjob::NasJob;
use pipeline::Registry;
use pipeline::validate::missing_side_packets;
use protocol::desired::{Desired, MAX_DESIRED, ModelRef, Objectives, Order};
use protocol::id::Digest;
use rollout::policy::RolloutPolicy;
use units::Duration;

use super::artifacts::Fetched;
use crate::blobs::Blobs;
use crate::store::revisions::{Content, Models};

/// What the spec refers to, as it is now.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    /// By name; None: there is none.
    pub nas_jobs: BTreeMap<String, Option<std::sync::Arc<NasJob>>>,
    /// By the name of the model.
    pub artifacts: BTreeMap<String, Fetched>,
    /// Sizes of files in the blob store.
    pub sizes: BTreeMap<Digest, u64>,
}

/// A spec that can be rolled out.
#[derive(Debug, Clone, PartialEq)]
pub struct Validated {
    pub revision: String,
    pub content: Content,
    pub policy: RolloutPolicy,
    pub spec_key: String,
    /// What was left out, for people: targets of a NasJob without a model.
    pub notes: Vec<String>,
}

/// Why a spec can't be rolled out, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// CamelCase.
    pub reason: &'static str,
    pub message: String,
    /// Nothing changes until a person changes something; else it is waited for.
    pub stalled: bool,
}

pub fn validate(pipeline: &EdgePipeline, resources: &Resources) -> Result<Validated, Refusal> {
    let EdgePipelineSpec {
        device_selector: _,
        priority: _,
        models,
        graph,
        objectives,
        rollout,
        paused: _,
    } = &pipeline.spec;
    rollout
        .supported()
        .map_err(|e| invalid("NotYetSupported", e.to_string()))?;
    let wrong: Vec<_> = rollout.check().iter().map(ToString::to_string).collect();
    if !wrong.is_empty() {
        return Err(invalid("InvalidSpec", wrong.join("; ")));
    }
    let names = models.keys().map(String::as_str);
    check_graph(graph, names)?;
    let mut notes = Vec::new();
    let mut resolved = BTreeMap::new();
    for (name, source) in models {
        resolved.insert(name.clone(), resolve(name, source, resources, &mut notes)?);
    }
    let objectives = Objectives {
        fps: objectives.fps,
        latency_p95: objectives.latency_p95,
        max_drop_ratio: objectives.max_drop_ratio,
    };
    let content = Content {
        graph: graph.clone(),
        objectives,
        models: resolved,
    };
    let broken = |e: serde_json::Error| invalid("InvalidSpec", format!("can't be written as JSON: {e}"));
    let revision = content.revision().map_err(broken)?;
    check_size(&content, &revision)?;
    let spec_key = spec_key(&pipeline.spec).map_err(broken)?;
    Ok(Validated {
        revision,
        content,
        policy: rollout.clone(),
        spec_key,
        notes,
    })
}

fn check_graph<'a>(
    graph: &pipeline::spec::GraphSpec,
    models: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Refusal> {
    let errors = match pipeline::validate(graph, &Registry::standard()) {
        Ok(valid) => missing_side_packets(&valid, models),
        Err(errors) => errors,
    };
    let mut errors: Vec<_> = errors.iter().map(|e| format!("spec.graph: {e}")).collect();
    if !graph.input_streams.is_empty() {
        let streams = graph.input_streams.join(", ");
        errors.push(format!(
            "spec.graph.inputStreams: nothing feeds {streams} on a device: use a source node"
        ));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(invalid("InvalidGraph", errors.join("; ")))
    }
}

fn resolve(
    name: &str,
    source: &ModelSource,
    resources: &Resources,
    notes: &mut Vec<String>,
) -> Result<Models, Refusal> {
    match source {
        ModelSource::NasJob(nas) => {
            let Some(job) = resources.nas_jobs.get(&nas.name).and_then(Option::as_ref) else {
                let message = format!(
                    "spec.models.{name}: NasJob {} not found in this namespace",
                    nas.name
                );
                return Err(waiting("ModelMissing", message));
            };
            found(name, job, resources, notes)
        }
        ModelSource::Artifact(artifact) => match resources.artifacts.get(name) {
            Some(Fetched::Present(size)) => Ok(Models::Every(reference(&artifact.sha256, *size))),
            Some(Fetched::Failed { reason, message }) => Err(Refusal {
                reason,
                message: format!("spec.models.{name}: {message}"),
                stalled: true,
            }),
            Some(Fetched::Fetching) | None => {
                let message = format!("spec.models.{name}: fetching {}", artifact.uri);
                Err(waiting("ArtifactFetching", message))
            }
        },
    }
}

/// The best model of each class a NasJob has one for.
fn found(
    name: &str,
    job: &NasJob,
    resources: &Resources,
    notes: &mut Vec<String>,
) -> Result<Models, Refusal> {
    let job_name = job.metadata.name.as_deref().unwrap_or_default();
    let mut classes = BTreeMap::new();
    for target in job.status.iter().flat_map(|status| &status.targets) {
        let (Some(class), Some(best)) = (&target.class, &target.best) else {
            notes.push(format!(
                "NasJob {job_name} has no model for its target {}",
                target.name
            ));
            continue;
        };
        let digest: Option<Digest> = best.model.parse().ok();
        let Some((digest, size)) = digest.and_then(|d| resources.sizes.get(&d).map(|size| (d, *size))) else {
            let message = format!(
                "spec.models.{name}: {} of NasJob {job_name} is not in the operator's store: search again",
                best.model
            );
            return Err(invalid("ModelUnavailable", message));
        };
        classes.insert(class.clone(), reference(&digest, size));
    }
    if !classes.is_empty() {
        return Ok(Models::ByClass(classes));
    }
    let conditions = job
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let ended = conditions
        .iter()
        .find(|c| c.type_ == types::SUCCEEDED && c.status == "False");
    if let Some(ended) = ended {
        let message = format!(
            "spec.models.{name}: NasJob {job_name} ended without a model: {}",
            ended.message
        );
        return Err(invalid("ModelUnavailable", message));
    }
    let progress = job.status.as_ref().and_then(|status| status.progress.as_ref());
    let stage = progress
        .map(|p| format!(" ({:?} {} of {})", p.stage, p.done, p.of))
        .unwrap_or_default();
    Err(waiting(
        "ModelNotReady",
        format!("spec.models.{name}: NasJob {job_name} is still searching{stage}"),
    ))
}

fn reference(digest: &Digest, size: u64) -> ModelRef {
    ModelRef {
        sha256: digest.clone(),
        size,
        url: Blobs::url(digest),
    }
}

/// A document must fit on the wire, whatever its order and attempt.
fn check_size(content: &Content, revision: &str) -> Result<(), Refusal> {
    let longest = |models: &Models| match models {
        Models::Every(model) => Some(model.clone()),
        Models::ByClass(classes) => classes.values().next().cloned(),
    };
    let document = Desired {
        version: protocol::VERSION,
        order: Order {
            epoch: u64::MAX,
            generation: u64::MAX,
        },
        rollout: "x".repeat(36),
        attempt: u32::MAX,
        pipeline: "x".repeat(127),
        revision: revision.to_owned(),
        graph: content.graph.clone(),
        models: content
            .models
            .iter()
            .filter_map(|(n, m)| Some((n.clone(), longest(m)?)))
            .collect(),
        bake: Duration::from_micros(u64::MAX),
        objectives: content.objectives.clone(),
    };
    let size = protocol::to_bytes(&document).map_or(usize::MAX, |bytes| bytes.len());
    if size > MAX_DESIRED {
        let message = format!(
            "spec.graph: {size} bytes with its models, and {MAX_DESIRED} fit into a device's document: \
             shorten names and options"
        );
        return Err(invalid("DocumentTooLarge", message));
    }
    Ok(())
}

/// Of everything but the hold: a failed revision is tried again for another spec only.
fn spec_key(spec: &EdgePipelineSpec) -> Result<String, serde_json::Error> {
    let spec = EdgePipelineSpec {
        paused: false,
        ..spec.clone()
    };
    Ok(Digest::of(&serde_json::to_vec(&spec)?).as_str().to_owned())
}

fn invalid(reason: &'static str, message: String) -> Refusal {
    Refusal {
        reason,
        message,
        stalled: true,
    }
}

fn waiting(reason: &'static str, message: String) -> Refusal {
    Refusal {
        reason,
        message,
        stalled: false,
    }
}

#[cfg(test)]
mod tests;
