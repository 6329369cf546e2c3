//! `trainer supernet`: a search over a supernet from a job document, in one process.

use std::fs;
use std::path::Path;

use ::search::space::Architecture;
use anyhow::Context as _;

use super::job::{Job, JobError, TaskConfig};
use super::{Found, Outcome, Ranking, SupernetError, Task, run};
use crate::args::SupernetArgs;
use crate::data::DataError;
use crate::exit::Exit;
use crate::local::{Folder, read_checkpoint, write};
use crate::profile::Profile;
use crate::termination::{Termination, Until};
use crate::training::{Observer as _, TrainingError};

/// Searches, and leaves `result.json` and `architecture.txt`; goes on from a checkpoint in the folder.
pub fn supernet(args: &SupernetArgs) -> Result<(), Exit> {
    search(args, Termination::listen()?)
}

fn search(args: &SupernetArgs, termination: Termination) -> Result<(), Exit> {
    let SupernetArgs {
        job: path,
        profile,
        out,
    } = args;
    let job = read(path)?;
    let space = job.space().map_err(bad_job)?;
    let (latency, fit) = Profile::read(profile)?.model(&space, job.budget.seed, path)?;
    let target = job.target(latency).map_err(bad_job)?;
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
        candidates: job.budget.judged as usize,
        compared: job.budget.compared as usize,
        alone_epochs: job.budget.trial_epochs,
    };
    let resume = read_checkpoint(out)?;
    let mut observer = Until {
        observer: Folder::new(out),
        termination,
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

fn read(path: &Path) -> Result<Job, Exit> {
    let bytes = fs::read(path).with_context(|| format!("can't read {}", path.display()));
    let parsed = bytes.and_then(|bytes| Job::parse(&bytes).with_context(|| path.display().to_string()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::folder;
    use crate::model::tests::one_thread;
    use crate::supernet::tests::space;

    const SPACE: &str = r#"{"mobileBlocks":{"channels":1,"classes":2,"resolutions":[16],"widths":[1.0],"depths":[1],"kernels":[3],
        "expands":[2],"stem":{"channels":8,"kernel":3,"stride":4},"head":{"style":"light","channels":8},
        "stages":[{"channels":8,"stride":2}]}}"#;

    struct Setting {
        folder: tempfile::TempDir,
        _data: tempfile::TempDir,
    }

    impl Setting {
        fn new() -> Self {
            let (folder, data) = (tempfile::tempdir().unwrap(), folder(200));
            let job = format!(
                r#"{{"task":{{"imageClassification":{{"dataset":{{"uri":"{}"}},"validationSplit":0.2}}}},"searchSpace":{SPACE},
                "strategy":{{"proxyless":{{"gradient":"full"}}}},"targets":[{{"name":"a","constraints":{{"latency":{{"p95":"1ms"}}}}}}],
                "budget":{{"searchEpochs":2,"judged":2,"compared":0,"trialEpochs":1}},"recipe":{{"batch":32}}}}"#,
                data.path().display()
            );
            let profile = crate::profile::tests::document(&space(SPACE), 1);
            let profile = serde_json::to_vec(&profile).unwrap();
            fs::write(folder.path().join("job.json"), job).unwrap();
            fs::write(folder.path().join("profile.json"), profile).unwrap();
            Self { folder, _data: data }
        }

        fn args(&self, out: &str) -> SupernetArgs {
            let at = |name: &str| self.folder.path().join(name);
            SupernetArgs {
                job: at("job.json"),
                profile: at("profile.json"),
                out: at(out),
            }
        }

        fn result(&self, out: &str) -> serde_json::Value {
            let text = fs::read(self.folder.path().join(out).join("result.json")).unwrap();
            let mut result: serde_json::Value = serde_json::from_slice(&text).unwrap();
            result["seconds"] = 0.into();
            result
        }
    }

    #[test]
    fn a_search_that_was_asked_to_end_goes_on_later() {
        one_thread();
        let setting = Setting::new();
        search(&setting.args("alone"), Termination::default()).unwrap();
        let asked = Termination::default();
        asked.ask();
        for _ in 0..3 {
            let ended = search(&setting.args("asked"), asked.clone());
            assert!(matches!(ended, Err(Exit::Terminated)), "{ended:?}");
        }
        search(&setting.args("asked"), Termination::default()).unwrap();
        assert_eq!(setting.result("asked"), setting.result("alone"));
        let name = fs::read_to_string(setting.folder.path().join("alone/architecture.txt")).unwrap();
        let architecture: Architecture = name.parse().unwrap();
        assert!(setting.result("alone")["best"]["architecture"] == name && architecture.classes() == 2);
    }

    #[test]
    fn says_which_file_is_wrong() {
        let setting = Setting::new();
        let said = |args: &SupernetArgs| match search(args, Termination::default()) {
            Err(Exit::BadInput(error)) => format!("{error:#}"),
            other => panic!("{other:?}"),
        };
        let args = setting.args("out");
        fs::write(&args.profile, "{}").unwrap();
        assert!(said(&args).contains("is no profile"), "{}", said(&args));
        fs::write(&args.job, "{}").unwrap();
        assert!(said(&args).contains("job.json: missing field"), "{}", said(&args));
        fs::remove_file(&args.job).unwrap();
        assert!(said(&args).contains("can't read "), "{}", said(&args));
    }
}
