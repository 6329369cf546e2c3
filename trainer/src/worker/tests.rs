//! Against a server that speaks the contract and remembers what it was told.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::trainer::{JobDocument, Lease, Task, TrialFailure, TrialResult};
use serde_json::json;

use super::*;
use crate::data::tests::folder;

const ARCHITECTURE: &str = "m1/4x1/stem-h1-o8-k3-s1-relu6/ir-h16-o8-k3-s1-relu6/head-h16-o2-k1-s1-relu6";

#[derive(Default)]
struct Memory {
    document: Option<JobDocument>,
    checkpoint: Option<Bytes>,
    model: Option<(String, Bytes)>,
    result: Option<TrialResult>,
    failure: Option<TrialFailure>,
    /// Answers of this status before the right ones.
    unwell: Vec<StatusCode>,
    /// What progress is answered with.
    progress: Option<StatusCode>,
}

type Shared = Arc<Mutex<Memory>>;

async fn serve(memory: Shared) -> Client {
    crate::model::tests::one_thread();
    let claim = async |State(memory): State<Shared>, headers: HeaderMap| -> Response {
        assert_eq!(headers["authorization"], "Bearer secret");
        let mut memory = memory.lock().unwrap();
        if let Some(status) = memory.unwell.pop() {
            return status.into_response();
        }
        match memory.document.take() {
            Some(document) => Json(document).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        }
    };
    let progress = async |State(memory): State<Shared>| match memory.lock().unwrap().progress {
        Some(status) => status.into_response(),
        None => Json(Lease { lease_seconds: 30 }).into_response(),
    };
    let put_checkpoint = async |State(memory): State<Shared>, body: Bytes| {
        memory.lock().unwrap().checkpoint = Some(body);
        StatusCode::NO_CONTENT
    };
    let get_checkpoint = async |State(memory): State<Shared>| {
        memory
            .lock()
            .unwrap()
            .checkpoint
            .clone()
            .ok_or(StatusCode::NOT_FOUND)
    };
    let model = async |State(memory): State<Shared>, uri: Uri, body: Bytes| {
        memory.lock().unwrap().model = Some((uri.query().unwrap().to_owned(), body));
        StatusCode::NO_CONTENT
    };
    let result =
        async |State(memory): State<Shared>, Path(_): Path<String>, Json(body): Json<TrialResult>| {
            memory.lock().unwrap().result = Some(body);
            StatusCode::NO_CONTENT
        };
    let failure = async |State(memory): State<Shared>, Json(body): Json<TrialFailure>| {
        memory.lock().unwrap().failure = Some(body);
        StatusCode::NO_CONTENT
    };
    let routes = Router::new()
        .route("/trainer/v1/jobs/{job}/claim", post(claim))
        .route("/trainer/v1/trials/{trial}/progress", post(progress))
        .route(
            "/trainer/v1/trials/{trial}/checkpoint",
            get(get_checkpoint).put(put_checkpoint),
        )
        .route("/trainer/v1/trials/{trial}/model", axum::routing::put(model))
        .route("/trainer/v1/trials/{trial}/result", post(result))
        .route("/trainer/v1/trials/{trial}/failure", post(failure))
        .with_state(memory);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Client::new(&url, "secret", "pod-1").unwrap()
}

fn document(data: &std::path::Path, epochs: u32) -> JobDocument {
    JobDocument {
        version: protocol::VERSION,
        trial: "t1".into(),
        job: "default/dishes".into(),
        task: Task::ImageClassification {
            dataset_uri: format!("file://{}", data.display()),
            validation_split: 0.2,
            limit: None,
        },
        architecture: json!(ARCHITECTURE),
        epochs,
        seed: 3,
        lease_seconds: 30,
        checkpoint: false,
    }
}

async fn run(
    memory: &Shared,
    document: JobDocument,
    stop: watch::Receiver<bool>,
) -> Result<Done, ClientError> {
    let client = serve(memory.clone()).await;
    trial::run(&client, document, stop).await
}

/// Never stopped.
fn going_on() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    // Lives as long as the test's process.
    std::mem::forget(sender);
    receiver
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_trains_and_hands_in() {
    let (data, memory) = (folder(250), Shared::default());
    // Three steps an epoch: enough for the running statistics to arrive where the batches' own are.
    memory.lock().unwrap().document = Some(document(data.path(), 20));
    let client = serve(memory.clone()).await;
    let claimed = client.claim("j1").await.unwrap().unwrap();
    let done = trial::run(&client, claimed, going_on()).await.unwrap();
    assert!(
        matches!(done, Done::HandedIn { accuracy } if accuracy > 0.9),
        "{done:?}"
    );
    assert_eq!(client.claim("j1").await.unwrap(), None);
    let memory = memory.lock().unwrap();
    let (query, model) = memory.model.as_ref().unwrap();
    let result = memory.result.as_ref().unwrap();
    assert_eq!(*query, format!("worker=pod-1&sha256={}", result.model.as_str()));
    assert_eq!(result.model, protocol::id::Digest::of(model));
    assert_eq!(
        (result.size, result.metrics.test_images),
        (model.len() as u64, 250)
    );
    assert!(memory.checkpoint.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_pod_leaves_a_checkpoint_that_the_next_one_goes_on_from() {
    let (data, memory) = (folder(250), Shared::default());
    let (stop, stopped) = watch::channel(false);
    stop.send_replace(true);
    // More epochs than can be done before the stop is seen.
    let done = run(&memory, document(data.path(), 500), stopped).await.unwrap();
    assert_eq!(done, Done::Stopped);
    let bytes = memory.lock().unwrap().checkpoint.clone().unwrap();
    let mut place = crate::training::Checkpoint::from_bytes(&bytes).unwrap();
    assert!(place.place.step > 0);
    // Near the end, so that the next worker's steps show that it did not start over.
    place.place.step = 500 * 3 - 1;
    memory.lock().unwrap().checkpoint = Some(place.to_bytes().into());
    let next = JobDocument {
        checkpoint: true,
        ..document(data.path(), 500)
    };
    let done = run(&memory, next, going_on()).await.unwrap();
    assert!(matches!(done, Done::HandedIn { .. }), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_ends_the_training() {
    let (data, memory) = (folder(250), Shared::default());
    memory.lock().unwrap().progress = Some(StatusCode::CONFLICT);
    assert_eq!(
        run(&memory, document(data.path(), 5000), going_on())
            .await
            .unwrap(),
        Done::Lost
    );
    assert!(memory.lock().unwrap().result.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_trained_is_given_up_with_its_reason() {
    let (data, empty) = (folder(250), tempfile::tempdir().unwrap());
    let fine = document(data.path(), 1);
    let broken = [
        (
            JobDocument {
                version: 99,
                ..fine.clone()
            },
            "JobDocumentInvalid",
            false,
        ),
        (
            JobDocument {
                architecture: json!("m1/4x1/nonsense"),
                ..fine.clone()
            },
            "JobDocumentInvalid",
            false,
        ),
        (document(empty.path(), 1), "DatasetInvalid", false),
    ];
    for (document, code, retryable) in broken {
        let memory = Shared::default();
        let done = run(&memory, document, going_on()).await.unwrap();
        assert!(
            matches!(done, Done::GivenUp { code: found, .. } if found == code),
            "{done:?}"
        );
        let memory = memory.lock().unwrap();
        let failure = memory.failure.as_ref().unwrap();
        assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable));
        assert!(!failure.message.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwell_operator_is_waited_for() {
    let memory = Shared::default();
    memory.lock().unwrap().unwell = vec![StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY];
    let client = serve(memory.clone()).await;
    assert_eq!(client.claim("j1").await.unwrap(), None);
    memory.lock().unwrap().unwell = vec![StatusCode::UNAUTHORIZED];
    let error = client.claim("j1").await.unwrap_err();
    assert!(!error.is_temporary() && error.is_refused_token(), "{error}");
    let gone = Client::new("http://127.0.0.1:1", "secret", "pod-1").unwrap();
    let error = gone
        .with_patience(std::time::Duration::from_millis(300))
        .claim("j1")
        .await
        .unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(Client::new("operator:8080", "secret", "pod-1").is_err());
}
