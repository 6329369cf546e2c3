//! The routes over real HTTP.

use std::net::SocketAddr;

use reqwest::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Client, Method, StatusCode};

use super::*;
use crate::args::{Args, Command};
use crate::health::Dependency;
use crate::store::testing::database;

const TOKEN: &str = "let-me-in";

struct Served {
    address: SocketAddr,
    api: Api,
    http: Client,
    _folder: tempfile::TempDir,
}

async fn served(db: PgPool) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "operator",
        "run",
        "--database-url=postgres://unused/unused",
        "--mqtt-host=unused",
        "--max-blob=1000",
        &format!("--upload-token={TOKEN}"),
    ];
    let Command::Run(config) = <Args as clap::Parser>::try_parse_from(args).unwrap().command else {
        unreachable!()
    };
    let api = Api {
        db,
        blobs: Blobs::in_folder(folder.path()).unwrap(),
        changes: Changes::new(),
        metrics: Arc::new(Metrics::new()),
        health: Health::default(),
        config: Arc::new(*config),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(api.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Served {
        address,
        api,
        http: Client::new(),
        _folder: folder,
    }
}

impl Served {
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("http://{}{path}", self.address))
    }
}

#[tokio::test]
async fn a_download_is_resumed_only_on_the_same_file() {
    let served = served(database().await.pool).await;
    let digest = served
        .api
        .blobs
        .put((0..100_u8).collect::<Vec<_>>())
        .await
        .unwrap();
    let path = Blobs::url(&digest);
    let tag = format!("\"{}\"", digest.as_str());

    let whole = served.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(
        (whole.status(), whole.headers()[ETAG].to_str().unwrap()),
        (StatusCode::OK, tag.as_str())
    );
    assert_eq!(whole.headers()[ACCEPT_RANGES], "bytes");
    assert_eq!(whole.bytes().await.unwrap().len(), 100);

    let rest = served
        .request(Method::GET, &path)
        .header(RANGE, "bytes=90-")
        .header(IF_RANGE, &tag);
    let rest = rest.send().await.unwrap();
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(rest.headers()[CONTENT_RANGE], "bytes 90-99/100");
    assert_eq!(rest.bytes().await.unwrap(), (90..100_u8).collect::<Vec<_>>());

    let other = served
        .request(Method::GET, &path)
        .header(RANGE, "bytes=90-")
        .header(IF_RANGE, "\"old\"");
    assert_eq!(other.send().await.unwrap().status(), StatusCode::OK);

    let beyond = served
        .request(Method::GET, &path)
        .header(RANGE, "bytes=100-")
        .send()
        .await
        .unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()[CONTENT_RANGE], "bytes */100");

    let head = served.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(
        (head.status(), &head.headers()[CONTENT_LENGTH]),
        (StatusCode::OK, &"100".parse().unwrap())
    );

    let missing = served.request(Method::GET, &path.replace(digest.as_str(), &"0".repeat(64)));
    assert_eq!(missing.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let wrong = served
        .request(Method::GET, "/blobs/sha256/x")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_upload_needs_the_token_the_digest_and_a_sane_size() {
    let served = served(database().await.pool).await;
    let put = async |bytes: &'static [u8], name: &[u8], token: &str| {
        let path = Blobs::url(&protocol::id::Digest::of(name));
        served
            .request(Method::PUT, &path)
            .bearer_auth(token)
            .body(bytes)
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(put(b"model", b"model", "guess").await, StatusCode::UNAUTHORIZED);
    assert_eq!(put(b"model", b"another", TOKEN).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        put(&[0; 1001], &[0; 1001], TOKEN).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(put(b"model", b"model", TOKEN).await, StatusCode::NO_CONTENT);
    assert!(
        served
            .api
            .blobs
            .exists(&protocol::id::Digest::of(b"model"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn readiness_names_what_is_away() {
    let served = served(database().await.pool).await;
    let text = async |path: &str| {
        let answer = served.request(Method::GET, path).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    served
        .api
        .health
        .down(Dependency::Broker, "MQTT broker mq:1883: connection refused");
    let (status, body) = text("/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (
            503,
            r#"{"ready":false,"reasons":{"broker":"MQTT broker mq:1883: connection refused"}}"#
        )
    );
    assert_eq!(text("/healthz").await.0, 200);
    served.api.health.up(Dependency::Broker);
    assert_eq!(
        text("/readyz").await,
        (200, r#"{"ready":true,"reasons":{}}"#.into())
    );
    assert!(text("/metrics").await.1.contains("haizen_build_info"));
    let summary = r#"{"stored":0,"gaps":0,"duplicates":0,"perDevice":[]}"#;
    assert_eq!(text("/api/v1/telemetry/summary").await, (200, summary.into()));
    assert_eq!(text("/api/v1/devices").await, (200, "[]".into()));
    assert_eq!(text("/nothing").await.0, 404);
}
