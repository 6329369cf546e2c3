//! Edge agents in pods: a StatefulSet is a group of devices of one class.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::api::Device;
use crate::lab::Lab;
use crate::wait::{Look, until};

/// A group of devices of one class, one on each site.
#[derive(Debug, Clone)]
pub struct Group {
    /// Name of the StatefulSet; its devices are `NAME-0`, `NAME-1` and so on.
    pub name: String,
    pub class: String,
    pub threads: u32,
    pub count: u32,
    /// Labels of the devices, as `key=value,…`.
    pub labels: String,
    /// Further environment of the agent.
    pub env: Vec<(String, String)>,
}

impl Group {
    pub fn new(name: &str, class: &str, threads: u32, count: u32) -> Self {
        Self {
            name: name.into(),
            class: class.into(),
            threads,
            count,
            labels: "role=counter".into(),
            env: Vec::new(),
        }
    }

    pub fn labelled(mut self, labels: &str) -> Self {
        labels.clone_into(&mut self.labels);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn ids(&self) -> Vec<String> {
        (0..self.count).map(|i| format!("{}-{i}", self.name)).collect()
    }
}

impl Lab {
    /// Makes the namespace of the devices, with the credentials they need, and starts them.
    pub async fn start_devices(&self, namespace: &str, groups: &[Group]) -> Result<()> {
        let apply = PatchParams::apply("haizen-e2e").force();
        let space = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        });
        Api::<Namespace>::all(self.client.clone())
            .patch(namespace, &apply, &Patch::Apply(space))
            .await?;
        let password = self.device_password().await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "device"},
            "stringData": {"password": password},
        });
        Api::<Secret>::namespaced(self.client.clone(), namespace)
            .patch("device", &apply, &Patch::Apply(secret))
            .await?;
        let sets = Api::<StatefulSet>::namespaced(self.client.clone(), namespace);
        for group in groups {
            let set = stateful_set(group, &self.namespace, &self.image("edge-agent"));
            sets.patch(&group.name, &apply, &Patch::Apply(set)).await?;
        }
        Ok(())
    }

    /// Waits until the operator knows all of the groups' devices as online.
    pub async fn await_devices(&self, groups: &[Group], limit: Duration) -> Result<()> {
        let wanted: Vec<String> = groups.iter().flat_map(Group::ids).collect();
        until("the devices to be online", limit, async || {
            let devices = self.devices().await?;
            let online = |id: &String| devices.iter().any(|d: &Device| d.online && d.id == *id);
            let missing: Vec<_> = wanted.iter().filter(|id| !online(id)).collect();
            Ok(if missing.is_empty() {
                Look::Done(())
            } else {
                Look::Not(format!("offline: {missing:?}"))
            })
        })
        .await
    }

    /// Ends a pod at once, as a power cut does; its StatefulSet or Job starts another on the same disk.
    pub async fn kill_pod(&self, namespace: &str, name: &str) -> Result<()> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        pods.delete(
            name,
            &DeleteParams {
                grace_period_seconds: Some(0),
                ..DeleteParams::default()
            },
        )
        .await?;
        Ok(())
    }

    /// Ends the release's pods of one component at once.
    pub async fn kill_pods(&self, selector: &str) -> Result<()> {
        for name in self.running_pods(&self.namespace, selector).await? {
            self.kill_pod(&self.namespace, &name).await?;
        }
        Ok(())
    }

    /// Names of the running pods that a selector matches.
    pub async fn running_pods(&self, namespace: &str, selector: &str) -> Result<Vec<String>> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let list = pods.list(&ListParams::default().labels(selector)).await?;
        let running = |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
        Ok(list
            .items
            .into_iter()
            .filter(running)
            .filter_map(|pod| pod.metadata.name)
            .collect())
    }
}

fn stateful_set(group: &Group, release: &str, image: &str) -> Value {
    let plain = |name: &str, value: String| json!({"name": name, "value": value});
    let mut env = vec![
        json!({"name": "HAIZEN_DEVICE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        json!({"name": "INDEX", "valueFrom":
            {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}}}),
        plain("HAIZEN_SITE", "site-$(INDEX)".into()),
        plain("HAIZEN_CLASS", group.class.clone()),
        plain("HAIZEN_LABELS", group.labels.clone()),
        plain("HAIZEN_THREADS", group.threads.to_string()),
        plain("HAIZEN_BROKER", format!("haizen-mqtt.{release}.svc:1883")),
        plain(
            "HAIZEN_HTTP",
            format!("http://haizen-operator.{release}.svc:8080"),
        ),
        plain("HAIZEN_STATE", "/var/lib/haizen".into()),
        plain("HAIZEN_MQTT_USER", "device".into()),
        json!({"name": "HAIZEN_MQTT_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "device", "key": "password"}}}),
    ];
    env.extend(group.env.iter().map(|(name, value)| plain(name, value.clone())));
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": group.name},
        "spec": {
            "replicas": group.count,
            "serviceName": group.name,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": group.name}},
            "template": {
                "metadata": {"labels": {"app": group.name}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 10,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "agent", "image": image, "imagePullPolicy": "IfNotPresent",
                        "args": ["agent"],
                        "env": env,
                        "resources": {
                            "requests": {"cpu": "20m", "memory": "48Mi"},
                            "limits": {"memory": "512Mi"},
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": [
                            {"name": "state", "mountPath": "/var/lib/haizen"},
                            {"name": "tmp", "mountPath": "/tmp"},
                        ],
                    }],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "state"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "256Mi"}}},
            }],
        },
    })
}
