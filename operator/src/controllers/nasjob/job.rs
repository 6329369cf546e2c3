//! The Kubernetes objects of a training: the Job whose pods claim trials, and the Secret with their token.
//!
//! Pure. A Job's template can't be changed, so its name carries a hash of all that is in it: another content is
//! another Job.

use std::collections::BTreeMap;

use crds::nasjob::TrainerSpec;
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, PersistentVolumeClaimVolumeSource,
    PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile, Secret,
    SecretKeySelector, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use protocol::id::Digest;
use uuid::Uuid;

/// Label with the uid of the NasJob on all that is made for it.
pub const UID_LABEL: &str = "haizen.dev/nasjob-uid";

/// Key of the token in the Secret.
pub const TOKEN_KEY: &str = "token";

/// Pods may be killed so often before the search gives up.
const BACKOFF_LIMIT: i32 = 6;
/// A trainer that ends with this code says that another try ends the same way.
const BAD_INPUT: i32 = 65;
/// The trainer leaves a checkpoint when told to end.
const GRACE_SECONDS: i64 = 20;
/// Logs of ended pods stay readable this long.
const TTL_SECONDS: i32 = 3600;
/// Nobody in particular, in the trainer's image too.
const USER: i64 = 65532;

/// Whose objects: the NasJob.
#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    pub namespace: String,
    pub name: String,
    pub uid: Uuid,
}

/// All that decides on the content of the Job.
#[derive(Debug, Clone, Copy)]
pub struct Pods<'a> {
    pub owner: &'a Owner,
    pub spec: &'a TrainerSpec,
    pub image: &'a str,
    /// How the pods reach the operator.
    pub http_url: &'a str,
    /// Ids of the trials to train.
    pub trials: &'a [String],
    pub parallelism: u32,
    /// Jobs that ended before their trials did.
    pub attempt: i32,
}

/// Every pod has to end well, so that a lost one is replaced even when others have ended.
pub fn job(pods: &Pods<'_>) -> Job {
    let count = i32::try_from(pods.parallelism.min(pods.trials.len() as u32).max(1)).unwrap_or(1);
    let template = template(pods);
    let seed = serde_json::json!([template, pods.trials, pods.attempt, count]).to_string();
    let hash: String = Digest::of(seed.as_bytes()).as_str().chars().take(8).collect();
    Job {
        metadata: metadata(pods.owner, format!("{}-{hash}", pods.owner.name)),
        spec: Some(JobSpec {
            parallelism: Some(count),
            completions: Some(count),
            backoff_limit: Some(BACKOFF_LIMIT),
            pod_failure_policy: Some(failure_policy()),
            ttl_seconds_after_finished: Some(TTL_SECONDS),
            template,
            ..JobSpec::default()
        }),
        status: None,
    }
}

pub fn secret_name(owner: &Owner) -> String {
    format!("{}-trainer", owner.name)
}

pub fn secret(owner: &Owner, token: &str) -> Secret {
    Secret {
        metadata: metadata(owner, secret_name(owner)),
        data: Some(BTreeMap::from([(
            TOKEN_KEY.to_owned(),
            ByteString(token.as_bytes().to_vec()),
        )])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// What the database keeps of a token.
pub fn token_hash(token: &[u8]) -> String {
    Digest::of(token).as_str().to_owned()
}

fn metadata(owner: &Owner, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(owner.namespace.clone()),
        labels: Some(labels(owner)),
        owner_references: Some(vec![OwnerReference {
            api_version: "haizen.dev/v1alpha1".to_owned(),
            kind: "NasJob".to_owned(),
            name: owner.name.clone(),
            uid: owner.uid.to_string(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

fn labels(owner: &Owner) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "haizen-trainer".to_owned()),
        ("app.kubernetes.io/part-of", "haizen".to_owned()),
        ("app.kubernetes.io/managed-by", "haizen-operator".to_owned()),
        ("haizen.dev/nasjob", owner.name.clone()),
        (UID_LABEL, owner.uid.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn template(pods: &Pods<'_>) -> PodTemplateSpec {
    let TrainerSpec {
        image: _,
        resources,
        node_selector,
        volumes,
    } = pods.spec;
    let claims = volumes.iter().enumerate().map(|(index, volume)| Volume {
        name: format!("claim-{index}"),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: volume.claim_name.clone(),
            read_only: Some(true),
        }),
        ..Volume::default()
    });
    let scratch = Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(pods.owner)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            restart_policy: Some("Never".to_owned()),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            node_selector: (!node_selector.is_empty()).then(|| node_selector.clone()),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            containers: vec![container(
                pods,
                resources.clone().unwrap_or_else(default_resources),
            )],
            volumes: Some(std::iter::once(scratch).chain(claims).collect()),
            ..PodSpec::default()
        }),
    }
}

/// Evictions don't count as failures, and bad input isn't tried again.
fn failure_policy() -> PodFailurePolicy {
    let disrupted = PodFailurePolicyOnPodConditionsPattern {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
    };
    let refused = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some("trainer".to_owned()),
        operator: "In".to_owned(),
        values: vec![BAD_INPUT],
    };
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".to_owned(),
                on_pod_conditions: Some(vec![disrupted]),
                ..PodFailurePolicyRule::default()
            },
            PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_exit_codes: Some(refused),
                ..PodFailurePolicyRule::default()
            },
        ],
    }
}

fn container(pods: &Pods<'_>, resources: ResourceRequirements) -> Container {
    let plain = |name: &str, value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    };
    let mut env = vec![
        plain("HAIZEN_URL", pods.http_url.to_owned()),
        plain("HAIZEN_JOB", pods.owner.uid.to_string()),
        EnvVar {
            name: "HAIZEN_TOKEN".to_owned(),
            value: None,
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: secret_name(pods.owner),
                    key: TOKEN_KEY.to_owned(),
                    optional: None,
                }),
                ..EnvVarSource::default()
            }),
        },
        EnvVar {
            name: "HAIZEN_WORKER".to_owned(),
            value: None,
            value_from: Some(EnvVarSource {
                field_ref: Some(k8s_openapi::api::core::v1::ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "metadata.name".to_owned(),
                }),
                ..EnvVarSource::default()
            }),
        },
    ];
    if let Some(threads) = threads(&resources) {
        env.push(plain("OMP_NUM_THREADS", threads.to_string()));
    }
    let mount = |name: String, path: String, read_only: bool| VolumeMount {
        name,
        mount_path: path,
        read_only: Some(read_only),
        ..VolumeMount::default()
    };
    let claims = pods.spec.volumes.iter().enumerate().map(|(index, volume)| {
        mount(
            format!("claim-{index}"),
            format!("/volumes/{}", volume.claim_name),
            true,
        )
    });
    Container {
        name: "trainer".to_owned(),
        image: Some(pods.image.to_owned()),
        env: Some(env),
        resources: Some(resources),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec!["ALL".to_owned()]),
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(
            std::iter::once(mount("tmp".into(), "/tmp".into(), false))
                .chain(claims)
                .collect(),
        ),
        ..Container::default()
    }
}

fn default_resources() -> ResourceRequirements {
    let list = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned())));
        Some(pairs.collect::<BTreeMap<_, _>>())
    };
    ResourceRequirements {
        requests: list(&[("cpu", "500m"), ("memory", "768Mi")]),
        limits: list(&[("memory", "3Gi")]),
        ..ResourceRequirements::default()
    }
}

/// As many threads as the CPU limit allows; without a limit the engine takes what it finds.
fn threads(resources: &ResourceRequirements) -> Option<u64> {
    let cpu = &resources.limits.as_ref()?.get("cpu")?.0;
    let cores: f64 = match cpu.strip_suffix('m') {
        Some(milli) => milli.parse::<f64>().ok()? / 1000.0,
        None => cpu.parse().ok()?,
    };
    (cores.is_finite() && cores > 0.0).then(|| (cores.ceil() as u64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> TrainerSpec {
        serde_json::from_str(yaml).unwrap()
    }

    fn made(spec: &TrainerSpec, attempt: i32) -> Job {
        let owner = Owner {
            namespace: "shop".into(),
            name: "dish".into(),
            uid: Uuid::nil(),
        };
        let trials = ["a".to_owned(), "b".to_owned()];
        job(&Pods {
            owner: &owner,
            spec,
            image: "trainer:1",
            http_url: "http://op:8080",
            trials: &trials,
            parallelism: 5,
            attempt,
        })
    }

    #[test]
    fn pods_are_restricted_and_know_only_their_job() {
        let job = made(
            &spec(r#"{"resources":{"limits":{"cpu":"1500m"}},"volumes":[{"claimName":"dishes"}]}"#),
            0,
        );
        let text = serde_json::to_string_pretty(&job).unwrap();
        for part in [
            r#""automountServiceAccountToken": false"#,
            r#""runAsNonRoot": true"#,
            r#""allowPrivilegeEscalation": false"#,
            r#""readOnlyRootFilesystem": true"#,
            r#""type": "RuntimeDefault""#,
            r#""completions": 2"#,
            r#""secretKeyRef""#,
            r#""mountPath": "/volumes/dishes""#,
            r#""kind": "NasJob""#,
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let pod = job.spec.unwrap().template.spec.unwrap();
        let env = pod.containers[0].env.clone().unwrap();
        let threads = env
            .iter()
            .find(|e| e.name == "OMP_NUM_THREADS")
            .and_then(|e| e.value.clone());
        assert_eq!(threads.as_deref(), Some("2"));
    }

    #[test]
    fn another_content_is_another_job() {
        let name = |spec: &TrainerSpec, attempt| made(spec, attempt).metadata.name.unwrap();
        let plain = spec("{}");
        assert_eq!(name(&plain, 0), name(&plain, 0));
        assert_ne!(name(&plain, 0), name(&plain, 1));
        assert_ne!(
            name(&plain, 0),
            name(&spec(r#"{"nodeSelector":{"gpu":"yes"}}"#), 0)
        );
    }
}
