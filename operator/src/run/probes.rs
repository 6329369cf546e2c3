//! Regular looks at what the operator depends on: the reasons of `/readyz`, and figures that need a query.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::health::{Dependency, Health, causes};
use crate::metrics::DeviceState;
use crate::store;

const PATIENCE: Duration = Duration::from_secs(4);

pub(super) async fn database(api: Api, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(3));
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        let answer = tokio::time::timeout(PATIENCE, sqlx::query("SELECT 1").execute(&api.db)).await;
        match answer {
            Ok(Ok(_)) => {
                api.health.up(Dependency::Postgres);
                api.metrics.db_up.set(1);
                count_devices(&api).await;
            }
            Ok(Err(error)) => down(&api, format!("Postgres: {}", causes(&error))),
            Err(_) => down(&api, format!("Postgres: no answer within {PATIENCE:?}")),
        }
    }
    Ok(())
}

pub(super) async fn kubernetes(
    api: Api,
    client: kube::Client,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(3));
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        match tokio::time::timeout(PATIENCE, missing_crds(&client)).await {
            Ok(Ok(missing)) => {
                api.health.up(Dependency::Kubernetes);
                match missing {
                    None => api.health.up(Dependency::CustomResources),
                    Some(reason) => api.health.down(Dependency::CustomResources, reason),
                }
            }
            Ok(Err(error)) => api.health.down(
                Dependency::Kubernetes,
                format!("Kubernetes API: {}", causes(&error)),
            ),
            Err(_) => api.health.down(
                Dependency::Kubernetes,
                format!("Kubernetes API: no answer within {PATIENCE:?}"),
            ),
        }
    }
    Ok(())
}

pub(super) async fn wait_for(health: &Health, dependency: Dependency) {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while !health.is_up(dependency) {
        tick.tick().await;
    }
}

fn down(api: &Api, reason: String) {
    api.metrics.db_up.set(0);
    api.health.down(Dependency::Postgres, reason);
}

async fn count_devices(api: &Api) {
    // Before the first migration there is no table: then there are no devices either.
    if let Ok(count) = store::devices::count(&api.db, api.config.device_silence()).await {
        api.metrics.devices(DeviceState::online, count.online);
        api.metrics.devices(DeviceState::offline, count.offline);
    }
}

/// Which custom resource isn't served as this binary needs it, and what to do.
async fn missing_crds(client: &kube::Client) -> Result<Option<String>, kube::Error> {
    let served: kube::Api<CustomResourceDefinition> = kube::Api::all(client.clone());
    for wanted in crds::all() {
        let Some(name) = wanted.metadata.name.as_deref() else {
            continue;
        };
        let version = wanted.spec.versions.first().map(|version| version.name.as_str());
        let is_served = served.get_opt(name).await?.is_some_and(|crd| {
            let named = crd
                .spec
                .versions
                .iter()
                .any(|v| v.served && Some(v.name.as_str()) == version);
            let conditions = crd
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            named
                && conditions
                    .iter()
                    .any(|c| c.type_ == "Established" && c.status == "True")
        });
        if !is_served {
            let version = version.unwrap_or_default();
            return Ok(Some(format!(
                "custom resource {name} {version} is not served: run `helm upgrade --install` of the chart, \
                 or `operator crds | kubectl apply --server-side -f -`"
            )));
        }
    }
    Ok(None)
}
