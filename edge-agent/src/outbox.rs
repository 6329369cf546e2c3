//! Store-and-forward for results: what a sink gives in is numbered and on the disk before the call returns, and
//! leaves the disk only when the receipt says that it is in the database.
//!
//! Numbers count within one start of the process and have no gap: when the outbox is full, new samples are refused
//! *before* they get a number, and counted. A sample is at most `max_age` old: a finished boot that old is dropped
//! whole, so that the rest of it is never asked for. Samples may be sent twice, never not at all.

mod segment;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use protocol::id::{BootId, StreamId};
use protocol::reported::OutboxState;
use protocol::telemetry::{Committed, Sample};
use serde::{Deserialize, Serialize};

use segment::Segment;

/// Bounds of the outbox.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub bytes: u64,
    pub max_age: Duration,
    /// A file of samples is closed at this size; whole files are deleted.
    pub segment: u64,
    /// Bytes sent and not yet confirmed.
    pub window: u64,
    /// What is not confirmed for so long is sent again.
    pub resend: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            max_age: Duration::from_secs(7 * 24 * 3600),
            segment: 256 << 10,
            window: 256 << 10,
            resend: Duration::from_secs(10),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("outbox {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("outbox is full: {waiting} samples wait for the receipt of the database")]
    Full { waiting: u64 },
    #[error("a sample of {size} bytes is larger than {MAX_SAMPLE}")]
    TooLarge { size: usize },
}

/// Largest sample, so that any batch fits into its message.
pub const MAX_SAMPLE: usize = 32 * 1024;
/// Samples of one batch are at most so many bytes.
const MAX_BATCH: usize = 60 * 1024;

/// Samples of one stream and boot, ready to be sent.
#[derive(Debug, PartialEq)]
pub struct Outgoing {
    pub stream: StreamId,
    pub boot_id: BootId,
    pub samples: Vec<Sample>,
}

/// One line of a segment.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    stream: StreamId,
    #[serde(flatten)]
    sample: Sample,
}

/// Samples that may not be on the disk for good.
#[derive(Debug)]
pub struct Unsynced {
    file: File,
    dir: PathBuf,
}

impl Unsynced {
    pub fn sync(self) -> Result<(), OutboxError> {
        self.file.sync_data().map_err(at(&self.dir))?;
        // The file's name must outlive a power loss, too.
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(at(&self.dir))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    dir: PathBuf,
    bounds: Bounds,
    boot_id: BootId,
    /// Oldest first; the last one takes new samples if it is of this boot.
    segments: VecDeque<Segment>,
    last_seq: u64,
    overflowed: u64,
    /// Where sending goes on: index into `segments` and bytes within.
    cursor: (usize, u64),
    /// Sent bytes that wait for a receipt, and since when the oldest of them.
    unconfirmed: u64,
    sent_at: Option<Duration>,
}

impl Outbox {
    /// Opens what earlier boots left; a torn last line, the mark of a power loss, is cut off.
    pub fn open(dir: &Path, boot_id: BootId, bounds: Bounds, now: SystemTime) -> Result<Self, OutboxError> {
        std::fs::create_dir_all(dir).map_err(at(dir))?;
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(at(dir))? {
            let path = entry.map_err(at(dir))?.path();
            if let Some(segment) = Segment::recover(&path).map_err(at(&path))? {
                segments.push(segment);
            }
        }
        // By boot, the oldest first; within a boot by number, whatever the clock did.
        let mut ended: BTreeMap<BootId, SystemTime> = BTreeMap::new();
        for segment in &segments {
            let end = ended.entry(segment.boot_id).or_insert(segment.modified);
            *end = segment.modified.max(*end);
        }
        segments.sort_by_key(|segment| {
            (
                ended.get(&segment.boot_id).copied(),
                segment.boot_id,
                segment.first,
            )
        });
        let overflowed = std::fs::read_to_string(dir.join(OVERFLOWED)).ok();
        let mut outbox = Self {
            dir: dir.to_owned(),
            bounds,
            boot_id,
            segments: segments.into(),
            last_seq: 0,
            overflowed: overflowed.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
            cursor: (0, 0),
            unconfirmed: 0,
            sent_at: None,
        };
        outbox.drop_aged(now)?;
        Ok(outbox)
    }

    /// Takes a sample in and gives it its number.
    pub fn append(
        &mut self,
        stream: &StreamId,
        t: i64,
        value: serde_json::Value,
    ) -> Result<u64, OutboxError> {
        let seq = self.last_seq + 1;
        let entry = Entry {
            stream: stream.clone(),
            sample: Sample { seq, t, value },
        };
        let mut line = serde_json::to_vec(&entry)
            .map_err(io::Error::from)
            .map_err(at(&self.dir))?;
        line.push(b'\n');
        if line.len() > MAX_SAMPLE {
            return Err(OutboxError::TooLarge { size: line.len() });
        }
        if self.bytes() + line.len() as u64 > self.bounds.bytes {
            self.overflowed += 1;
            return Err(OutboxError::Full {
                waiting: self.waiting(),
            });
        }
        if !self
            .segments
            .back()
            .is_some_and(|last| last.takes(self.boot_id, self.bounds.segment))
        {
            let segment = Segment::create(&self.dir, self.boot_id, seq).map_err(at(&self.dir))?;
            self.segments.push_back(segment);
        }
        if let Some(last) = self.segments.back_mut() {
            last.append(&line).map_err(at(&self.dir))?;
        }
        self.last_seq = seq;
        Ok(seq)
    }

    /// What to send now, at most one batch a stream; empty when all is sent or the window is full.
    pub fn take(&mut self, now: Duration) -> Result<Vec<Outgoing>, OutboxError> {
        if self
            .sent_at
            .is_some_and(|sent| now.saturating_sub(sent) >= self.bounds.resend)
        {
            self.rewind();
        }
        if self.unconfirmed >= self.bounds.window {
            return Ok(Vec::new());
        }
        let mut batches: Vec<Outgoing> = Vec::new();
        while batches.is_empty() {
            let (index, offset) = self.cursor;
            let Some(segment) = self.segments.get(index) else {
                return Ok(Vec::new());
            };
            let (entries, end) = segment.read(offset, MAX_BATCH).map_err(at(&self.dir))?;
            if end == offset {
                if index + 1 >= self.segments.len() {
                    return Ok(Vec::new());
                }
                self.cursor = (index + 1, 0);
                continue;
            }
            self.cursor.1 = end;
            let entries = entries
                .into_iter()
                .filter(|entry| segment.awaits(entry.sample.seq));
            for Entry { stream, sample } in entries {
                match batches.iter_mut().find(|batch| batch.stream == stream) {
                    Some(batch) => batch.samples.push(sample),
                    None => batches.push(Outgoing {
                        stream,
                        boot_id: segment.boot_id,
                        samples: vec![sample],
                    }),
                }
            }
        }
        self.unconfirmed = self.sent_unconfirmed();
        self.sent_at = self.sent_at.or(Some(now));
        Ok(batches)
    }

    /// Forgets what is in the database.
    pub fn commit(&mut self, receipt: Committed, now: Duration) -> Result<(), OutboxError> {
        let before = self.waiting();
        let mut index = 0;
        while let Some(segment) = self.segments.get_mut(index) {
            if segment.boot_id != receipt.boot_id || !segment.commit(receipt.seq) {
                index += 1;
                continue;
            }
            segment.delete().map_err(at(&self.dir))?;
            self.segments.remove(index);
            match self.cursor.0.cmp(&index) {
                std::cmp::Ordering::Greater => self.cursor.0 -= 1,
                std::cmp::Ordering::Equal => self.cursor.1 = 0,
                std::cmp::Ordering::Less => {}
            }
        }
        self.unconfirmed = self.sent_unconfirmed();
        // A receipt that says nothing new must not put off the repeat of what was lost on the way.
        if self.waiting() < before {
            self.sent_at = (self.unconfirmed > 0).then_some(now);
        }
        Ok(())
    }

    /// Sends everything unconfirmed again: the connection is new, or the receipt is overdue.
    pub fn rewind(&mut self) {
        self.cursor = (0, 0);
        self.unconfirmed = 0;
        self.sent_at = None;
    }

    pub fn state(&self) -> OutboxState {
        OutboxState {
            last_seq: self.last_seq,
            waiting: self.waiting(),
            overflowed: self.overflowed,
        }
    }

    /// Deletes boots that nobody will ask for any more and writes down how much was refused.
    pub fn tidy(&mut self, now: SystemTime) -> Result<(), OutboxError> {
        self.drop_aged(now)?;
        let path = self.dir.join(OVERFLOWED);
        if self.overflowed > 0 {
            std::fs::write(&path, self.overflowed.to_string()).map_err(at(&path))?;
        }
        Ok(())
    }

    /// What to sync, if samples came in since the last call: the caller does it without holding the outbox, so
    /// that no sink waits for the disk. A kill of the process loses nothing even without; a power loss would.
    pub fn unsynced(&mut self) -> Result<Option<Unsynced>, OutboxError> {
        let file = self
            .segments
            .back_mut()
            .map_or(Ok(None), Segment::unsynced)
            .map_err(at(&self.dir))?;
        Ok(file.map(|file| Unsynced {
            file,
            dir: self.dir.clone(),
        }))
    }

    fn drop_aged(&mut self, now: SystemTime) -> Result<(), OutboxError> {
        let fresh = |modified: SystemTime| {
            now.duration_since(modified)
                .is_ok_and(|age| age <= self.bounds.max_age)
                || modified > now
        };
        let kept: Vec<BootId> = self
            .segments
            .iter()
            .filter(|s| fresh(s.modified))
            .map(|s| s.boot_id)
            .chain([self.boot_id])
            .collect();
        if self
            .segments
            .iter()
            .all(|segment| kept.contains(&segment.boot_id))
        {
            return Ok(());
        }
        for segment in self
            .segments
            .iter_mut()
            .filter(|segment| !kept.contains(&segment.boot_id))
        {
            self.overflowed += segment.waiting();
            segment.delete().map_err(at(&self.dir))?;
        }
        self.segments.retain(|segment| kept.contains(&segment.boot_id));
        self.rewind();
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn waiting(&self) -> u64 {
        self.segments.iter().map(Segment::waiting).sum()
    }

    /// An upper bound: a segment that is confirmed in part counts whole up to the cursor.
    fn sent_unconfirmed(&self) -> u64 {
        let open = |(index, segment): (usize, &Segment)| {
            let sent = match index.cmp(&self.cursor.0) {
                std::cmp::Ordering::Less => segment.bytes,
                std::cmp::Ordering::Equal => self.cursor.1,
                std::cmp::Ordering::Greater => 0,
            };
            segment.unconfirmed(sent)
        };
        self.segments.iter().enumerate().map(open).sum()
    }
}

const OVERFLOWED: &str = "overflowed";

fn at(path: &Path) -> impl FnOnce(io::Error) -> OutboxError {
    let path = path.to_owned();
    move |source| OutboxError::Io { path, source }
}

#[cfg(test)]
mod tests {
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
        let later = SystemTime::now() + Duration::from_secs(8 * 24 * 3600);
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
                (1..).take_while(|seq| stored.contains(&(number, *seq))).last().unwrap_or(0)
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
}
