//! `trainer search`: a NasJob's search without a cluster, on this machine, for the device of one profile.
//!
//! `plan` says what is done next, this file does it; all that is known stands in the folder (`store`), so the program
//! may be ended at any instant and started again.

mod agent;
mod front;
mod job;
mod plan;
mod store;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use protocol::id::Digest;
use protocol::profile::{ProfileDocument, ProfileOutcome, ProfiledFile};
use search::latency::LatencyModel;
use search::space::Architecture;
use search::study::StudyError;

use crate::args::SearchArgs;
use crate::data::Dataset;
use crate::exit::Exit;
use crate::local::{Folder, MODEL, NotTrained, train_into, write};
use crate::profile::Profile;
use crate::termination::{Termination, Until};
use crate::training::{Checkpoint, Moment, Observer, Recipe, Task};

use agent::Agent;
use front::Front;
use job::Job;
use plan::{Known, Step, Training};
use store::Store;

pub(crate) use job::JobFile;

/// Searches, trains and exports; goes on where an earlier call ended.
pub fn run(args: &SearchArgs, termination: &Termination) -> Result<(), Exit> {
    let SearchArgs {
        job: path,
        profile,
        out,
        target,
        agent,
    } = args;
    let job = JobFile::read(path)?
        .check(target.as_deref())
        .with_context(|| path.display().to_string())
        .map_err(Exit::BadInput)?;
    let profile = Profile::read(profile)?;
    let (latency, fit) = profile.model(&job.space, job.seed, path)?;
    if let Some(fit) = fit {
        tracing::info!(
            "latency model: off by {:.1} % on {} whole networks, error bar {:.1} %",
            fit.mape_after * 100.0,
            fit.nets,
            fit.error_bar * 100.0
        );
    } else {
        tracing::warn!(
            "the profile holds none of the whole networks to calibrate on, which depend on the job's seed: error bar \
             {:.0} %; `trainer blocks {}` writes them, measure them beside the blocks",
            latency.error_bar() * 100.0,
            path.display()
        );
    }
    if latency.is_disturbed() {
        tracing::warn!(
            "the device was disturbed while its profile was measured: measure it again while nothing else runs"
        );
    }
    let agent = Agent::find(agent.as_deref(), &profile.runtime)?;
    let data = Dataset::load(&job.dataset).map_err(|error| Exit::BadInput(error.into()))?;
    let store = Store::open(out, &job.content(&latency), &profile)?;
    Search {
        job,
        latency,
        agent,
        data,
        store,
        ranking: None,
        termination: termination.clone(),
        started: Instant::now(),
    }
    .run()
}

/// Measurements of a file that lies above its bound.
const MEASUREMENTS: usize = 3;

struct Search {
    job: Job,
    latency: LatencyModel,
    agent: Option<Agent>,
    data: Dataset,
    store: Store,
    ranking: Option<Vec<Architecture>>,
    termination: Termination,
    started: Instant,
}

impl Search {
    fn run(mut self) -> Result<(), Exit> {
        loop {
            if self.termination.is_asked() {
                return Err(Exit::Terminated);
            }
            match plan::next(&self.job, &self.latency, &self.known()).map_err(bad_study)? {
                Step::Record(records) => self.store.set_records(records)?,
                Step::Rank(ranking) => {
                    tracing::info!("{} candidates are left to choose from", ranking.len());
                    self.ranking = Some(ranking);
                }
                Step::Measure(nets) => self.measure(&nets)?,
                Step::Train(training) => self.train(&training)?,
                Step::Verify(name) => self.verify(&name)?,
                Step::Done => return self.finish(),
                Step::Fail(reason) => return Err(Exit::BadInput(anyhow!("{reason}"))),
            }
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            records: &self.store.records,
            ranking: self.ranking.as_deref(),
            trained: &self.store.trained,
            files: &self.store.files,
            measures: self.agent.is_some(),
        }
    }

    /// Whole networks without weights, before any of them is trained.
    fn measure(&mut self, nets: &[Architecture]) -> Result<(), Exit> {
        tracing::info!("measures {} candidates whole", nets.len());
        let file = |net: &Architecture| (format!("net-{}", net.id()), export::profile_net(net).bytes);
        self.measure_files(nets.iter().map(file).collect())
    }

    fn verify(&mut self, name: &str) -> Result<(), Exit> {
        let path = self.store.model_folder(name).join(MODEL);
        let bytes = std::fs::read(&path)
            .with_context(|| format!("can't read {}", path.display()))
            .map_err(Exit::Temporary)?;
        self.measure_files(vec![(name.to_owned(), bytes)])?;
        self.publish()
    }

    /// What lies above its bound is measured again, for other work on the machine may be why; the quickest counts.
    fn measure_files(&mut self, mut files: Vec<(String, Vec<u8>)>) -> Result<(), Exit> {
        let Some(agent) = &self.agent else { return Ok(()) };
        let bound = self.job.constraints.latency_p95_us;
        let mut found: Option<ProfileDocument> = None;
        for _ in 0..MEASUREMENTS {
            let folder = self.store.scratch()?;
            for (name, bytes) in &files {
                write(&folder.join(format!("{name}.onnx")), bytes)?;
            }
            let out = folder.join("profile.json");
            match agent.measure(&folder, &out) {
                // Ctrl-C reaches the agent, too.
                Err(_) if self.termination.is_asked() => return Err(Exit::Terminated),
                other => other?,
            }
            let next = Profile::document(&out)?;
            let known = match found.take() {
                None => next,
                Some(known) => quickest(known, next),
            };
            files.retain(|(_, bytes)| is_unsettled(&known, &Digest::of(bytes), bound));
            found = Some(known);
            if files.is_empty() {
                break;
            }
        }
        let before = self.store.files.len();
        if let Some(found) = found {
            self.store.keep(found)?;
        }
        if self.store.files.len() > before {
            Ok(())
        } else {
            let problem = anyhow!("the edge-agent said nothing of the files it was to measure");
            Err(Exit::Temporary(problem))
        }
    }

    fn train(&mut self, training: &Training) -> Result<(), Exit> {
        let Training {
            name,
            architecture,
            epochs,
            limit,
            label,
            epochs_after,
        } = training;
        let folder = self.store.trial(name, architecture)?;
        let (resolution, channels) = (architecture.resolution, architecture.channels);
        let data = self
            .data
            .clone()
            .fitted(resolution, channels, architecture.classes())
            .map_err(|error| Exit::BadInput(error.into()))?;
        let task = Task {
            architecture,
            data: &data,
            validation_split: self.job.validation_split,
            limit: [self.job.limit, *limit].into_iter().flatten().min(),
            epochs: *epochs,
            seed: self.job.seed,
            recipe: &Recipe::default(),
        };
        let mut observer = Until {
            observer: Watch {
                folder: Folder::new(&folder),
                label,
                epochs_after: *epochs_after,
                told: Instant::now(),
            },
            termination: self.termination.clone(),
        };
        match train_into(&folder, &task, &mut observer) {
            Ok(metrics) => {
                tracing::info!(
                    "{label}: {:.1} % of the held-out and {:.1} % of the test images after {epochs} epochs in {:.0} s",
                    metrics.validation_accuracy * 100.0,
                    metrics.accuracy * 100.0,
                    metrics.train_seconds
                );
                self.store.trained(name)?;
                self.publish()
            }
            Err(NotTrained::Diverged(error)) => {
                tracing::warn!("{label}: {error:#}");
                self.store.failed(name, &format!("{error:#}"))
            }
            Err(NotTrained::Other(exit)) => Err(exit),
        }
    }

    /// The best so far is exported at once: whoever waits may use it.
    fn publish(&self) -> Result<(), Exit> {
        let front = Front::of(&self.job, &self.latency, &self.known());
        let is_new = self.store.publish(&front)?;
        if let Some(best) = front.best.as_ref().filter(|_| is_new) {
            tracing::info!(
                seconds = self.started.elapsed().as_secs(),
                "best so far: {:.1} % of the test images at {}",
                best.accuracy * 100.0,
                latency_of(best)
            );
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), Exit> {
        let front = Front::of(&self.job, &self.latency, &self.known());
        let Some(best) = &front.best else {
            let reason = front::nothing(&self.job, &self.latency, &self.known());
            return Err(Exit::BadInput(anyhow!("{reason}")));
        };
        self.store.publish(&front)?;
        tracing::info!(
            "model.onnx: {:.1} % of the test images at {}, bound {}; {} models on the front",
            best.accuracy * 100.0,
            latency_of(best),
            front::span(front.bound_p95_us),
            front.unbeaten.len()
        );
        if best.measured_p95_us.is_none() {
            tracing::info!(
                "nothing was measured whole: run `edge-agent measure model.onnx` on the device to see whether it keeps its \
                 bound there"
            );
        }
        Ok(())
    }
}

/// Of each file the quieter of two measurements.
fn quickest(mut known: ProfileDocument, next: ProfileDocument) -> ProfileDocument {
    for row in next.rows {
        let is_slower =
            |other: &ProfiledFile| other.sha256 == row.sha256 && other.measured.p95_us > row.measured.p95_us;
        if known.rows.iter().any(is_slower) {
            known.put(&row.name, &row.sha256, ProfileOutcome::Measured(row.measured));
        }
    }
    known
}

/// Above the bound, but not always: not the network alone was slow.
fn is_unsettled(known: &ProfileDocument, sha256: &Digest, bound_us: f64) -> bool {
    let of_file = known.rows.iter().find(|row| row.sha256 == *sha256);
    of_file.is_some_and(|row| row.measured.p95_us > bound_us && row.measured.min_us <= bound_us)
}

fn latency_of(best: &front::Entry) -> String {
    match best.measured_p95_us {
        Some(measured) => format!("{} as measured", front::span(measured)),
        None => format!("{} as predicted", front::span(best.predicted_p95_us)),
    }
}

fn bad_study(error: StudyError) -> Exit {
    Exit::BadInput(error.into())
}

/// Tells how far one training and the whole search are.
struct Watch<'a> {
    folder: Folder<'a>,
    label: &'a str,
    epochs_after: u32,
    told: Instant,
}

const EVERY: Duration = Duration::from_secs(5);

impl Observer for Watch<'_> {
    fn go_on(&mut self, at: &Moment) -> bool {
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            tracing::info!(
                "{}: epoch {} of {}, {:.0} %, loss {:.3}, {:.0} s left, {} in all",
                self.label,
                (at.epoch + 1).min(at.epochs),
                at.epochs,
                at.fraction * 100.0,
                at.loss,
                at.seconds_left,
                left_in_all(at, self.epochs_after)
            );
        }
        true
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.folder.checkpoint(checkpoint);
    }
}

/// As if all trainings to come went at this one's pace.
fn left_in_all(at: &Moment, epochs_after: u32) -> String {
    let here = f64::from(at.epochs) - f64::from(at.epoch) - at.fraction;
    if here <= 0.0 {
        return "a moment".to_owned();
    }
    let seconds = at.seconds_left * (1.0 + f64::from(epochs_after) / here);
    format!("about {:.0} min", (seconds / 60.0).ceil())
}
