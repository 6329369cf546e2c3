//! The chart on the cluster, and namespaces off it.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams};
use protocol::id::Digest;

use crate::lab::Lab;
use crate::wait::{Look, until};

/// Name of the Helm release: it gives the Services their names.
const RELEASE: &str = "haizen";

impl Lab {
    /// Installs or upgrades the release with its default values, and waits until the operator is ready.
    pub async fn install(&self) -> Result<()> {
        let tag = format!("image.tag={}", image_tag());
        let registry = format!("image.registry={}", image_registry());
        let args = [
            "upgrade",
            "--install",
            RELEASE,
            "charts/haizen",
            "-n",
            &self.namespace,
            "--create-namespace",
        ];
        // The tag stays the same over builds: another program has to look like another pod.
        let program = tokio::fs::read(self.root.join("target/fast/operator"))
            .await
            .unwrap_or_default();
        let built = format!(
            "operator.podAnnotations.haizen\\.dev/program={}",
            Digest::of(&program).short()
        );
        let values = [
            "--set",
            &tag,
            "--set",
            &registry,
            "--set-string",
            &built,
            "--wait",
            "--timeout",
            "5m",
        ];
        self.tool("helm", &[&args[..], &values[..]].concat()).await?;
        self.await_ready(Duration::from_mins(2)).await
    }

    /// Removes the release and the namespace of its devices, and the kinds unless somebody else's objects of them
    /// are left; other namespaces are left alone.
    pub async fn uninstall(&self, devices: &str) -> Result<()> {
        let limit = Duration::from_mins(3);
        self.delete_namespace(devices, limit).await?;
        self.tool(
            "helm",
            &[
                "uninstall",
                RELEASE,
                "-n",
                &self.namespace,
                "--ignore-not-found",
                "--wait",
            ],
        )
        .await?;
        self.delete_namespace(&self.namespace, limit).await?;
        self.delete_unused_kinds().await
    }

    async fn delete_unused_kinds(&self) -> Result<()> {
        let definitions = Api::<CustomResourceDefinition>::all(self.client.clone());
        for definition in crds::all() {
            let name = definition.name_any();
            let resource = ApiResource {
                group: definition.spec.group.clone(),
                version: "v1alpha1".to_owned(),
                api_version: format!("{}/v1alpha1", definition.spec.group),
                kind: definition.spec.names.kind.clone(),
                plural: definition.spec.names.plural.clone(),
            };
            let objects = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
            let unused = objects
                .list(&ListParams::default().limit(1))
                .await
                .is_ok_and(|l| l.items.is_empty());
            if unused {
                definitions.delete(&name, &DeleteParams::background()).await?;
            }
        }
        Ok(())
    }

    pub async fn await_ready(&self, limit: Duration) -> Result<()> {
        until("the operator to be ready", limit, async || {
            self.operator_text("/readyz").await?;
            Ok(Look::Done(()))
        })
        .await
    }

    /// Reference of one of our images.
    pub fn image(&self, component: &str) -> String {
        format!("{}/haizen/{component}:{}", image_registry(), image_tag())
    }

    pub(crate) async fn device_password(&self) -> Result<String> {
        let secret = Api::<Secret>::namespaced(self.client.clone(), &self.namespace)
            .get("haizen-mqtt")
            .await?;
        let password = secret.data.unwrap_or_default().remove("device-password");
        Ok(String::from_utf8(
            password
                .context("the secret haizen-mqtt has no device-password")?
                .0,
        )?)
    }

    /// Deletes a namespace and waits until it is gone; one that isn't there is fine.
    pub async fn delete_namespace(&self, name: &str, limit: Duration) -> Result<()> {
        let spaces = Api::<Namespace>::all(self.client.clone());
        if spaces.get_opt(name).await?.is_some() {
            spaces.delete(name, &DeleteParams::background()).await?;
        }
        until("the namespace to be gone", limit, async || {
            Ok(match spaces.get_opt(name).await? {
                None => Look::Done(()),
                Some(_) => Look::Not(format!("{name} is still there")),
            })
        })
        .await
    }
}

fn image_registry() -> String {
    std::env::var("REGISTRY").unwrap_or_else(|_| "localhost".to_owned())
}

fn image_tag() -> String {
    std::env::var("HAIZEN_TAG").unwrap_or_else(|_| "dev".to_owned())
}
