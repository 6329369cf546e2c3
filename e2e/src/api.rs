//! The operator's HTTP answers, read through the API server, so that no port has to be opened.

use anyhow::{Context, Result};
use protocol::reported::{Reported, Running};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::lab::Lab;

/// A device as the operator knows it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    #[serde(rename = "device")]
    pub id: String,
    pub site: String,
    pub class: String,
    pub online: bool,
    pub reported: Option<Reported>,
}

impl Device {
    pub fn phase(&self) -> Option<&'static str> {
        use protocol::ack::Phase;
        let progress = self.reported.as_ref()?.progress.as_ref()?;
        Some(match progress.phase {
            Phase::Received => "Received",
            Phase::Downloading => "Downloading",
            Phase::Verified => "Verified",
            Phase::Staged => "Staged",
            Phase::Activating => "Activating",
            Phase::Baking => "Baking",
            Phase::Healthy => "Healthy",
            Phase::Failed => "Failed",
            Phase::Rejected => "Rejected",
        })
    }

    pub fn running(&self) -> Option<&Running> {
        self.reported.as_ref()?.running.as_ref()
    }

    /// Digests of the models it runs now.
    pub fn models(&self) -> Vec<String> {
        let active = self.reported.as_ref().and_then(|r| r.active.as_ref());
        active
            .map(|slot| slot.models.values().map(ToString::to_string).collect())
            .unwrap_or_default()
    }

    pub fn revision(&self) -> Option<&str> {
        Some(self.reported.as_ref()?.active.as_ref()?.revision.as_str())
    }
}

/// What is in the database of all telemetry.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    pub stored: u64,
    pub gaps: u64,
    pub duplicates: u64,
    #[serde(rename = "perDevice")]
    pub boots: Vec<Boot>,
}

/// One boot of one device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Boot {
    pub device: String,
    pub boot_id: String,
    pub stored: u64,
    pub max_seq: u64,
}

impl Boot {
    /// How many of the first `seq` samples are stored, at least: later ones may fill the count too.
    pub fn stored_of(&self, seq: u64) -> u64 {
        self.stored
            .saturating_sub(self.max_seq.saturating_sub(seq))
            .min(seq)
    }
}

impl Lab {
    pub async fn devices(&self) -> Result<Vec<Device>> {
        self.operator_json("/api/v1/devices").await
    }

    pub async fn telemetry(&self) -> Result<Telemetry> {
        self.operator_json("/api/v1/telemetry/summary").await
    }

    /// GET of a path of the operator's Service.
    pub async fn operator_text(&self, path: &str) -> Result<String> {
        let namespace = &self.namespace;
        let uri = format!("/api/v1/namespaces/{namespace}/services/haizen-operator:http/proxy{path}");
        let request = http::Request::get(&uri).body(Vec::new())?;
        self.client
            .request_text(request)
            .await
            .with_context(|| format!("GET {path} of the operator"))
    }

    async fn operator_json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let text = self.operator_text(path).await?;
        serde_json::from_str(&text).with_context(|| format!("read the answer of {path}"))
    }
}
