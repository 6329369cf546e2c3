use protocol::id::BootId;
use protocol::reported::Runtime;

use super::*;
use crate::store::testing;

fn sha(n: u8) -> Digest {
    Digest::of(&[n])
}

fn request(id: &str, device: &str, files: &[u8]) -> NewRequest {
    NewRequest {
        id: id.into(),
        job: Uuid::nil(),
        class: "pi".into(),
        runtime_hash: "rt".into(),
        device: device.into(),
        boot_id: None,
        files: files.iter().map(|n| (sha(*n), format!("block-{n}"))).collect(),
        deadline: Timestamp::MAX,
    }
}

fn measured(p50_us: f64, p95_us: f64, disturbed: bool) -> ProfileOutcome {
    ProfileOutcome::Measured(Measured {
        p50_us,
        p95_us,
        min_us: p50_us * 0.9,
        runs: 60,
        disturbed,
    })
}

fn answer(id: &str, device: &str, results: Vec<(u8, ProfileOutcome)>) -> ProfileResponse {
    ProfileResponse {
        version: 1,
        id: id.into(),
        device: device.parse().unwrap(),
        boot_id: BootId(Uuid::nil()),
        runtime: Runtime {
            hash: "rt".into(),
            engine: String::new(),
            provider: String::new(),
            threads: 1,
            cpu: String::new(),
        },
        results: results
            .into_iter()
            .map(|(n, outcome)| ProfileResult {
                sha256: sha(n),
                outcome,
            })
            .collect(),
    }
}

#[tokio::test]
async fn believes_only_what_was_asked_and_can_be_true() {
    let db = testing::database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let new = request("r1", "pi-1", &[1, 2, 3]);
    let deadline = Timestamp::from_second(4_000_000_000).unwrap();
    assert!(ask(&mut conn, &NewRequest { deadline, ..new }).await.unwrap());
    let garbage = measured(0.0, 0.0, false);
    let results = vec![
        (1, measured(100.0, 120.0, false)),
        (2, garbage),
        (3, ProfileOutcome::Failed("no kernel".into())),
        (9, measured(1.0, 2.0, false)),
    ];
    let response = answer("r1", "pi-1", results);
    let stranger = answer("r1", "pi-2", vec![(1, measured(1.0, 1.0, false))]);
    assert_eq!(record(&mut conn, &stranger).await.unwrap().unasked, 1);
    let recorded = record(&mut conn, &response).await.unwrap();
    assert_eq!(
        recorded,
        Recorded {
            measured: 1,
            failed: 1,
            implausible: 1,
            unasked: 1
        }
    );
    assert_eq!(
        record(&mut conn, &response).await.unwrap().unasked,
        4,
        "a repeated answer counts once"
    );
    let rows = rows(&db.pool, "pi", "rt").await.unwrap();
    assert_eq!(
        rows.iter()
            .map(|r| (r.key.as_str(), r.p95_us))
            .collect::<Vec<_>>(),
        [("block-1", 120.0)]
    );
    let failures = failures(&db.pool, "pi", "rt").await.unwrap();
    let kinds: Vec<_> = failures.iter().map(|f| (f.key.as_str(), f.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("block-2", FailureKind::Implausible),
            ("block-3", FailureKind::Failed)
        ]
    );
    forgive(&mut conn, "pi").await.unwrap();
    assert!(super::failures(&db.pool, "pi", "rt").await.unwrap().is_empty());
}

#[tokio::test]
async fn one_request_a_device_and_late_answers_count() {
    let db = testing::database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let deadline = Timestamp::from_second(4_000_000_000).unwrap();
    let new = |id: &str| NewRequest {
        deadline,
        ..request(id, "pi-1", &[1])
    };
    assert!(ask(&mut conn, &new("r1")).await.unwrap());
    assert!(!ask(&mut conn, &new("r2")).await.unwrap());
    let open = open_requests(&db.pool).await.unwrap();
    assert_eq!(
        (open.len(), open[0].id.as_str(), open[0].deadline),
        (1, "r1", deadline)
    );
    expire(&mut conn, "r1").await.unwrap();
    assert_eq!(silent(&db.pool, "pi").await.unwrap(), [("pi-1".to_owned(), 1)]);
    assert!(ask(&mut conn, &new("r2")).await.unwrap());
    let late = answer("r1", "pi-1", vec![(1, measured(50.0, 60.0, true))]);
    assert_eq!(record(&mut conn, &late).await.unwrap().measured, 1);
    assert_eq!(open_requests(&db.pool).await.unwrap().len(), 1);
}

#[tokio::test]
async fn keeps_the_quietest_measurement() {
    let db = testing::database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let deadline = Timestamp::from_second(4_000_000_000).unwrap();
    let tries = [
        (90.0, true),
        (130.0, false),
        (120.0, false),
        (80.0, true),
        (125.0, false),
    ];
    for (n, (p95, disturbed)) in tries.into_iter().enumerate() {
        let id = format!("r{n}");
        ask(
            &mut conn,
            &NewRequest {
                deadline,
                ..request(&id, "pi-1", &[1])
            },
        )
        .await
        .unwrap();
        let answer = answer(&id, "pi-1", vec![(1, measured(p95 / 2.0, p95, disturbed))]);
        record(&mut conn, &answer).await.unwrap();
    }
    let row = rows(&db.pool, "pi", "rt").await.unwrap().remove(0);
    assert_eq!(
        (row.p95_us, row.p50_us, row.disturbed, row.measurements),
        (120.0, 60.0, false, 5)
    );
}

#[test]
fn figures_that_cant_be_true() {
    let figures = |min_us, p50_us, p95_us, runs| Measured {
        p50_us,
        p95_us,
        min_us,
        runs,
        disturbed: false,
    };
    for (measured, expected) in [
        (figures(9.0, 10.0, 12.0, 60), None),
        (
            figures(0.0, 10.0, 12.0, 60),
            Some("min 0 us, p50 10 us, p95 12 us in 60 runs is outside 0.5 us to 60 s"),
        ),
        (
            figures(9.0, 10.0, 9.5, 60),
            Some("min 9 us, p50 10 us, p95 9.5 us in 60 runs is not in order"),
        ),
        (
            figures(9.0, 10.0, 12.0, 0),
            Some("min 9 us, p50 10 us, p95 12 us in 0 runs has no run"),
        ),
        (
            figures(9.0, f64::NAN, 12.0, 60),
            Some("min 9 us, p50 NaN us, p95 12 us in 60 runs is outside 0.5 us to 60 s"),
        ),
    ] {
        assert_eq!(implausible(&measured).as_deref(), expected);
    }
}
