//! `trainer supernet`: a search over a supernet from a job document, in one process.

use std::fs;
use std::path::Path;

use ::search::space::Architecture;
use anyhow::Context as _;
use serde::de::DeserializeOwned;

use super::job::{Job, JobError, Profile, TaskConfig};
use super::{Found, Outcome, Ranking, SupernetError, Task, run};
use crate::args::SupernetArgs;
use crate::data::DataError;
use crate::exit::Exit;
use crate::local::{Folder, read_checkpoint, write};
use crate::termination::{Termination, Until};
use crate::training::{Observer as _, TrainingError};

/// Searches, and leaves `result.json` and `architecture.txt`; goes on from a checkpoint in the folder.
pub fn supernet(args: &SupernetArgs) -> Result<(), Exit> {
    let SupernetArgs { job, profile, out } = args;
    let job: Job = read(job)?;
    let profile: Profile = read(profile)?;
    let space = job.space().map_err(bad_job)?;
    let (target, fit) = job.target(&profile).map_err(bad_job)?;
    if let Some(fit) = fit {
        tracing::info!(
            networks = fit.nets,
            "the profile's error bar is {:.1} %",
            fit.error_bar * 100.0
        );
    }
    let data = job.data(&space).map_err(bad_job)?;
    fs::create_dir_all(out)
        .with_context(|| format!("can't make {}", out.display()))
        .map_err(Exit::BadInput)?;
    let TaskConfig::ImageClassification {
        dataset,
        validation_split,
    } = &job.task;
    let task = Task {
        space: &space,
        data: &data,
        validation_split: *validation_split,
        limit: dataset.limit,
        target: &target,
        strategy: &job.strategy,
        epochs: job.budget.search_epochs,
        seed: job.budget.seed,
        recipe: &job.recipe,
        candidates: job.budget.candidates as usize,
        compared: job.budget.compared as usize,
        alone_epochs: job.budget.alone_epochs,
    };
    let resume = read_checkpoint(out)?;
    let mut observer = Until {
        observer: Folder::new(out),
        termination: Termination::listen()?,
    };
    match run(&task, resume.as_ref(), &mut observer).map_err(exit)? {
        Outcome::Finished(found) => hand_in(&found, out),
        Outcome::Stopped(checkpoint) => {
            observer.checkpoint(checkpoint);
            Err(Exit::Terminated)
        }
    }
}

fn hand_in(found: &Found, out: &Path) -> Result<(), Exit> {
    let text = serde_json::to_vec_pretty(&found.to_json())
        .context("result")
        .map_err(Exit::Temporary)?;
    write(&out.join("result.json"), &text)?;
    let best = found.candidates.first();
    let name = best.map_or(String::new(), |best| best.architecture.to_string());
    write(&out.join("architecture.txt"), name.as_bytes())?;
    let ranks = match found.ranking {
        Ranking::Supernet => "the supernet",
        Ranking::TrainedAlone => "short trainings alone",
    };
    tracing::info!(
        accuracy = best.map(|best| best.accuracy),
        p95_us = best.map(|best| best.estimate.p95_us),
        correlation = found.correlation,
        seconds = found.seconds,
        "by {ranks}: {}",
        best.map_or(String::new(), |best| Architecture::id(&best.architecture))
    );
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Exit> {
    let bytes = fs::read(path).with_context(|| format!("can't read {}", path.display()));
    let parsed =
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).with_context(|| path.display().to_string()));
    parsed.map_err(Exit::BadInput)
}

fn bad_job(error: JobError) -> Exit {
    match error {
        // A mount may be late.
        JobError::Data(error @ DataError::Read { .. }) => Exit::Temporary(error.into()),
        other => Exit::BadInput(other.into()),
    }
}

fn exit(error: SupernetError) -> Exit {
    match error {
        SupernetError::Training(error @ TrainingError::Torch(_)) => Exit::Temporary(error.into()),
        other => Exit::BadInput(other.into()),
    }
}
