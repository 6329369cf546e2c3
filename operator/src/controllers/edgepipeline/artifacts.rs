//! Files that an EdgePipeline names by address: brought into the blob store in the background, checked by digest.
//!
//! A slow or wrong address never holds up a reconcile; what went wrong is tried again after a rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::edgepipeline::Artifact;
use futures::TryStreamExt as _;

use crate::blobs::{BlobError, Blobs};
use crate::change::{Change, Changes};

/// How an artifact stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// In the blob store, with its size.
    Present(u64),
    Fetching,
    Failed {
        /// CamelCase.
        reason: &'static str,
        message: String,
    },
}

/// What failed is tried again after this long.
const REST: Duration = Duration::from_secs(30);
/// From the first to the last byte.
const PATIENCE: Duration = Duration::from_mins(10);

/// By address and digest: when it failed and how, or None while it is fetched.
type Tries = HashMap<(String, String), Option<(Instant, Fetched)>>;

#[derive(Debug, Clone)]
pub struct Artifacts {
    blobs: Blobs,
    changes: Changes,
    http: reqwest::Client,
    limit: u64,
    tries: Arc<Mutex<Tries>>,
}

impl Artifacts {
    pub fn new(blobs: Blobs, changes: Changes, limit: u64) -> Self {
        Self {
            blobs,
            changes,
            http: reqwest::Client::new(),
            limit,
            tries: Arc::default(),
        }
    }

    /// Where the file stands; begins to fetch it if it is not there.
    pub async fn state(&self, artifact: &Artifact) -> Result<Fetched, BlobError> {
        if let Some(size) = self.blobs.size(&artifact.sha256).await? {
            return Ok(Fetched::Present(size));
        }
        if artifact.uri.starts_with("blob:") {
            let message = format!(
                "no file {} is in the operator's store: upload it",
                artifact.sha256
            );
            return Ok(Fetched::Failed {
                reason: "ArtifactMissing",
                message,
            });
        }
        let key = (artifact.uri.clone(), artifact.sha256.as_str().to_owned());
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        match tries.get(&key) {
            Some(None) => return Ok(Fetched::Fetching),
            Some(Some((at, failed))) if at.elapsed() < REST => return Ok(failed.clone()),
            Some(Some(_)) | None => {}
        }
        // What failed stays said while it is tried again.
        let said = tries
            .insert(key.clone(), None)
            .flatten()
            .map(|(_, failed)| failed);
        let (this, artifact) = (self.clone(), artifact.clone());
        tokio::spawn(async move {
            let outcome = tokio::time::timeout(PATIENCE, this.fetch(&artifact)).await;
            let failed = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(failed)) => Some(failed),
                Err(_) => Some(unavailable(
                    &artifact,
                    &format!("not there within {} s", PATIENCE.as_secs()),
                )),
            };
            {
                let mut tries = this.tries.lock().unwrap_or_else(PoisonError::into_inner);
                match failed {
                    Some(failed) => tries.insert(key, Some((Instant::now(), failed))),
                    None => tries.remove(&key),
                };
            }
            this.changes.notify(Change::Model);
        });
        Ok(said.unwrap_or(Fetched::Fetching))
    }

    async fn fetch(&self, artifact: &Artifact) -> Result<(), Fetched> {
        let response = self
            .http
            .get(&artifact.uri)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        let response = response.map_err(|e| unavailable(artifact, &chain(&e)))?;
        let bytes = response.bytes_stream().map_err(|e| chain(&e));
        let stored = self
            .blobs
            .put_stream(Box::pin(bytes), self.limit, Some(&artifact.sha256))
            .await;
        match stored {
            Ok(_) => Ok(()),
            Err(BlobError::DigestMismatch { expected, actual }) => Err(Fetched::Failed {
                reason: "ArtifactDigestMismatch",
                message: format!(
                    "{} has {actual}, and {expected} was asked for: correct sha256 or the file",
                    artifact.uri
                ),
            }),
            Err(BlobError::TooLarge { limit }) => Err(Fetched::Failed {
                reason: "ArtifactTooLarge",
                message: format!("{} is larger than the limit of {limit} bytes", artifact.uri),
            }),
            Err(error) => Err(unavailable(artifact, &error.to_string())),
        }
    }
}

fn unavailable(artifact: &Artifact, why: &str) -> Fetched {
    Fetched::Failed {
        reason: "ArtifactUnavailable",
        message: format!("can't fetch {}: {why}", artifact.uri),
    }
}

/// reqwest says only "error sending request" at the top.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use futures::StreamExt as _;
    use protocol::id::Digest;

    use super::*;

    #[tokio::test]
    async fn says_what_is_wrong_with_a_file() {
        let app = Router::new()
            .route("/good.onnx", get(|| async { "a model" }))
            .route("/cut.onnx", get(|| async { "a mod" }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await });
        let folder = tempfile::tempdir().unwrap();
        let changes = Changes::new();
        let mut woken = Box::pin(changes.subscribe(&[Change::Model]));
        let artifacts = Artifacts::new(Blobs::in_folder(folder.path()).unwrap(), changes, 100);
        let sha256 = Digest::of(b"a model");
        let file = |uri: String| Artifact {
            uri,
            sha256: sha256.clone(),
        };

        let cut = file(format!("http://{address}/cut.onnx"));
        let gone = file(format!("http://{address}/gone.onnx"));
        let good = file(format!("http://{address}/good.onnx"));
        for (artifact, expected) in [(&cut, "ArtifactDigestMismatch"), (&gone, "ArtifactUnavailable")] {
            assert_eq!(artifacts.state(artifact).await.unwrap(), Fetched::Fetching);
            woken.next().await;
            let Fetched::Failed { reason, message } = artifacts.state(artifact).await.unwrap() else {
                panic!("{artifact:?} is no failure")
            };
            assert_eq!(reason, expected, "{message}");
            assert!(message.contains(&artifact.uri), "{message}");
        }
        let stored = artifacts.state(&file("blob:".into())).await.unwrap();
        assert!(matches!(
            stored,
            Fetched::Failed {
                reason: "ArtifactMissing",
                ..
            }
        ));
        assert_eq!(artifacts.state(&good).await.unwrap(), Fetched::Fetching);
        woken.next().await;
        assert_eq!(
            artifacts.state(&cut).await.unwrap(),
            Fetched::Present(7),
            "the same file, wherever it came from"
        );
    }
}
