//! One download with its retries.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt;
use protocol::desired::ModelRef;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use tokio::time::Instant;

use super::{Models, remove};
use crate::agent::Failure;
use crate::io::jitter;

/// What one try came to.
enum Try {
    /// All bytes are in the part file.
    Whole,
    /// Worth another try, which goes on from here.
    Cut(String),
    /// A refusal that may be the server's passing state.
    Refused(String),
    /// No try will end better.
    Failed(Failure),
}

/// A server that refuses so often in a row won't take it back.
const MAX_REFUSALS: u32 = 5;
/// Wrong bytes may come from a damaged part file once; twice they are the server's.
const MAX_MISMATCHES: u32 = 2;

impl Models {
    pub(super) async fn download(&self, name: &str, model: &ModelRef) -> Result<(), Failure> {
        let failed = |text: String| Failure::new("DownloadFailed", format!("model {name}: {text}"));
        let url = self.url(&model.url).map_err(failed)?;
        let part = self.part(model);
        let (mut progress, mut have) = (Instant::now(), size_of(&part));
        let (mut tries, mut refusals, mut mismatches) = (0_u32, 0, 0);
        loop {
            let problem = match self.attempt(name, model, &url).await {
                Try::Whole => match self.settle(name, model).await? {
                    None => return Ok(()),
                    Some(failure) => {
                        mismatches += 1;
                        if mismatches >= MAX_MISMATCHES {
                            return Err(failure);
                        }
                        failure.message
                    }
                },
                Try::Failed(failure) => return Err(failure),
                Try::Refused(problem) => {
                    refusals += 1;
                    if refusals >= MAX_REFUSALS {
                        return Err(failed(problem));
                    }
                    problem
                }
                Try::Cut(problem) => problem,
            };
            let now_have = size_of(&part);
            if now_have > have {
                (progress, tries) = (Instant::now(), 0);
            }
            have = now_have;
            if progress.elapsed() > self.limits.give_up {
                return Err(failed(format!(
                    "nothing came for {:?}: {problem}",
                    self.limits.give_up
                )));
            }
            let wait = self
                .limits
                .retry
                .saturating_mul(1 << tries.min(10))
                .min(self.limits.retry_limit);
            tries += 1;
            tracing::info!(
                model = name,
                have,
                size = model.size,
                ?wait,
                problem,
                "download goes on after a wait"
            );
            tokio::time::sleep(jitter(wait)).await;
        }
    }

    /// Checks the whole part file and gives it its name; wrong bytes are deleted and described.
    async fn settle(&self, name: &str, model: &ModelRef) -> Result<Option<Failure>, Failure> {
        let part = self.part(model);
        let found = self
            .verify(&part, &model.sha256)
            .await
            .map_err(|e| disk(name, &e))?;
        let Some(found) = found else {
            self.adopt(&part, &model.sha256).map_err(|e| disk(name, &e))?;
            remove(&self.etag(model)).map_err(|e| disk(name, &e))?;
            return Ok(None);
        };
        remove(&part).map_err(|e| disk(name, &e))?;
        let message = format!(
            "model {name}: {} gave bytes of digest {found}, the document says {}",
            model.url, model.sha256
        );
        Ok(Some(Failure::new("DigestMismatch", message)))
    }

    async fn attempt(&self, name: &str, model: &ModelRef, url: &str) -> Try {
        let part = self.part(model);
        let have = size_of(&part);
        if have == model.size && have > 0 {
            return Try::Whole;
        }
        let mut request = self.http.get(url);
        let etag = std::fs::read_to_string(self.etag(model)).ok();
        // Without a tag nothing says that the rest belongs to what is here; the digest would tell, but late.
        if let Some(etag) = etag.filter(|_| have > 0 && have < model.size) {
            request = request
                .header(RANGE, format!("bytes={have}-"))
                .header(IF_RANGE, etag);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Try::Cut(describe(&error)),
        };
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range_start(response.headers()) == Some(have) => have,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                let problem = format!("{url} answered another range than was asked for");
                return remove(&part)
                    .map_or_else(|e| Try::Failed(disk(name, &e)), |()| Try::Refused(problem));
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Try::Cut(format!("{url} answered {status}"));
            }
            status => return Try::Refused(format!("{url} answered {status}")),
        };
        match self.receive(model, start, response).await {
            Ok(outcome) => outcome,
            Err(error) => Try::Failed(disk(name, &error)),
        }
    }

    async fn receive(&self, model: &ModelRef, start: u64, response: reqwest::Response) -> io::Result<Try> {
        let too_large = |size: u64| {
            let message = format!(
                "{} sends {size} bytes or more, the document says {}",
                model.url, model.size
            );
            Try::Failed(Failure::new("TooLarge", message))
        };
        if let Some(size) = response.content_length().filter(|size| start + size > model.size) {
            return Ok(too_large(start + size));
        }
        if start == 0 {
            match response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()) {
                // A weak tag promises no equal bytes.
                Some(tag) if !tag.starts_with("W/") => std::fs::write(self.etag(model), tag)?,
                _ => remove(&self.etag(model))?,
            }
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.part(model))?;
        file.set_len(start)?;
        tracing::info!(
            url = model.url,
            from = start,
            size = model.size,
            "{}",
            if start > 0 {
                "resuming a download"
            } else {
                "downloading"
            }
        );
        let mut have = start;
        let begun = Instant::now();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => return Ok(Try::Cut(describe(&error))),
            };
            have += chunk.len() as u64;
            if have > model.size {
                drop(file);
                remove(&self.part(model))?;
                return Ok(too_large(have));
            }
            file.write_all(&chunk)?;
            if let Some(rate) = self.limits.rate {
                // Not reading is what slows a sender down.
                let due = Duration::from_secs_f64((have - start) as f64 / rate.get() as f64);
                tokio::time::sleep_until(begun + due).await;
            }
        }
        if have < model.size {
            return Ok(Try::Cut(format!(
                "{} ended at {have} of {} bytes",
                model.url, model.size
            )));
        }
        Ok(Try::Whole)
    }

    fn url(&self, url: &str) -> Result<String, String> {
        if url.starts_with("http://") || url.starts_with("https://") {
            return Ok(url.to_owned());
        }
        match &self.base {
            Some(base) if url.starts_with('/') => Ok(format!("{}{url}", base.trim_end_matches('/'))),
            Some(_) => Err(format!("{url:?} is no URL and no absolute path")),
            None => Err(format!(
                "{url:?} is a path, but no HTTP address is set: give HAIZEN_HTTP"
            )),
        }
    }

    fn part(&self, model: &ModelRef) -> PathBuf {
        self.dir.join(format!("{}.part", model.sha256.as_str()))
    }

    fn etag(&self, model: &ModelRef) -> PathBuf {
        self.dir.join(format!("{}.etag", model.sha256.as_str()))
    }
}

fn size_of(path: &std::path::Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn disk(name: &str, error: &io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::StorageFull {
        "DiskFull"
    } else {
        "DiskFailed"
    };
    Failure::new(code, format!("model {name}: {error}"))
}

/// An error with its causes: the outermost of an HTTP client says little.
fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
