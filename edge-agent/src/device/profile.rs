//! Answers profile requests: the graph stands still while files are measured, one answer for all of them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use protocol::desired::ModelRef;
use protocol::id::Digest;
use protocol::profile::{
    FileContent, ProfileFile, ProfileOutcome, ProfileRequest, ProfileResponse, ProfileResult,
};
use protocol::reported::Runtime;
use protocol::topic::Channel;

use super::Device;
use crate::agent::Event;
use crate::io::inference::LazyRuntime;
use crate::io::models::Models;
use crate::profiler::Profiler;

/// Answers kept for repeated requests.
const ANSWERS: usize = 4;
/// An answer that a lost connection may have taken along.
const YOUNG: Duration = Duration::from_mins(2);

#[derive(Debug)]
pub(super) struct Answer {
    id: String,
    bytes: Vec<u8>,
    at: Instant,
}

impl Device {
    /// Sends young answers once more on a new connection: the last one may have taken them along.
    pub(super) fn repeat_answers(&self) {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in answers.iter().filter(|answer| answer.at.elapsed() < YOUNG) {
            // Lost again: the next connection tries again.
            let _ = self
                .mqtt
                .publish(Channel::ProfileResponse, answer.bytes.clone(), false);
        }
    }

    /// Sends the answer to a request once more, if it is known.
    pub(super) fn answered(&self, id: &str) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(answer) = answers.iter().find(|answer| answer.id == id) else {
            return false;
        };
        self.mqtt
            .publish(Channel::ProfileResponse, answer.bytes.clone(), false)
            .is_ok()
    }

    pub(super) fn measure(&mut self, request: ProfileRequest) {
        let (id, device, boot_id) = (request.id.clone(), self.args.device.clone(), self.boot_id);
        let (runtime, threads, scratch) = (self.runtime.clone(), self.threads, self.scratch.clone());
        let (mqtt, answers, events) = (self.mqtt.clone(), self.answers.clone(), self.events.clone());
        let stopped = self.runner.stop();
        tokio::spawn(async move {
            stopped.await;
            let count = request.files.len();
            tracing::info!(id, files = count, "measuring");
            let results = measure_all(request, &scratch, threads).await;
            let response = ProfileResponse {
                version: protocol::VERSION,
                id: id.clone(),
                device,
                boot_id,
                runtime,
                results,
            };
            match protocol::to_bytes(&response) {
                Ok(bytes) => {
                    let sent = mqtt
                        .publish(Channel::ProfileResponse, bytes.clone(), false)
                        .is_ok();
                    tracing::info!(id, files = count, sent, "measured");
                    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.truncate(ANSWERS - 1);
                    answers.push_front(Answer {
                        id,
                        bytes,
                        at: Instant::now(),
                    });
                }
                Err(error) => tracing::error!(id, %error, "the measured profile could not be encoded"),
            }
            drop(events.send(Event::Measured));
        });
    }
}

/// Asks a process of its own, so that an agent without a model never loads the runtime.
pub(super) async fn probe(threads: usize) -> Runtime {
    let asked = async {
        let program = std::env::current_exe()?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(["runtime", "--threads", &threads.to_string()])
            .kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_mins(1), command.output()).await??;
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout)?)
        } else {
            Err(std::io::Error::other(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ))
        }
    };
    asked.await.unwrap_or_else(|error: std::io::Error| {
        tracing::error!(%error, "no inference runtime: only graphs without models run here");
        Runtime {
            hash: "none".into(),
            engine: "none".into(),
            provider: "none".into(),
            threads: threads as u32,
            cpu: String::new(),
        }
    })
}

async fn measure_all(request: ProfileRequest, scratch: &Models, threads: usize) -> Vec<ProfileResult> {
    let plan = request.plan;
    let mut results = Vec::with_capacity(request.files.len());
    let mut ready = VecDeque::new();
    for file in request.files {
        match content(&file, scratch).await {
            Ok(bytes) => ready.push_back((file.sha256, bytes)),
            Err(message) => {
                results.push(ProfileResult {
                    sha256: file.sha256,
                    outcome: ProfileOutcome::Failed(message),
                });
            }
        }
    }
    let names: Vec<Digest> = ready.iter().map(|(sha256, _)| sha256.clone()).collect();
    let measured = tokio::task::spawn_blocking(move || {
        let backend = LazyRuntime;
        let mut profiler = Profiler::new(&backend, threads);
        let mut results = Vec::with_capacity(ready.len());
        for (sha256, bytes) in ready {
            let outcome = match profiler.measure(sha256.short(), &bytes, plan) {
                Ok(measured) => ProfileOutcome::Measured(measured),
                Err(error) => ProfileOutcome::Failed(error.to_string()),
            };
            results.push(ProfileResult { sha256, outcome });
        }
        results
    });
    let failed = |sha256| ProfileResult {
        sha256,
        outcome: ProfileOutcome::Failed("the measurement broke off: see the device's log".into()),
    };
    results.extend(
        measured
            .await
            .unwrap_or_else(|_| names.into_iter().map(failed).collect()),
    );
    if let Err(error) = scratch.collect(&BTreeSet::new()) {
        tracing::warn!(%error, "measured files could not be deleted");
    }
    results
}

/// The file's bytes, which have the digest they are named by.
async fn content(file: &ProfileFile, scratch: &Models) -> Result<Vec<u8>, String> {
    match &file.content {
        FileContent::Onnx(bytes) => {
            let found = Digest::of(bytes);
            if found == file.sha256 {
                Ok(bytes.clone())
            } else {
                Err(format!("the bytes have digest {found}, not {}", file.sha256))
            }
        }
        FileContent::Url { url, size } => {
            let model = ModelRef {
                sha256: file.sha256.clone(),
                size: *size,
                url: url.clone(),
            };
            let path = scratch
                .ensure(file.sha256.short(), &model)
                .await
                .map_err(|failure| failure.message)?;
            tokio::fs::read(&path)
                .await
                .map_err(|error| format!("{}: {error}", path.display()))
        }
    }
}
