//! The commands that need no operator.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use protocol::trainer::Metrics;
use search::latency::{CALIBRATION_NETS, calibration_nets};
use search::space::{Architecture, SearchSpaceConfig, Space};

use crate::args::{BlocksArgs, ExportArgs, TrainArgs};
use crate::data::Dataset;
use crate::exit::Exit;
use crate::local_search::JobFile;
use crate::termination::{Termination, Until};
use crate::training::{Checkpoint, Moment, Observer, Outcome, Recipe, Task, TrainingError, train as run};

/// Trains one architecture; goes on from a checkpoint in the folder.
pub fn train(args: &TrainArgs, termination: &Termination) -> Result<(), Exit> {
    let TrainArgs {
        arch,
        data,
        out,
        epochs,
        seed,
        validation_split,
        limit,
        recipe,
    } = args;
    let architecture = architecture(arch)?;
    let recipe: Recipe = serde_json::from_str(recipe)
        .context("--recipe")
        .map_err(Exit::BadInput)?;
    recipe.check().context("--recipe").map_err(Exit::BadInput)?;
    let data = Dataset::load(data)
        .and_then(|data| {
            data.fitted(
                architecture.resolution,
                architecture.channels,
                architecture.classes(),
            )
        })
        .map_err(|error| Exit::BadInput(error.into()))?;
    fs::create_dir_all(out)
        .with_context(|| format!("can't make {}", out.display()))
        .map_err(Exit::BadInput)?;
    let task = Task {
        architecture: &architecture,
        data: &data,
        validation_split: *validation_split,
        limit: *limit,
        epochs: *epochs,
        seed: *seed,
        recipe: &recipe,
    };
    let mut observer = Until {
        observer: Folder::new(out),
        termination: termination.clone(),
    };
    let metrics = train_into(out, &task, &mut observer)?;
    tracing::info!(
        accuracy = metrics.accuracy,
        validation = metrics.validation_accuracy,
        seconds = metrics.train_seconds,
        macs = metrics.macs,
        parameters = metrics.parameters,
        "trained {}",
        architecture.id()
    );
    Ok(())
}

/// Why a network isn't trained.
#[derive(Debug)]
pub(crate) enum NotTrained {
    /// The network itself: its loss, or its numbers, are not finite.
    Diverged(anyhow::Error),
    Other(Exit),
}

impl From<NotTrained> for Exit {
    fn from(reason: NotTrained) -> Self {
        match reason {
            NotTrained::Diverged(error) => Self::BadInput(error),
            NotTrained::Other(exit) => exit,
        }
    }
}

impl From<Exit> for NotTrained {
    fn from(exit: Exit) -> Self {
        Self::Other(exit)
    }
}

/// Trains into a folder: a checkpoint there is gone on from, `metrics.json` is written last.
pub(crate) fn train_into(
    out: &Path,
    task: &Task<'_>,
    observer: &mut dyn Observer,
) -> Result<Metrics, NotTrained> {
    let resume = read_checkpoint(out)?;
    let outcome = run(task, resume.as_ref(), observer).map_err(|error| match error {
        TrainingError::LossNotFinite { .. } => NotTrained::Diverged(error.into()),
        TrainingError::Torch(_) => Exit::Temporary(error.into()).into(),
        TrainingError::NothingLeft { .. } | TrainingError::Checkpoint(_) => {
            Exit::BadInput(error.into()).into()
        }
    })?;
    let (net, metrics) = match outcome {
        Outcome::Finished { net, metrics } => (net, metrics),
        Outcome::Stopped(checkpoint) => {
            observer.checkpoint(checkpoint);
            return Err(Exit::Terminated.into());
        }
    };
    let weights = net.weights().context("libtorch").map_err(Exit::Temporary)?;
    let file = export::trained_net(task.architecture, &weights)
        .context("export")
        .map_err(NotTrained::Diverged)?;
    write(&out.join(MODEL), &file.bytes)?;
    let text = serde_json::to_vec_pretty(&metrics)
        .context("metrics")
        .map_err(Exit::Temporary)?;
    write(&out.join(METRICS), &text)?;
    Ok(metrics)
}

pub(crate) const MODEL: &str = "model.onnx";
pub(crate) const METRICS: &str = "metrics.json";

/// Writes the blocks of a space, and whole networks to calibrate on, as files to measure.
pub fn blocks(args: &BlocksArgs) -> Result<(), Exit> {
    let BlocksArgs { job, space, out } = args;
    let (config, seed) = match (job, space) {
        (Some(path), _) => JobFile::read(path)?.space(),
        (None, Some(path)) => {
            let text = fs::read(path).with_context(|| format!("can't read {}", path.display()));
            let text = text.map_err(Exit::BadInput)?;
            let config = serde_json::from_slice(&text)
                .with_context(|| path.display().to_string())
                .map_err(Exit::BadInput)?;
            (config, 1)
        }
        (None, None) => (SearchSpaceConfig::default(), 1),
    };
    let space = Space::from_config(&config).map_err(|error| Exit::BadInput(error.into()))?;
    fs::create_dir_all(out)
        .with_context(|| format!("can't make {}", out.display()))
        .map_err(Exit::BadInput)?;
    let keys = space.block_keys();
    for key in &keys {
        write(
            &out.join(format!("{key}.onnx")),
            &export::profile_block(key).bytes,
        )?;
    }
    let nets = calibration_nets(&space, CALIBRATION_NETS, seed);
    for net in &nets {
        let path = out.join(format!("net-{}.onnx", net.id()));
        write(&path, &export::profile_net(net).bytes)?;
    }
    tracing::info!(
        "{} blocks and {} whole networks in {}",
        keys.len(),
        nets.len(),
        out.display()
    );
    Ok(())
}

/// Writes the ONNX file of a checkpoint.
pub fn export(args: &ExportArgs) -> Result<(), Exit> {
    let ExportArgs {
        checkpoint: path,
        out,
    } = args;
    let (architecture, tensors) = read_trained(path)?;
    let weights = export::Weights(tensors.into_iter().collect());
    let file = export::trained_net(&architecture, &weights)
        .with_context(|| path.display().to_string())
        .map_err(Exit::BadInput)?;
    write(out, &file.bytes)?;
    tracing::info!("sha256:{} in {}", file.sha256, out.display());
    Ok(())
}

/// The network of a checkpoint: its architecture and its numbers by name.
pub(crate) fn read_trained(path: &Path) -> Result<(Architecture, Vec<(String, export::Tensor)>), Exit> {
    let bytes = fs::read(path)
        .with_context(|| format!("can't read {}", path.display()))
        .map_err(Exit::BadInput)?;
    let named = |error: anyhow::Error| Exit::BadInput(error.context(path.display().to_string()));
    let checkpoint = Checkpoint::from_bytes(&bytes).map_err(|error| named(error.into()))?;
    let architecture: Architecture = checkpoint
        .place
        .architecture
        .parse()
        .map_err(|error| named(anyhow!("{error}")))?;
    Ok((architecture, checkpoint.into_network()))
}

/// The text itself or what stands in the file of that name.
pub(crate) fn architecture(text: &str) -> Result<Architecture, Exit> {
    if text.starts_with("m1/") {
        return text.parse().map_err(|error| Exit::BadInput(anyhow!("{error}")));
    }
    let content = fs::read_to_string(text)
        .with_context(|| format!("can't read {text}"))
        .map_err(Exit::BadInput)?;
    content
        .trim()
        .trim_matches('"')
        .parse()
        .map_err(|error| Exit::BadInput(anyhow!("{text}: {error}")))
}

/// A line for the program's output.
pub(crate) fn print(line: &str) -> Result<(), Exit> {
    writeln!(std::io::stdout(), "{line}")
        .context("can't write to the output")
        .map_err(Exit::Temporary)
}

const CHECKPOINT: &str = "checkpoint";
const PREVIOUS: &str = "checkpoint.previous";

/// The newest checkpoint that is whole.
pub(crate) fn read_checkpoint(out: &Path) -> Result<Option<Checkpoint>, Exit> {
    for name in [CHECKPOINT, PREVIOUS] {
        let path = out.join(name);
        match fs::read(&path) {
            Ok(bytes) => match Checkpoint::from_bytes(&bytes) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) => {
                    tracing::warn!("{}: {error}; removed", path.display());
                    // Else the next checkpoint would push it over the one before, which is whole.
                    drop(fs::remove_file(&path));
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let error = anyhow!(error).context(format!("can't read {}", path.display()));
                return Err(Exit::BadInput(error));
            }
        }
    }
    Ok(None)
}

/// Whole or not at all, also after a power cut: written beside, brought to the disk, then renamed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Exit> {
    let beside = path.with_added_extension("part");
    fs::File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("can't write {}", path.display()))
        .map_err(Exit::Temporary)
}

pub(crate) struct Folder<'a> {
    out: &'a Path,
    next: std::time::Instant,
}

impl<'a> Folder<'a> {
    pub(crate) fn new(out: &'a Path) -> Self {
        let next = std::time::Instant::now();
        Self { out, next }
    }
}

impl Observer for Folder<'_> {
    fn go_on(&mut self, at: &Moment) -> bool {
        let now = std::time::Instant::now();
        if now >= self.next {
            self.next = now + std::time::Duration::from_secs(5);
            let Moment {
                epoch,
                epochs,
                fraction,
                loss,
                seconds_left,
            } = at;
            tracing::info!(
                "epoch {epoch} of {epochs}, {:.0} %, loss {loss:.3}, {seconds_left:.0} s left",
                fraction * 100.0
            );
        }
        true
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        let (current, previous) = (self.out.join(CHECKPOINT), self.out.join(PREVIOUS));
        // None yet before the first.
        let _ = fs::rename(&current, &previous);
        if let Err(error) = write(&current, &checkpoint.to_bytes()) {
            tracing::warn!("no checkpoint: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
