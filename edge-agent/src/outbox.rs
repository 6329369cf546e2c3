//! Store-and-forward for results: what a sink gives in is numbered and on the disk before the call returns, and
//! leaves the disk only when the receipt says that it is in the database.
//!
//! Numbers count within one start of the process and have no gap: when the outbox is full, new samples are refused
//! *before* they get a number, and counted. A sample is at most `max_age` old: a finished boot that old is dropped
//! whole, so that the rest of it is never asked for. Samples may be sent twice, never not at all.

mod segment;
#[cfg(test)]
mod tests;

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
            max_age: Duration::from_hours(7 * 24),
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
