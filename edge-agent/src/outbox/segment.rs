//! One file of the outbox: samples of one boot as lines of JSON, in the order of their numbers.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use protocol::id::BootId;

use super::Entry;

#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    pub boot_id: BootId,
    /// Number of the first line; the rest follows without a gap.
    pub first: u64,
    count: u64,
    pub bytes: u64,
    pub modified: SystemTime,
    /// Highest number known to be in the database.
    committed: u64,
    /// Open for new lines: only the newest segment of this boot.
    writer: Option<File>,
    dirty: bool,
}

impl Segment {
    pub fn create(dir: &Path, boot_id: BootId, first: u64) -> io::Result<Self> {
        let path = dir.join(format!("{boot_id}.{first:012}{SUFFIX}"));
        let writer = OpenOptions::new().create_new(true).append(true).open(&path)?;
        Ok(Self {
            path,
            boot_id,
            first,
            count: 0,
            bytes: 0,
            modified: SystemTime::now(),
            committed: first - 1,
            writer: Some(writer),
            dirty: true,
        })
    }

    /// Reads what an earlier process left; `None` for what is no segment or holds nothing.
    pub fn recover(path: &Path) -> io::Result<Option<Self>> {
        let Some((boot_id, first)) = parse_name(path) else {
            return Ok(None);
        };
        let modified = path.metadata()?.modified()?;
        let mut reader = BufReader::new(File::open(path)?);
        let (mut count, mut bytes, mut line) = (0, 0, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            let whole = serde_json::from_slice::<Entry>(&line).is_ok_and(|e| e.sample.seq == first + count);
            if !whole || line.last() != Some(&b'\n') {
                break;
            }
            count += 1;
            bytes += read as u64;
        }
        if count == 0 {
            std::fs::remove_file(path)?;
            return Ok(None);
        }
        if path.metadata()?.len() > bytes {
            OpenOptions::new().write(true).open(path)?.set_len(bytes)?;
        }
        let committed = first - 1;
        let path = path.to_owned();
        Ok(Some(Self {
            path,
            boot_id,
            first,
            count,
            bytes,
            modified,
            committed,
            writer: None,
            dirty: false,
        }))
    }

    pub fn takes(&self, boot_id: BootId, limit: u64) -> bool {
        self.boot_id == boot_id && self.writer.is_some() && self.bytes < limit
    }

    /// All or nothing: a line that could not be written whole is cut off again.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(writer) = &mut self.writer else {
            return Err(io::Error::other("the segment is closed"));
        };
        if let Err(error) = writer.write_all(line) {
            writer.set_len(self.bytes)?;
            return Err(error);
        }
        self.count += 1;
        self.bytes += line.len() as u64;
        self.modified = SystemTime::now();
        self.dirty = true;
        Ok(())
    }

    /// The file, if it has lines that may not be on the disk yet.
    pub fn unsynced(&mut self) -> io::Result<Option<File>> {
        match self.writer.as_ref().filter(|_| self.dirty) {
            Some(writer) => {
                self.dirty = false;
                writer.try_clone().map(Some)
            }
            None => Ok(None),
        }
    }

    /// Whole lines from `offset` on, at most `limit` bytes of them (but one line at least), and where they end.
    pub fn read(&self, offset: u64, limit: usize) -> io::Result<(Vec<Entry>, u64)> {
        if offset >= self.bytes {
            return Ok((Vec::new(), offset));
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take((self.bytes - offset).min(limit as u64))
            .read_to_end(&mut bytes)?;
        let end = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let lines = bytes.get(..end).unwrap_or_default();
        let entries: Vec<Entry> = lines
            .split_inclusive(|byte| *byte == b'\n')
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()?;
        Ok((entries, offset + end as u64))
    }

    /// Takes note of the receipt; `true` if nothing waits here any more.
    pub fn commit(&mut self, seq: u64) -> bool {
        let last = self.first + self.count - 1;
        self.committed = self.committed.max(seq.min(last));
        self.committed == last
    }

    pub fn awaits(&self, seq: u64) -> bool {
        seq > self.committed
    }

    pub fn waiting(&self) -> u64 {
        self.first + self.count - 1 - self.committed
    }

    /// About how many of the first `sent` bytes wait for a receipt.
    pub fn unconfirmed(&self, sent: u64) -> u64 {
        let confirmed = (self.committed + 1 - self.first) * self.bytes / self.count.max(1);
        sent.saturating_sub(confirmed)
    }

    pub fn delete(&mut self) -> io::Result<()> {
        self.writer = None;
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

const SUFFIX: &str = ".jsonl";

fn parse_name(path: &Path) -> Option<(BootId, u64)> {
    let (boot_id, first) = path
        .file_name()?
        .to_str()?
        .strip_suffix(SUFFIX)?
        .split_once('.')?;
    Some((
        BootId(boot_id.parse().ok()?),
        first.parse().ok().filter(|first| *first > 0)?,
    ))
}
