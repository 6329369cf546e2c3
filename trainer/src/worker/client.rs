//! The operator's trainer API over HTTP. Repeats what fails for a while: an operator may be restarting.

use std::time::Duration;

use protocol::trainer::{
    ClaimRequest, JobDocument, Lease, MAX_CHECKPOINT, Progress, TrialFailure, TrialResult,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;

/// How long a request is repeated before the pod gives up: longer than an operator needs to come back.
const PATIENCE: Duration = Duration::from_mins(5);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    worker: String,
    patience: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{method} {url}: {source}")]
    Away {
        method: Method,
        url: String,
        source: reqwest::Error,
    },
    #[error("{method} {url}: the operator answered {status}: {message}")]
    Refused {
        method: Method,
        url: String,
        status: StatusCode,
        message: String,
    },
    #[error("{method} {url}: the answer can't be read: {message}")]
    Unreadable {
        method: Method,
        url: String,
        message: String,
    },
    #[error("{0:?} is no address: it looks like http://haizen-operator:8080")]
    Address(String),
    #[error("another worker has the trial")]
    Lost,
}

impl ClientError {
    /// Another try may succeed.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
            Self::Unreadable { .. } | Self::Address(_) | Self::Lost => false,
        }
    }
}

impl ClientError {
    pub(super) fn is_refused_token(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
                ..
            }
        )
    }

    /// The trial is not this worker's any more, or is gone with its job.
    pub(super) fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Lost
                | Self::Refused {
                    status: StatusCode::NOT_FOUND,
                    ..
                }
        )
    }
}

impl Client {
    pub(super) fn new(base: &str, token: &str, worker: &str) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/').to_owned();
        let address = || ClientError::Address(base.clone());
        let url = reqwest::Url::parse(&base).map_err(|_| address())?;
        if url.scheme() != "http" || url.host().is_none() {
            return Err(address());
        }
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| address())?;
        let (token, worker) = (token.to_owned(), worker.to_owned());
        Ok(Self {
            http,
            base,
            token,
            worker,
            patience: PATIENCE,
        })
    }

    #[cfg(test)]
    pub(super) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(super) fn worker(&self) -> &str {
        &self.worker
    }

    /// The next trial, `None` when nothing is left.
    pub(super) async fn claim(&self, job: &str) -> Result<Option<JobDocument>, ClientError> {
        let path = format!("/jobs/{job}/claim");
        let body = ClaimRequest {
            worker: self.worker.clone(),
        };
        let response = self
            .repeat(Method::POST, &path, |request| request.json(&body))
            .await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let unreadable = |message: String| self.unreadable(Method::POST, &path, message);
        response
            .json()
            .await
            .map(Some)
            .map_err(|error| unreadable(with_causes(&error)))
    }

    /// Renews the lease; once, since the next one follows soon.
    pub(super) async fn progress(&self, trial: &str, progress: &Progress) -> Result<Lease, ClientError> {
        let path = format!("/trials/{trial}/progress");
        let response = self
            .once(Method::POST, &path, &|request: RequestBuilder| {
                request.json(progress)
            })
            .await?;
        response
            .json()
            .await
            .map_err(|error| self.unreadable(Method::POST, &path, with_causes(&error)))
    }

    pub(super) async fn put_checkpoint(&self, trial: &str, bytes: Vec<u8>) -> Result<(), ClientError> {
        let path = format!("/trials/{trial}/checkpoint");
        let query = [("worker", self.worker.as_str())];
        self.repeat(Method::PUT, &path, |request| {
            request.query(&query).body(bytes.clone())
        })
        .await
        .map(drop)
    }

    /// `None` when there is none.
    pub(super) async fn checkpoint(&self, trial: &str) -> Result<Option<Vec<u8>>, ClientError> {
        let path = format!("/trials/{trial}/checkpoint");
        let response = match self.repeat(Method::GET, &path, |request| request).await {
            Err(ClientError::Refused {
                status: StatusCode::NOT_FOUND,
                ..
            }) => return Ok(None),
            other => other?,
        };
        if response
            .content_length()
            .is_some_and(|length| length > MAX_CHECKPOINT as u64)
        {
            return Err(self.unreadable(Method::GET, &path, format!("more than {MAX_CHECKPOINT} bytes")));
        }
        let away = |source| ClientError::Away {
            method: Method::GET,
            url: self.url(&path),
            source,
        };
        Ok(Some(response.bytes().await.map_err(away)?.to_vec()))
    }

    pub(super) async fn put_model(
        &self,
        trial: &str,
        sha256: &str,
        bytes: Vec<u8>,
    ) -> Result<(), ClientError> {
        let path = format!("/trials/{trial}/model");
        let query = [("worker", self.worker.as_str()), ("sha256", sha256)];
        self.repeat(Method::PUT, &path, |request| {
            request.query(&query).body(bytes.clone())
        })
        .await
        .map(drop)
    }

    pub(super) async fn result(&self, trial: &str, result: &TrialResult) -> Result<(), ClientError> {
        self.post(&format!("/trials/{trial}/result"), result).await
    }

    pub(super) async fn failure(&self, trial: &str, failure: &TrialFailure) -> Result<(), ClientError> {
        self.post(&format!("/trials/{trial}/failure"), failure).await
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.repeat(Method::POST, path, |request| request.json(body))
            .await
            .map(drop)
    }

    /// Sends until it is answered, refused for good, or the patience is at its end.
    async fn repeat(
        &self,
        method: Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ClientError> {
        let (started, mut pause) = (tokio::time::Instant::now(), FIRST_PAUSE);
        loop {
            match self.once(method.clone(), path, &with).await {
                Err(error) if error.is_temporary() && started.elapsed() + pause < self.patience => {
                    tracing::warn!("{error}; again in {pause:?}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                other => return other,
            }
        }
    }

    async fn once(
        &self,
        method: Method,
        path: &str,
        with: &impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ClientError> {
        let url = self.url(path);
        let request = with(self.http.request(method.clone(), &url).bearer_auth(&self.token));
        let response = match request.send().await {
            Ok(response) => response,
            Err(source) => return Err(ClientError::Away { method, url, source }),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status == StatusCode::CONFLICT {
            return Err(ClientError::Lost);
        }
        let message = response
            .text()
            .await
            .unwrap_or_default()
            .chars()
            .take(500)
            .collect();
        Err(ClientError::Refused {
            method,
            url,
            status,
            message,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/trainer/v1{path}", self.base)
    }

    fn unreadable(&self, method: Method, path: &str, message: String) -> ClientError {
        ClientError::Unreadable {
            method,
            url: self.url(path),
            message,
        }
    }
}

/// An error with what caused it: the outer text alone says "error decoding response body".
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
