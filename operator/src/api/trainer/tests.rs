use std::sync::Arc;

use clap::Parser as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::*;
use crate::args::{Args, Command};
use crate::blobs::Blobs;
use crate::change::Changes;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::store::testing::{TestDb, database};
use crate::store::trials::tests::{metrics, study};

/// The true router on a port, a database, and two jobs with the tokens `one` and `two`.
struct Server {
    address: String,
    db: TestDb,
    _blobs: tempfile::TempDir,
}

const ONE: Uuid = Uuid::nil();
const TWO: Uuid = Uuid::max();

async fn server() -> Server {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for (job, token) in [(ONE, "one"), (TWO, "two")] {
        study(&mut conn, job).await;
        studies::set_token(&mut conn, job, Digest::of(token.as_bytes()).as_str())
            .await
            .unwrap();
    }
    drop(conn);
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "operator",
        "run",
        "--database-url",
        "postgres://x",
        "--mqtt-host",
        "x",
    ];
    let Command::Run(config) = Args::try_parse_from(args).unwrap().command else {
        unreachable!()
    };
    let api = Api {
        db: db.pool.clone(),
        blobs: Blobs::in_folder(folder.path()).unwrap(),
        changes: Changes::new(),
        metrics: Arc::new(Metrics::new()),
        health: Health::waiting_for(&[]),
        config: Arc::new(*config),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/trainer/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, super::super::router(api)).await });
    Server {
        address,
        db,
        _blobs: folder,
    }
}

impl Server {
    async fn send(&self, method: Method, token: &str, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let request = Client::new().request(method, format!("{}/{path}", self.address));
        let request = request
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await.unwrap();
        (
            response.status().as_u16(),
            response.bytes().await.unwrap().to_vec(),
        )
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = self
            .send(Method::POST, token, path, body.to_string().into_bytes())
            .await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn claim(&self, worker: &str) -> (u16, Value) {
        self.post("one", &format!("jobs/{ONE}/claim"), json!({"worker": worker}))
            .await
    }

    async fn end_leases(&self) {
        let sql = "UPDATE trials SET lease_expires_at = now() + interval '300 milliseconds'";
        sqlx::query(sql).execute(&self.db.pool).await.unwrap();
    }
}

fn said((status, body): (u16, Value)) -> String {
    format!("{status} {}", body["reason"].as_str().unwrap_or("-"))
}

#[tokio::test]
async fn a_trial_from_claim_to_result() {
    let server = server().await;
    let (status, document) = server.claim("w1").await;
    assert_eq!(
        (status, document["checkpoint"].as_bool(), &document["epochs"]),
        (200, Some(false), &json!(4))
    );
    let trial = document["trial"].as_str().unwrap();
    let path = |end: &str| format!("trials/{trial}/{end}");
    let (status, body) = server.send(Method::GET, "one", &path("checkpoint"), vec![]).await;
    assert_eq!(
        (
            status,
            serde_json::from_slice::<Value>(&body).unwrap()["reason"].clone()
        ),
        (404, json!("NoCheckpoint"))
    );
    let progress =
        json!({"worker": "w1", "epoch": 1, "epochs": 4, "fraction": 0.5, "loss": 0.3, "secondsLeft": 5.0});
    assert_eq!(
        server.post("one", &path("progress"), progress).await,
        (200, json!({"leaseSeconds": 30}))
    );
    for content in [b"first".to_vec(), b"second".to_vec()] {
        let put = server
            .send(Method::PUT, "one", &path("checkpoint?worker=w1"), content)
            .await;
        assert_eq!(put.0, 204);
    }
    // The pod is gone: its replacement waits for the end of the lease and goes on where it was.
    server.end_leases().await;
    let (_, again) = server.claim("w2").await;
    let (other, resumed) = if again["trial"] == document["trial"] {
        (None, again)
    } else {
        (Some(again), server.claim("w3").await.1)
    };
    assert_eq!(
        (&resumed["trial"], &resumed["checkpoint"]),
        (&document["trial"], &json!(true)),
        "{other:?}"
    );
    let worker = if other.is_some() { "w3" } else { "w2" };
    let kept = server.send(Method::GET, "one", &path("checkpoint"), vec![]).await;
    assert_eq!(kept, (200, b"second".to_vec()));
    let lost =
        json!({"worker": "w1", "epoch": 2, "epochs": 4, "fraction": 0.0, "loss": 0.3, "secondsLeft": 5.0});
    assert_eq!(
        said(server.post("one", &path("progress"), lost).await),
        "409 TrialLost"
    );
    let model = Digest::of(b"onnx");
    let result = json!({"worker": worker, "model": model.as_str(), "size": 4, "metrics": metrics(0.9)});
    assert_eq!(
        said(server.post("one", &path("result"), result.clone()).await),
        "409 ModelMissing"
    );
    let put = |bytes: &'static [u8]| {
        let path = path(&format!("model?worker={worker}&sha256={}", model.as_str()));
        let server = &server;
        async move { server.send(Method::PUT, "one", &path, bytes.to_vec()).await }
    };
    let (status, body) = put(b"broken").await;
    assert_eq!(
        (
            status,
            serde_json::from_slice::<Value>(&body).unwrap()["reason"].clone()
        ),
        (400, json!("DigestMismatch"))
    );
    assert_eq!(put(b"onnx").await.0, 204);
    for _ in 0..2 {
        assert_eq!(server.post("one", &path("result"), result.clone()).await.0, 204);
    }
    assert_eq!(put(b"onnx").await.0, 204);
}

#[tokio::test]
async fn a_token_reaches_its_own_job_only() {
    let server = server().await;
    let (a, of_two) = (format!("trials/a-{ONE}"), format!("trials/a-{TWO}"));
    let claim = json!({"worker": "w1"});
    let failure = json!({"worker": "w1", "code": "X", "message": "", "retryable": true});
    let bad = json!({"worker": "w1", "model": Digest::of(b"").as_str(), "size": 0, "metrics": metrics(1.5)});
    for (token, path, body, expected) in [
        (
            "none",
            format!("jobs/{ONE}/claim"),
            claim.clone(),
            "401 Unauthorized",
        ),
        ("one", format!("jobs/{TWO}/claim"), claim.clone(), "403 Forbidden"),
        ("one", "jobs/nonsense/claim".to_owned(), claim, "403 Forbidden"),
        (
            "one",
            format!("{of_two}/failure"),
            failure.clone(),
            "403 Forbidden",
        ),
        (
            "one",
            "trials/zz/failure".to_owned(),
            failure.clone(),
            "404 TrialNotFound",
        ),
        ("one", format!("{a}/failure"), failure, "409 TrialLost"),
        (
            "one",
            format!("{a}/failure"),
            json!({"worker": 3}),
            "400 BadRequest",
        ),
        ("one", format!("{a}/result"), bad, "400 BadRequest"),
        (
            "one",
            format!("jobs/{ONE}/claim"),
            json!({"worker": ""}),
            "400 BadRequest",
        ),
    ] {
        assert_eq!(
            said(server.post(token, &path, body.clone()).await),
            expected,
            "{path} {body}"
        );
    }
    let (_, body) = server
        .post("none", &format!("jobs/{ONE}/claim"), json!({"worker": "w"}))
        .await;
    for field in ["code", "reason", "message", "next"] {
        assert!(!body[field].is_null(), "{field} is missing in {body}");
    }
}

#[tokio::test]
async fn nothing_left_is_said_once_every_worker_was_heard_of() {
    let server = server().await;
    let trials = [server.claim("w1").await.1, server.claim("w2").await.1].map(|d| d["trial"].clone());
    let renew = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            for (trial, worker) in trials.iter().zip(["w1", "w2"]) {
                let path = format!("trials/{}/progress", trial.as_str().unwrap());
                let progress = json!({"worker": worker, "epoch": 1, "epochs": 4, "fraction": 0.5, "loss": 0.3, "secondsLeft": 5.0});
                server.post("one", &path, progress).await;
            }
        }
    };
    let status = tokio::select! {
        (status, _) = server.claim("w3") => status,
        () = renew => unreachable!(),
    };
    assert_eq!(status, 204);
}
