use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const S: Duration = Duration::from_secs(1);

fn boot(number: u128) -> BootId {
    BootId(uuid::Uuid::from_u128(number))
}

fn open(dir: &Path, number: u128, bounds: Bounds) -> Outbox {
    Outbox::open(dir, boot(number), bounds, SystemTime::now()).unwrap()
}

fn receipt(number: u128, seq: u64) -> Committed {
    Committed {
        version: 1,
        boot_id: boot(number),
        seq,
    }
}

fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

/// What is sent, as `boot/stream:numbers`.
fn take(outbox: &mut Outbox, now: Duration) -> String {
    let text = |batch: &Outgoing| {
        let numbers: Vec<_> = batch
            .samples
            .iter()
            .map(|sample| sample.seq.to_string())
            .collect();
        format!(
            "{}/{}:{}",
            batch.boot_id.0.as_u128(),
            batch.stream,
            numbers.join(",")
        )
    };
    outbox
        .take(now)
        .unwrap()
        .iter()
        .map(text)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn leaves_only_with_the_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = open(dir.path(), 1, Bounds::default());
    for (index, name) in ["a", "b", "a"].into_iter().enumerate() {
        assert_eq!(
            outbox.append(&stream(name), 5, json!({"n": index})).unwrap(),
            index as u64 + 1
        );
    }
    assert_eq!(take(&mut outbox, S), "1/a:1,3 1/b:2");
    assert_eq!(take(&mut outbox, 2 * S), "");
    assert_eq!(take(&mut outbox, 12 * S), "1/a:1,3 1/b:2", "no receipt came");
    outbox.commit(receipt(1, 2), 13 * S).unwrap();
    outbox.commit(receipt(1, 2), 20 * S).unwrap();
    assert_eq!(take(&mut outbox, 22 * S), "");
    assert_eq!(
        take(&mut outbox, 23 * S),
        "1/a:3",
        "the same receipt again puts nothing off"
    );
    assert_eq!(
        outbox.state(),
        OutboxState {
            last_seq: 3,
            waiting: 1,
            overflowed: 0
        }
    );
    outbox.commit(receipt(1, 3), 13 * S).unwrap();
    assert_eq!(outbox.state().waiting, 0);
    assert_eq!(take(&mut outbox, 99 * S), "");
    assert_eq!(outbox.append(&stream("a"), 5, json!(1)).unwrap(), 4);
    assert_eq!(take(&mut outbox, 99 * S), "1/a:4");
}

#[test]
fn an_earlier_boot_is_sent_first_and_apart() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), 1, Bounds::default())
        .append(&stream("a"), 0, json!(1))
        .unwrap();
    let mut outbox = open(dir.path(), 2, Bounds::default());
    assert_eq!(outbox.append(&stream("a"), 0, json!(1)).unwrap(), 1);
    assert_eq!(take(&mut outbox, S), "1/a:1");
    assert_eq!(take(&mut outbox, S), "2/a:1");
    outbox.rewind();
    assert_eq!(take(&mut outbox, S), "1/a:1");
    outbox.commit(receipt(1, 1), S).unwrap();
    assert_eq!(take(&mut outbox, S), "2/a:1");
}

#[test]
fn a_torn_line_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = open(dir.path(), 1, Bounds::default());
    outbox.append(&stream("a"), 0, json!("whole")).unwrap();
    outbox.append(&stream("a"), 0, json!("torn")).unwrap();
    let path = std::fs::read_dir(dir.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let bytes = std::fs::read(&path).unwrap();
    for cut in 1..20 {
        std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        let mut outbox = open(dir.path(), 2, Bounds::default());
        assert_eq!(take(&mut outbox, S), "1/a:1");
        assert_eq!(take(&mut outbox, S), "");
    }
}

#[test]
fn a_full_outbox_refuses_before_it_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        bytes: 200,
        segment: 100,
        ..Bounds::default()
    };
    let mut outbox = open(dir.path(), 1, bounds);
    let append = |outbox: &mut Outbox| outbox.append(&stream("a"), 0, json!("twenty bytes of text"));
    let taken = std::iter::from_fn(|| append(&mut outbox).ok()).count() as u64;
    assert!(matches!(append(&mut outbox), Err(OutboxError::Full { waiting }) if waiting == taken));
    assert_eq!(
        outbox.state(),
        OutboxState {
            last_seq: taken,
            waiting: taken,
            overflowed: 2
        }
    );
    outbox.commit(receipt(1, taken), S).unwrap();
    assert_eq!(append(&mut outbox).unwrap(), taken + 1);
    outbox.tidy(SystemTime::now()).unwrap();
    assert_eq!(open(dir.path(), 2, bounds).state().overflowed, 2);
}

#[test]
fn what_nobody_will_ask_for_goes_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), 1, Bounds::default())
        .append(&stream("a"), 0, json!(1))
        .unwrap();
    let later = SystemTime::now() + Duration::from_hours(8 * 24);
    let outbox = Outbox::open(dir.path(), boot(2), Bounds::default(), later).unwrap();
    assert_eq!(
        outbox.state(),
        OutboxState {
            last_seq: 0,
            waiting: 0,
            overflowed: 1
        }
    );
}

#[test]
fn sends_no_more_than_the_window_unconfirmed() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = open(
        dir.path(),
        1,
        Bounds {
            window: 100_000,
            ..Bounds::default()
        },
    );
    for _ in 0..300 {
        outbox.append(&stream("a"), 0, json!("x".repeat(950))).unwrap();
    }
    let sizes: Vec<usize> =
        std::iter::from_fn(|| outbox.take(S).unwrap().pop().map(|batch| batch.samples.len())).collect();
    assert!((100..130).contains(&sizes.iter().sum::<usize>()), "{sizes:?}");
    outbox.commit(receipt(1, 100), S).unwrap();
    assert!(!outbox.take(S).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is killed whenever: the database ends with every number of every boot, without a gap.
    #[test]
    fn nothing_given_in_is_lost(moves in prop::collection::vec(0..100_u32, 1..200)) {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { segment: 300, window: 1000, ..Bounds::default() };
        let mut number = 1;
        let mut now = S;
        let mut outbox = open(dir.path(), number, bounds);
        let mut given = BTreeSet::new();
        let mut stored = BTreeSet::new();
        let contiguous = |stored: &BTreeSet<(u128, u64)>, number| {
            (1..=1000).take_while(|seq| stored.contains(&(number, *seq))).last().unwrap_or(0)
        };
        for step in moves {
            now += S;
            match step {
                0..50 => {
                    let name = if step % 2 == 0 { "a" } else { "b" };
                    given.insert((number, outbox.append(&stream(name), 0, json!(step)).unwrap()));
                }
                50..80 => for batch in outbox.take(now).unwrap() {
                    if step % 3 != 0 {
                        let id = batch.boot_id.0.as_u128();
                        stored.extend(batch.samples.iter().map(|sample| (id, sample.seq)));
                    }
                },
                80..95 => {
                    let id = u128::from(step) % number + 1;
                    outbox.commit(receipt(id, contiguous(&stored, id)), now).unwrap();
                }
                95..97 => outbox.rewind(),
                _ => {
                    number += 1;
                    outbox = open(dir.path(), number, bounds);
                }
            }
        }
        for _ in 0..1000 {
            now += 11 * S;
            for batch in outbox.take(now).unwrap() {
                let id = batch.boot_id.0.as_u128();
                stored.extend(batch.samples.iter().map(|sample| (id, sample.seq)));
            }
            for id in 1..=number {
                outbox.commit(receipt(id, contiguous(&stored, id)), now).unwrap();
            }
            if outbox.state().waiting == 0 {
                break;
            }
        }
        prop_assert_eq!(outbox.state().waiting, 0);
        prop_assert_eq!(stored, given);
    }
}
