//! Models on the disk, named by their digest. A name without `.part` stands for verified bytes: it is given only
//! after the digest was checked, and checked again once in each life of the process before a graph opens it.
//!
//! A download goes on where it was cut (by byte range, if the server still has the same file) and is given up only
//! when the server refuses, the bytes are wrong, or nothing came for a long time.

mod download;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::desired::ModelRef;
use protocol::id::Digest;

use crate::agent::Failure;
use crate::io::disk::sync_dir;

/// Bounds of the store.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest model.
    pub size: u64,
    /// A download that brings no byte for so long is begun anew.
    pub stall: Duration,
    /// And given up after so long without one.
    pub give_up: Duration,
    /// First wait between tries; doubles up to `retry_limit`, with jitter.
    pub retry: Duration,
    pub retry_limit: Duration,
    /// Bytes a second of each download, so that it leaves the restaurant's uplink to others; no bound when `None`.
    pub rate: Option<NonZeroU64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            size: 512 << 20,
            stall: Duration::from_secs(20),
            give_up: Duration::from_mins(10),
            retry: Duration::from_millis(300),
            retry_limit: Duration::from_secs(10),
            rate: None,
        }
    }
}

/// See the module. Clones share one store.
#[derive(Debug, Clone)]
pub struct Models {
    dir: PathBuf,
    http: reqwest::Client,
    /// What a model's path is relative to.
    base: Option<String>,
    limits: Limits,
    /// One download of a file at a time.
    busy: Arc<Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Models {
    pub fn open(dir: &Path, base: Option<String>, limits: Limits) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(limits.stall)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            dir: dir.to_owned(),
            http,
            base,
            limits,
            busy: Arc::default(),
        })
    }

    /// The file with exactly this digest, downloaded if need be. `name` is for messages.
    pub async fn ensure(&self, name: &str, model: &ModelRef) -> Result<PathBuf, Failure> {
        if model.size > self.limits.size {
            let message = format!(
                "model {name} has {} bytes, this device takes at most {}",
                model.size, self.limits.size
            );
            return Err(Failure::new("TooLarge", message));
        }
        let turn = self.turn(&model.sha256);
        let _turn = turn.lock().await;
        let path = self.path(&model.sha256);
        if path.exists()
            && self
                .verify(&path, &model.sha256)
                .await
                .is_ok_and(|found| found.is_none())
        {
            return Ok(path);
        }
        self.download(name, model).await?;
        Ok(path)
    }

    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.as_str())
    }

    /// Deletes every file but these models and their downloads in progress.
    pub fn collect(&self, keep: &BTreeSet<Digest>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let digest = name
                .to_str()
                .and_then(|name| name.split('.').next())
                .and_then(|hex| hex.parse().ok());
            if !digest.is_some_and(|digest| keep.contains(&digest)) {
                remove(&entry.path())?;
            }
        }
        self.busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|digest, _| keep.contains(digest));
        Ok(())
    }

    fn turn(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(busy.entry(digest.clone()).or_default())
    }

    /// `None` if the file's bytes have the digest, else the digest they have.
    async fn verify(&self, path: &Path, wanted: &Digest) -> io::Result<Option<Digest>> {
        let (path, wanted) = (path.to_owned(), wanted.clone());
        tokio::task::spawn_blocking(move || {
            let found = digest_of(&path)?;
            Ok((found != wanted).then_some(found))
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Gives verified bytes their name.
    fn adopt(&self, part: &Path, digest: &Digest) -> io::Result<()> {
        std::fs::File::open(part)?.sync_all()?;
        std::fs::rename(part, self.path(digest))?;
        sync_dir(&self.dir)
    }
}

/// Digest of a file of any size, in bounded memory.
pub fn digest_of(path: &Path) -> io::Result<Digest> {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    hex::encode(hasher.finalize()).parse().map_err(io::Error::other)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
