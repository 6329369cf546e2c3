//! YAML to the cluster by server-side apply, and back out again.

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::discovery::Scope;
use kube::{Discovery, ResourceExt};
use serde::Deserialize;

use crate::lab::Lab;

const MANAGER: &str = "haizen-e2e";

impl Lab {
    /// Applies every document of the text; a document without a namespace goes into `namespace`.
    pub async fn apply(&self, namespace: &str, yaml: &str) -> Result<()> {
        for object in documents(yaml)? {
            let api = self.api_of(namespace, &object).await?;
            let params = PatchParams::apply(MANAGER).force();
            api.patch(&object.name_any(), &params, &Patch::Apply(&object))
                .await
                .with_context(|| format!("apply {}", object.name_any()))?;
        }
        Ok(())
    }

    /// Deletes every document's object; one that isn't there is fine.
    pub async fn delete(&self, namespace: &str, yaml: &str) -> Result<()> {
        for object in documents(yaml)? {
            let api = self.api_of(namespace, &object).await?;
            match api.delete(&object.name_any(), &DeleteParams::background()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => drop(other.with_context(|| format!("delete {}", object.name_any()))?),
            }
        }
        Ok(())
    }

    async fn api_of(&self, namespace: &str, object: &DynamicObject) -> Result<Api<DynamicObject>> {
        let types = object
            .types
            .clone()
            .context("an object without apiVersion and kind")?;
        let gvk = types.try_into().context("apiVersion")?;
        let group = Discovery::new(self.client.clone()).run_aggregated().await?;
        let (resource, capabilities) = group
            .resolve_gvk(&gvk)
            .with_context(|| format!("{gvk:?} isn't served"))?;
        let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
        Ok(match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), &namespace, &resource),
        })
    }
}

fn documents(yaml: &str) -> Result<Vec<DynamicObject>> {
    yaml.split("\n---\n")
        .filter(|text| {
            text.lines()
                .any(|line| !line.trim().is_empty() && !line.starts_with('#'))
        })
        .map(|text| {
            let value: serde_json::Value = serde_saphyr::from_str(text)?;
            Ok(DynamicObject::deserialize(value)?)
        })
        .collect()
}
