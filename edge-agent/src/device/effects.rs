//! Performs the agent's effects.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::desired::ModelRef;
use protocol::topic::Channel;
use serde::Serialize;

use super::Device;
use crate::agent::{Effect, Event, Failure, Installed};
use crate::io::disk::DiskError;
use crate::io::mqtt::SendError;

/// Tells people what happened; never read by the operator's decisions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notice<'a> {
    version: u32,
    device: &'a str,
    boot_id: protocol::id::BootId,
    code: &'a str,
    message: &'a str,
    at: jiff::Timestamp,
}

impl Device {
    /// An error means that nothing was performed.
    pub(super) fn perform(&mut self, effects: Vec<Effect>) -> Result<(), DiskError> {
        for effect in effects {
            match effect {
                Effect::Persist(state) => self.disk.save(&state)?,
                Effect::Ack(ack) => {
                    tracing::info!(phase = ?ack.phase, rollout = ack.rollout, generation = ack.order.generation,
                        code = ack.code, message = ack.message, "step");
                    self.send(&Channel::Ack, &*ack, false);
                }
                Effect::Report => self.pace.ask(),
                Effect::Notice(failure) => self.notice(&failure),
                Effect::Fetch { ticket, models } => self.fetch(ticket, models),
                Effect::StopFetch { ticket } => {
                    if let Some(fetch) = self.fetches.remove(&ticket) {
                        fetch.abort();
                    }
                }
                Effect::Start { run, installed } => {
                    let files = self.files(&installed);
                    self.runner.start(run, *installed, files);
                }
                Effect::Switch { run, installed } => {
                    let files = self.files(&installed);
                    self.runner.switch(run, *installed, files);
                }
                Effect::Stop => self.runner.stop_soon(),
                Effect::Measure(request) => self.measure(*request),
                Effect::Collect(keep) => {
                    if let Err(error) = self.models.collect(&keep) {
                        tracing::warn!(%error, "models that nobody needs could not be deleted");
                    }
                }
            }
        }
        Ok(())
    }

    /// Hands a message over if the broker is there. What is lost here is made good by the next report.
    pub(super) fn send<T: Serialize>(&self, channel: &Channel, message: &T, retain: bool) -> bool {
        let bytes = match protocol::to_bytes(message) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%channel, %error, "a message could not be encoded");
                return false;
            }
        };
        match self.mqtt.publish(channel.clone(), bytes, retain) {
            Ok(()) => true,
            Err(SendError::Offline) => false,
            Err(SendError::Full) => {
                tracing::warn!(%channel, "the queue to the broker is full, a message is left out");
                false
            }
        }
    }

    fn files(&self, installed: &Installed) -> BTreeMap<String, PathBuf> {
        let models = installed.models.iter();
        models
            .map(|(name, model)| (name.clone(), self.models.path(&model.sha256)))
            .collect()
    }

    fn notice(&self, failure: &Failure) {
        tracing::warn!(code = failure.code, message = failure.message, "notice");
        let notice = Notice {
            version: protocol::VERSION,
            device: self.args.device.as_str(),
            boot_id: self.boot_id,
            code: failure.code,
            message: &failure.message,
            at: jiff::Timestamp::now(),
        };
        self.send(&Channel::Event, &notice, false);
    }

    fn fetch(&mut self, ticket: u64, models: BTreeMap<String, ModelRef>) {
        let (store, events) = (self.models.clone(), self.events.clone());
        let task = tokio::spawn(async move {
            let mut outcome = Ok(());
            for (name, model) in &models {
                if let Err(failure) = store.ensure(name, model).await {
                    outcome = Err(failure);
                    break;
                }
            }
            drop(events.send(Event::Fetched { ticket, outcome }));
        });
        self.fetches.retain(|_, fetch| !fetch.is_finished());
        self.fetches.insert(ticket, task.abort_handle());
    }
}
