//! `operator probe URL`: asks a running operator and tells what it says. `helm test` runs it.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// One try may take this long.
const ANSWER: Duration = Duration::from_secs(5);

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct Probe {
    /// Address of the page, for instance `http://localhost:8080/readyz`.
    pub url: String,
    /// Seconds to go on asking while the answer isn't a success.
    #[arg(long, default_value_t = 0)]
    pub wait: u64,
}

/// Writes the last answer; fails if it was no success.
pub async fn probe(asked: &Probe) -> anyhow::Result<()> {
    let tries = async {
        loop {
            match ask(&asked.url).await {
                Ok(text) => return text,
                Err(error) => tracing::info!("{error:#}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let text = match tokio::time::timeout(Duration::from_secs(asked.wait), tries).await {
        Ok(text) => text,
        Err(_) => ask(&asked.url).await?,
    };
    writeln!(std::io::stdout(), "{}", text.trim()).context("writing the answer")
}

async fn ask(url: &str) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().timeout(ANSWER).build()?;
    let answer = client
        .get(url)
        .send()
        .await
        .with_context(|| format!("asking {url}"))?;
    let status = answer.status();
    let text = answer
        .text()
        .await
        .with_context(|| format!("reading the answer of {url}"))?;
    if !status.is_success() {
        bail!("{url} answers {status}: {}", text.trim());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn tells_why_an_operator_is_not_ready() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let not_ready = || async {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                r#"{"reasons":{"postgres":"refused"}}"#,
            )
        };
        let app = Router::new()
            .route("/readyz", get(not_ready))
            .route("/healthz", get(|| async { "ok" }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let asked = |path: &str| Probe {
            url: format!("{base}{path}"),
            wait: 0,
        };
        probe(&asked("/healthz")).await.unwrap();
        let error = probe(&asked("/readyz")).await.unwrap_err().to_string();
        assert!(error.contains("503") && error.contains("refused"), "{error}");
    }
}
