use protocol::trainer::Task;

use super::*;
use crate::store::studies::{self, NewStudy};
use crate::store::testing;

const LONG: Duration = Duration::from_mins(1);

pub fn new_trial(job: Uuid, id: &str, number: i32) -> NewTrial {
    let document = JobDocument {
        version: 1,
        trial: id.into(),
        job: "shop/dish".into(),
        task: Task::ImageClassification {
            dataset_uri: "file:///data".into(),
            validation_split: 0.1,
            limit: None,
        },
        architecture: serde_json::json!("m1/…"),
        epochs: 4,
        seed: 1,
        lease_seconds: 30,
        checkpoint: false,
    };
    NewTrial {
        id: id.into(),
        job,
        key: id.into(),
        number,
        document,
    }
}

/// A study of two trials, `a` and `b`.
pub async fn study(conn: &mut PgConnection, job: Uuid) {
    let new = NewStudy {
        job,
        namespace: "shop".into(),
        name: "dish".into(),
        generation: 1,
        spec_key: "s".into(),
        search_key: "s".into(),
    };
    studies::begin(conn, &new).await.unwrap();
    for (number, id) in ["a", "b"].into_iter().enumerate() {
        want(conn, &new_trial(job, &format!("{id}-{job}"), number as i32))
            .await
            .unwrap();
    }
}

pub fn metrics(accuracy: f64) -> Metrics {
    Metrics {
        accuracy,
        validation_accuracy: accuracy,
        test_images: 10_000,
        parameters: 1,
        macs: 1,
        epochs: 4,
        train_seconds: 1.0,
        per_class_accuracy: vec![],
    }
}

fn progress(worker: &str, epoch: u32) -> Progress {
    Progress {
        worker: worker.into(),
        epoch,
        epochs: 4,
        fraction: 0.5,
        loss: 0.4,
        seconds_left: 9.0,
    }
}

fn failure(worker: &str, retryable: bool) -> TrialFailure {
    TrialFailure {
        worker: worker.into(),
        code: "LossNotFinite".into(),
        message: "at step 3".into(),
        retryable,
    }
}

async fn name(conn: &mut PgConnection, worker: &str, lease: Duration) -> Option<String> {
    let trial = claim(conn, Uuid::nil(), worker, lease).await.unwrap()?;
    Some(trial.id.chars().take(1).collect())
}

#[tokio::test]
async fn a_lost_worker_loses_its_trial_and_no_other() {
    let db = testing::database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    study(&mut conn, Uuid::nil()).await;
    let a = format!("a-{}", Uuid::nil());
    assert_eq!(name(&mut conn, "w1", LONG).await.as_deref(), Some("a"));
    assert_eq!(name(&mut conn, "w2", LONG).await.as_deref(), Some("b"));
    assert_eq!(name(&mut conn, "w3", LONG).await, None);
    assert_eq!(
        name(&mut conn, "w1", LONG).await.as_deref(),
        Some("a"),
        "its own trial comes back to it"
    );
    renew(&mut conn, &a, &progress("w1", 2), Duration::ZERO)
        .await
        .unwrap();
    renew(&mut conn, &a, &progress("w1", 2), Duration::ZERO)
        .await
        .expect("late, but nobody else took it");
    assert_eq!(name(&mut conn, "w3", LONG).await.as_deref(), Some("a"));
    let lost = renew(&mut conn, &a, &progress("w1", 3), LONG).await.unwrap_err();
    assert_eq!(
        lost.to_string(),
        format!("worker w1 has lost trial {a}: w3 has it now")
    );
    let trial = get(&mut conn, &a).await.unwrap().unwrap();
    assert_eq!((trial.progress.epoch, trial.worker.as_deref()), (2, Some("w3")));
}

#[tokio::test]
async fn two_at_once_never_get_the_same() {
    let db = testing::database().await;
    study(&mut db.pool.acquire().await.unwrap(), Uuid::nil()).await;
    let claim = async |worker: &str| {
        let mut tx = db.pool.begin().await.unwrap();
        let trial = super::claim(&mut tx, Uuid::nil(), worker, LONG).await.unwrap();
        (tx, trial.map(|trial| trial.id))
    };
    // Neither has committed when the other looks.
    let (first, one) = claim("w1").await;
    let (second, two) = claim("w2").await;
    assert!(one.is_some() && two.is_some() && one != two, "{one:?} {two:?}");
    first.commit().await.unwrap();
    second.commit().await.unwrap();
}

#[tokio::test]
async fn failures_are_tried_again_and_then_not() {
    let db = testing::database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    study(&mut conn, Uuid::nil()).await;
    let a = format!("a-{}", Uuid::nil());
    for tries in 1..=MAX_TRIES {
        assert_eq!(name(&mut conn, "w1", LONG).await.as_deref(), Some("a"));
        fail(&mut conn, &a, &failure("w1", true)).await.unwrap();
        fail(&mut conn, &a, &failure("w1", true))
            .await
            .expect("repeating it changes nothing");
        assert_eq!(get(&mut conn, &a).await.unwrap().unwrap().failures, tries);
    }
    let trial = get(&mut conn, &a).await.unwrap().unwrap();
    assert_eq!(trial.state, TrialState::Failed);
    assert_eq!(name(&mut conn, "w1", LONG).await.as_deref(), Some("b"));
    fail(&mut conn, &format!("b-{}", Uuid::nil()), &failure("w1", false))
        .await
        .unwrap();
    assert_eq!(name(&mut conn, "w1", LONG).await, None);
}

#[tokio::test]
async fn only_the_newest_two_checkpoints_stay() {
    let db = testing::database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    study(&mut conn, Uuid::nil()).await;
    let a = format!("a-{}", Uuid::nil());
    claim(&mut conn, Uuid::nil(), "w1", LONG).await.unwrap();
    let digests: Vec<_> = (0..4_u8).map(|n| Digest::of(&[n])).collect();
    let mut gone = Vec::new();
    for digest in &digests {
        gone.extend(add_checkpoint(&mut conn, &a, "w1", (digest, 1)).await.unwrap());
    }
    assert_eq!(gone, digests[..2]);
    assert_eq!(
        checkpoints(&mut conn, &a).await.unwrap(),
        [digests[3].clone(), digests[2].clone()]
    );
    // The same content again: what is still needed is not let go.
    assert!(
        add_checkpoint(&mut conn, &a, "w1", (&digests[3], 1))
            .await
            .unwrap()
            .contains(&digests[2])
    );
    assert_eq!(
        add_checkpoint(&mut conn, &a, "w1", (&digests[3], 1))
            .await
            .unwrap(),
        []
    );
    assert!(
        add_checkpoint(&mut conn, &a, "w2", (&digests[0], 1))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn what_is_trained_stays_when_a_search_begins_anew() {
    let db = testing::database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    study(&mut conn, Uuid::nil()).await;
    let (a, b) = (format!("a-{}", Uuid::nil()), format!("b-{}", Uuid::nil()));
    claim(&mut conn, Uuid::nil(), "w1", LONG).await.unwrap();
    let result = TrialResult {
        worker: "w1".into(),
        model: Digest::of(b"m"),
        size: 3,
        metrics: metrics(0.9),
    };
    let early = finish(&mut conn, &a, &result).await.unwrap_err();
    assert!(matches!(early, TrialError::ModelMissing { .. }));
    set_model(&mut conn, &a, "w1", (&result.model, 3)).await.unwrap();
    finish(&mut conn, &a, &result).await.unwrap();
    finish(&mut conn, &a, &result)
        .await
        .expect("repeating it changes nothing");
    let other = TrialResult {
        model: Digest::of(b"n"),
        ..result
    };
    assert!(matches!(
        finish(&mut conn, &a, &other).await,
        Err(TrialError::Lost { .. })
    ));
    cancel(&mut conn, &a).await.unwrap();
    cancel(&mut conn, &b).await.unwrap();
    assert_eq!(claim(&mut conn, Uuid::nil(), "w1", LONG).await.unwrap(), None);
    study(&mut conn, Uuid::nil()).await;
    let states: Vec<_> = of_job(&mut conn, Uuid::nil())
        .await
        .unwrap()
        .iter()
        .map(|t| t.state)
        .collect();
    assert_eq!(states, [TrialState::Trained, TrialState::Pending]);
}
