//! The spec, checked once: all mistakes of a user that show without looking at devices are found here.
//!
//! Nothing after this step reads the raw spec.

use crds::nasjob::{Dataset, ImageClassification, NasJob, NasJobSpec, TargetSpec, TaskSpec, TrainerSpec};
use crds::selector::DeviceSelector;
use kube::ResourceExt as _;
use protocol::id::Digest;
use protocol::trainer::Task;
use search::constraint::Constraints;
use search::setting::SettingError;
use search::space::Space;
use search::strategies::StrategyConfig;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

use super::job::Owner;

/// A spec that can be worked on.
#[derive(Debug, Clone)]
pub struct Validated {
    pub owner: Owner,
    pub generation: i64,
    pub space: Space,
    pub strategy: StrategyConfig,
    pub targets: Vec<Target>,
    pub task: Task,
    /// Looked at by a search that trains nothing while it chooses.
    pub candidates: u32,
    /// Trained for a short while by one that does; 0 otherwise.
    pub trials: u32,
    pub trial_epochs: u32,
    pub epochs: u32,
    pub finalists: usize,
    pub parallelism: u32,
    pub deadline: Duration,
    pub seed: u64,
    pub trainer: TrainerSpec,
    pub image: String,
    /// Names everything the result depends on.
    pub spec_key: String,
    /// Names everything the choice of candidates depends on.
    pub search_key: String,
}

#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    pub selector: DeviceSelector,
    pub constraints: Constraints,
}

/// Why nothing can be done until a person changes the spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{field}: {message}")]
    InvalidSpec { field: String, message: String },
    #[error("{field} is not supported yet: {instead}")]
    NotYetSupported { field: String, instead: String },
}

impl Refusal {
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSpec { .. } => "InvalidSpec",
            Self::NotYetSupported { .. } => "NotYetSupported",
        }
    }

    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidSpec {
            field: field.into(),
            message: message.into(),
        }
    }

    fn not_yet(field: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::NotYetSupported {
            field: field.into(),
            instead: instead.into(),
        }
    }
}

/// `default_image`: of the trainer, where the spec names none.
pub fn validate(nas: &NasJob, default_image: &str) -> Result<Validated, Refusal> {
    let NasJobSpec {
        task,
        search_space,
        strategy,
        targets,
        budget,
        trainer,
        schedule,
    } = &nas.spec;
    if schedule.is_some() {
        return Err(Refusal::not_yet(
            "spec.schedule",
            "leave it out, and change the spec to search again",
        ));
    }
    let setting = |error: SettingError| Refusal::invalid(format!("spec.{}", error.field), error.message);
    strategy.check().map_err(setting)?;
    budget.check(strategy).map_err(setting)?;
    let space = Space::from_config(search_space)
        .map_err(|e| Refusal::invalid(format!("spec.{}", e.field), e.message))?;
    let checked = check_targets(targets)?;
    let task = check_task(task)?;
    let image = trainer.image.clone().unwrap_or_else(|| default_image.to_owned());
    let trials = budget.trials_of(strategy);
    let mut search = vec![
        json!(search_space),
        json!(strategy),
        json!(targets),
        json!(budget.candidates),
        json!(budget.finalists),
        json!(budget.seed),
    ];
    if trials > 0 {
        // Then the choice depends on what is trained, too.
        search.extend([
            json!(trials),
            json!(budget.trial_epochs),
            json!(task),
            json!(image),
        ]);
    }
    let search = Value::Array(search);
    let spec = json!([search, task, budget.train_epochs, image]);
    Ok(Validated {
        owner: Owner {
            namespace: nas.namespace().unwrap_or_default(),
            name: nas.name_any(),
            uid: uid(nas).ok_or_else(|| Refusal::invalid("metadata.uid", "is no UUID"))?,
        },
        generation: nas.metadata.generation.unwrap_or_default(),
        space,
        strategy: strategy.clone(),
        targets: checked,
        task,
        candidates: budget.candidates,
        trials,
        trial_epochs: budget.trial_epochs,
        epochs: budget.train_epochs,
        finalists: budget.finalists as usize,
        parallelism: budget.parallelism,
        deadline: budget.deadline.get(),
        seed: u64::from(budget.seed),
        trainer: trainer.clone(),
        image,
        spec_key: key_of(&spec),
        search_key: key_of(&search),
    })
}

pub fn uid(nas: &NasJob) -> Option<Uuid> {
    nas.metadata.uid.as_deref()?.parse().ok()
}

/// A name for a content.
pub fn key_of(content: &Value) -> String {
    Digest::of(content.to_string().as_bytes()).short().to_owned()
}

fn check_targets(targets: &[TargetSpec]) -> Result<Vec<Target>, Refusal> {
    if targets.is_empty() {
        return Err(Refusal::invalid(
            "spec.targets",
            "names no target: one for each device class is needed",
        ));
    }
    let mut checked: Vec<Target> = Vec::with_capacity(targets.len());
    for (
        index,
        TargetSpec {
            name,
            device_selector,
            constraints,
        },
    ) in targets.iter().enumerate()
    {
        let field = |part: &str| format!("spec.targets[{index}].{part}");
        if checked.iter().any(|other| other.name == *name) {
            return Err(Refusal::invalid(
                field("name"),
                format!("{name:?} is taken by an earlier target"),
            ));
        }
        let bounds = constraints
            .constraints()
            .map_err(|e| Refusal::not_yet(field(&e.field), "leave the constraint out"))?;
        if constraints.latency.p95.get().is_zero() {
            return Err(Refusal::invalid(
                field("constraints.latency.p95"),
                "must be longer than 0s",
            ));
        }
        for (part, size) in [
            ("modelSize", bounds.model_bytes),
            ("peakMemory", bounds.peak_memory_bytes),
        ] {
            if size == Some(0) {
                return Err(Refusal::invalid(
                    field(&format!("constraints.{part}")),
                    "must be above 0",
                ));
            }
        }
        checked.push(Target {
            name: name.clone(),
            selector: device_selector.clone(),
            constraints: bounds,
        });
    }
    Ok(checked)
}

fn check_task(task: &TaskSpec) -> Result<Task, Refusal> {
    let TaskSpec::ImageClassification(ImageClassification {
        dataset,
        validation_split,
    }) = task;
    let Dataset { uri, limit } = dataset;
    let field = |part: &str| format!("spec.task.imageClassification.{part}");
    match uri.split_once("://") {
        Some(("file", path)) if path.starts_with('/') && !path.contains("/../") => {}
        Some(("file", _)) => {
            return Err(Refusal::invalid(
                field("dataset.uri"),
                format!(
                    "{uri:?} needs an absolute path, for instance file:///usr/share/datasets/fashion-mnist"
                ),
            ));
        }
        Some((scheme, _)) => {
            return Err(Refusal::not_yet(
                format!("{} with scheme {scheme}://", field("dataset.uri")),
                "use file:// with a folder of the trainer's image or of a volume under /volumes",
            ));
        }
        None => {
            return Err(Refusal::invalid(
                field("dataset.uri"),
                format!("{uri:?} is no URI, for instance file:///usr/share/datasets/fashion-mnist"),
            ));
        }
    }
    if !(0.01..=0.5).contains(validation_split) {
        return Err(Refusal::invalid(
            field("validationSplit"),
            format!("{validation_split} is not from 0.01 to 0.5"),
        ));
    }
    Ok(Task::ImageClassification {
        dataset_uri: uri.clone(),
        validation_split: *validation_split,
        limit: *limit,
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn nas(spec: &str) -> NasJob {
        let mut value: Value = json!({
            "apiVersion": "haizen.dev/v1alpha1",
            "kind": "NasJob",
            "metadata": {
                "name": "dish", "namespace": "shop", "generation": 1,
                "uid": "00000000-0000-4000-8000-000000000001"
            },
            "spec": {
                "task": {"imageClassification": {"dataset": {"uri": "file:///data"}}},
                "targets": [{
                    "name": "pi",
                    "deviceSelector": {"matchLabels": {"haizen.dev/class": "pi"}},
                    "constraints": {"latency": {"p95": "2ms"}}
                }]
            }
        });
        let change: Value = serde_json::from_str(spec).unwrap();
        merge(&mut value["spec"], change);
        serde_json::from_value(value).unwrap()
    }

    fn merge(into: &mut Value, change: Value) {
        match change {
            Value::Object(fields) if into.is_object() => {
                for (key, value) in fields {
                    merge(&mut into[key.as_str()], value);
                }
            }
            other => *into = other,
        }
    }

    fn said(spec: &str) -> String {
        match validate(&nas(spec), "trainer:1") {
            Ok(_) => "fine".to_owned(),
            Err(refusal) => format!("{}: {refusal}", refusal.reason()),
        }
    }

    #[test]
    fn names_the_field_and_what_to_do() {
        let target = |constraints: &str| {
            format!(r#"{{"targets":[{{"name":"pi","deviceSelector":{{}},"constraints":{constraints}}}]}}"#)
        };
        let cases = [
            ("{}".to_owned(), "fine"),
            (r#"{"strategy":{"evolution":{}}}"#.to_owned(), "fine"),
            (
                r#"{"strategy":{"fbnet":{"cooling":3}}}"#.to_owned(),
                "InvalidSpec: spec.strategy.fbnet.cooling: 3 is not from 0.5 to 1",
            ),
            (
                r#"{"strategy":{"mnasnet":{}},"budget":{"trials":0}}"#.to_owned(),
                "InvalidSpec: spec.budget.trials: 0 leaves strategy mnasnet nothing to learn from: leave it out, or use \
                 strategy random",
            ),
            (
                r#"{"schedule":{"onDrift":true}}"#.to_owned(),
                "NotYetSupported: spec.schedule is not supported yet: leave it out, and change the spec to search again",
            ),
            (
                target(r#"{"latency":{"p95":"2ms"},"energyPerInference":"5mJ"}"#),
                "NotYetSupported: spec.targets[0].constraints.energyPerInference is not supported yet: leave the constraint out",
            ),
            (
                target(r#"{"latency":{"p95":"0s"}}"#),
                "InvalidSpec: spec.targets[0].constraints.latency.p95: must be longer than 0s",
            ),
            (
                r#"{"task":{"imageClassification":{"dataset":{"uri":"pvc://a/b"}}}}"#.to_owned(),
                "NotYetSupported: spec.task.imageClassification.dataset.uri with scheme pvc:// is not supported yet: \
                 use file:// with a folder of the trainer's image or of a volume under /volumes",
            ),
            (
                r#"{"task":{"imageClassification":{"dataset":{"uri":"dishes"}}}}"#.to_owned(),
                "InvalidSpec: spec.task.imageClassification.dataset.uri: \"dishes\" is no URI, for instance \
                 file:///usr/share/datasets/fashion-mnist",
            ),
            (
                r#"{"budget":{"deadline":"0s"}}"#.to_owned(),
                "InvalidSpec: spec.budget.deadline: must be longer than 0s, for instance 6h",
            ),
            (
                r#"{"targets":[]}"#.to_owned(),
                "InvalidSpec: spec.targets: names no target: one for each device class is needed",
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(said(&spec), expected, "{spec}");
        }
    }

    #[test]
    fn keys_change_with_what_the_result_depends_on() {
        let keys = |spec: &str| {
            let v = validate(&nas(spec), "trainer:1").unwrap();
            (v.search_key, v.spec_key)
        };
        let plain = keys("{}");
        assert_eq!(keys(r#"{"budget":{"parallelism":7,"deadline":"1h"}}"#), plain);
        let longer = keys(r#"{"budget":{"trainEpochs":7}}"#);
        assert!(longer.0 == plain.0 && longer.1 != plain.1);
        let seeded = keys(r#"{"budget":{"seed":7}}"#);
        assert!(seeded.0 != plain.0 && seeded.1 != plain.1);
        // A strategy that learns depends on how its trials are trained; one that trains none does not.
        assert_eq!(keys(r#"{"budget":{"trialEpochs":1}}"#), plain);
        let learns = |budget: &str| {
            keys(&format!(
                r#"{{"strategy":{{"mnasnet":{{}}}},"budget":{{{budget}}}}}"#
            ))
        };
        assert_ne!(learns(r#""trialEpochs":1"#).0, learns(r#""trialEpochs":2"#).0);
        assert_eq!(learns(r#""trainEpochs":1"#).0, learns("").0);
    }
}
