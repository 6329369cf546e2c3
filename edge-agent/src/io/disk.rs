//! The agent's state on disk: one file, replaced as a whole, so that a kill or a power loss leaves the old or the new.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::agent::{Durable, FORM};

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("{step} {path}: {source}", path = path.display())]
    Io {
        step: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path} is in use by another agent: give each its own state folder", path = .0.display())]
    InUse(PathBuf),
    #[error("encode the state: {0}")]
    Encode(#[from] serde_json::Error),
}

/// The folder of one agent, locked as long as this lives.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    _lock: File,
}

/// What was found at the start.
#[derive(Debug)]
pub struct Found {
    pub state: Durable,
    /// Why an existing file was set aside, if it was.
    pub set_aside: Option<String>,
}

impl Disk {
    pub fn open(dir: &Path) -> Result<Self, DiskError> {
        std::fs::create_dir_all(dir).map_err(at("create", dir))?;
        let path = dir.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(at("open", &path))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| DiskError::InUse(dir.to_owned()))?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    /// A file that can't be read as state is set aside: a device that runs nothing but can be told what to run is
    /// better than one that doesn't start.
    pub fn load(&self) -> Result<Found, DiskError> {
        let path = self.path();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Found {
                    state: Durable::default(),
                    set_aside: None,
                });
            }
            Err(error) => return Err(at("read", &path)(error)),
        };
        let problem = match serde_json::from_slice::<Durable>(&bytes) {
            Ok(state) if state.form == FORM => {
                return Ok(Found {
                    state,
                    set_aside: None,
                });
            }
            Ok(state) => format!("form {} instead of {FORM}", state.form),
            Err(error) => error.to_string(),
        };
        let aside = path.with_extension("broken");
        std::fs::rename(&path, &aside).map_err(at("set aside", &path))?;
        let problem = format!(
            "{} is set aside as {}: {problem}",
            path.display(),
            aside.display()
        );
        Ok(Found {
            state: Durable::default(),
            set_aside: Some(problem),
        })
    }

    pub fn save(&self, state: &Durable) -> Result<(), DiskError> {
        let (path, new) = (self.path(), self.path().with_extension("new"));
        let bytes = serde_json::to_vec(state)?;
        let mut file = File::create(&new).map_err(at("create", &new))?;
        file.write_all(&bytes).map_err(at("write", &new))?;
        file.sync_all().map_err(at("sync", &new))?;
        std::fs::rename(&new, &path).map_err(at("replace", &path))?;
        sync_dir(&self.dir).map_err(at("sync", &self.dir))
    }

    fn path(&self) -> PathBuf {
        self.dir.join("state.json")
    }
}

/// Makes names in a folder outlive a power loss.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |source| DiskError::Io { step, path, source }
}

#[cfg(test)]
mod tests {
    use protocol::desired::Order;

    use super::*;

    #[test]
    fn keeps_the_state() {
        let dir = tempfile::tempdir().unwrap();
        let state = Durable {
            last_order: Order {
                epoch: 2,
                generation: 7,
            },
            ..Durable::default()
        };
        let disk = Disk::open(dir.path()).unwrap();
        assert_eq!(disk.load().unwrap().state, Durable::default());
        disk.save(&state).unwrap();
        assert!(matches!(Disk::open(dir.path()), Err(DiskError::InUse(_))));
        drop(disk);
        assert_eq!(Disk::open(dir.path()).unwrap().load().unwrap().state, state);
    }

    #[test]
    fn sets_aside_what_is_no_state() {
        for bytes in ["", "{", r#"{"form":9,"lastOrder":{"epoch":1,"generation":1}}"#] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("state.json"), bytes).unwrap();
            let found = Disk::open(dir.path()).unwrap().load().unwrap();
            assert_eq!(found.state, Durable::default());
            assert!(found.set_aside.is_some(), "{bytes}");
            assert_eq!(
                std::fs::read_to_string(dir.path().join("state.broken")).unwrap(),
                bytes
            );
        }
    }

    /// A kill while the new file is written leaves the old one.
    #[test]
    fn a_half_written_file_is_never_read() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let state = Durable {
            last_order: Order {
                epoch: 1,
                generation: 1,
            },
            ..Durable::default()
        };
        disk.save(&state).unwrap();
        std::fs::write(dir.path().join("state.new"), r#"{"form":1,"last"#).unwrap();
        assert_eq!(disk.load().unwrap().state, state);
    }
}
