//! The folder of a search: everything it knows is there, whole, whenever the program is ended.
//!
//! `search.json` (which search this is, and its records), `measured.json` (a profile of what was measured whole),
//! `trials/NAME/` (a training), and the results.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use protocol::id::Digest;
use protocol::profile::{FailedFile, ProfileDocument, ProfileOutcome, ProfiledFile};
use search::space::Architecture;
use search::trial::TrialRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::front::Front;
use super::plan::{Model, Trained};
use crate::exit::Exit;
use crate::local::{METRICS, MODEL, write};
use crate::profile::Profile;

const STATE: &str = "search.json";
const MEASURED: &str = "measured.json";
const SCRATCH: &str = "measure";
const TRIALS: &str = "trials";
const ARCHITECTURE: &str = "architecture.txt";
const FAILURE: &str = "failure.txt";

#[derive(Debug)]
pub(super) struct Store {
    out: PathBuf,
    key: String,
    pub records: Vec<TrialRecord>,
    pub trained: BTreeMap<String, Trained>,
    /// 95th percentiles by digest, of the device's profile and of what was measured here.
    pub files: BTreeMap<String, Result<f64, String>>,
    /// What was measured here.
    measured: Option<ProfileDocument>,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// Names what the search depends on.
    key: String,
    records: Vec<TrialRecord>,
}

impl Store {
    /// `content`: what the search depends on; a folder of another search is refused.
    pub(super) fn open(out: &Path, content: &Value, profile: &Profile) -> Result<Self, Exit> {
        let key = Digest::of(content.to_string().as_bytes()).short().to_owned();
        fs::create_dir_all(out.join(TRIALS))
            .with_context(|| format!("can't make {}", out.display()))
            .map_err(Exit::BadInput)?;
        let mut store = Self {
            out: out.to_owned(),
            key,
            records: Vec::new(),
            trained: BTreeMap::new(),
            files: BTreeMap::new(),
            measured: None,
        };
        if let Some(bytes) = read(&out.join(STATE))? {
            let state: State = serde_json::from_slice(&bytes)
                .with_context(|| out.join(STATE).display().to_string())
                .map_err(Exit::BadInput)?;
            if state.key != store.key {
                return Err(Exit::BadInput(anyhow!(
                    "{} holds another search: its job or its profile differs; choose another folder, or remove it",
                    out.display()
                )));
            }
            store.records = state.records;
        }
        store.save()?;
        if out.join(MEASURED).exists() {
            let measured = Profile::document(&out.join(MEASURED))?;
            store.take(&Profile::of(&out.join(MEASURED), measured.clone())?);
            store.measured = Some(measured);
        }
        store.take(profile);
        let entries = fs::read_dir(out.join(TRIALS))
            .with_context(|| format!("can't list {}", out.display()))
            .map_err(Exit::BadInput)?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(trained) = store.read_trained(&name)? {
                store.trained.insert(name, trained);
            }
        }
        Ok(store)
    }

    pub(super) fn set_records(&mut self, records: Vec<TrialRecord>) -> Result<(), Exit> {
        self.records = records;
        self.save()
    }

    /// The folder of a training, which is there from now on.
    pub(super) fn trial(&self, name: &str, architecture: &Architecture) -> Result<PathBuf, Exit> {
        let folder = self.out.join(TRIALS).join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("can't make {}", folder.display()))
            .map_err(Exit::Temporary)?;
        write(&folder.join(ARCHITECTURE), architecture.to_string().as_bytes())?;
        Ok(folder)
    }

    /// A training has ended in its folder.
    pub(super) fn trained(&mut self, name: &str) -> Result<(), Exit> {
        if let Some(trained) = self.read_trained(name)? {
            self.trained.insert(name.to_owned(), trained);
        }
        Ok(())
    }

    pub(super) fn failed(&mut self, name: &str, reason: &str) -> Result<(), Exit> {
        let folder = self.out.join(TRIALS).join(name);
        write(&folder.join(FAILURE), reason.as_bytes())?;
        self.trained
            .insert(name.to_owned(), Trained::Failed(reason.to_owned()));
        Ok(())
    }

    /// An empty folder for files to measure.
    pub(super) fn scratch(&self) -> Result<PathBuf, Exit> {
        let folder = self.out.join(SCRATCH);
        let emptied = match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir_all(&folder),
        };
        emptied
            .with_context(|| format!("can't empty {}", folder.display()))
            .map_err(Exit::Temporary)?;
        Ok(folder)
    }

    /// Files were measured; they count from now on.
    pub(super) fn keep(&mut self, found: ProfileDocument) -> Result<(), Exit> {
        let path = self.out.join(MEASURED);
        self.take(&Profile::of(&path, found.clone())?);
        let measured = match self.measured.take() {
            None => found,
            Some(mut measured) => {
                for ProfiledFile {
                    name,
                    sha256,
                    measured: figures,
                } in found.rows
                {
                    measured.put(&name, &sha256, ProfileOutcome::Measured(figures));
                }
                for FailedFile { name, sha256, reason } in found.failures {
                    measured.put(&name, &sha256, ProfileOutcome::Failed(reason));
                }
                measured
            }
        };
        let text = serde_json::to_vec_pretty(&measured)
            .context("measured")
            .map_err(Exit::Temporary)?;
        self.measured = Some(measured);
        write(&path, &text)
    }

    pub(super) fn model_folder(&self, name: &str) -> PathBuf {
        self.out.join(TRIALS).join(name)
    }

    /// The best model's files take the results' places, each whole; `front.json`, which names it, comes last.
    /// `false`: they are there already.
    pub(super) fn publish(&self, front: &Front) -> Result<bool, Exit> {
        let Some(best) = &front.best else {
            return Ok(false);
        };
        let text = serde_json::to_vec_pretty(front)
            .context("front")
            .map_err(Exit::Temporary)?;
        if read(&self.out.join("front.json"))?.as_deref() == Some(text.as_slice()) {
            return Ok(false);
        }
        for name in [MODEL, METRICS] {
            let from = self.model_folder(&best.name).join(name);
            let bytes = fs::read(&from)
                .with_context(|| format!("can't read {}", from.display()))
                .map_err(Exit::Temporary)?;
            write(&self.out.join(name), &bytes)?;
        }
        write(&self.out.join("front.json"), &text)?;
        Ok(true)
    }

    fn save(&self) -> Result<(), Exit> {
        let state = json!({"key": self.key, "records": self.records});
        write(&self.out.join(STATE), state.to_string().as_bytes())
    }

    /// What is known first stays: a second measurement must not change what was decided with the first.
    fn take(&mut self, profile: &Profile) {
        for (sha256, measured) in &profile.files {
            let p95 = measured
                .as_ref()
                .map(|latency| latency.p95_us)
                .map_err(Clone::clone);
            self.files.entry(sha256.clone()).or_insert(p95);
        }
    }

    fn read_trained(&self, name: &str) -> Result<Option<Trained>, Exit> {
        let folder = self.model_folder(name);
        if let Some(reason) = read(&folder.join(FAILURE))? {
            return Ok(Some(Trained::Failed(
                String::from_utf8_lossy(&reason).into_owned(),
            )));
        }
        let (Some(metrics), Some(model), Some(architecture)) = (
            read(&folder.join(METRICS))?,
            read(&folder.join(MODEL))?,
            read(&folder.join(ARCHITECTURE))?,
        ) else {
            return Ok(None);
        };
        let readable = || {
            Some(Model {
                architecture: String::from_utf8_lossy(&architecture).parse().ok()?,
                sha256: Digest::of(&model).as_str().to_owned(),
                size: model.len() as u64,
                metrics: serde_json::from_slice(&metrics).ok()?,
            })
        };
        Ok(readable().map(Trained::Model))
    }
}

/// `None` when there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Exit> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Exit::BadInput(
            anyhow!(error).context(format!("can't read {}", path.display())),
        )),
    }
}
