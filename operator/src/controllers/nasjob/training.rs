//! Training by a Job's pods: of the finalists, and of the candidates a strategy learns from.

use crds::nasjob::Stage;
use protocol::trainer::JobDocument;
use search::space::Architecture;
use serde_json::json;
use uuid::Uuid;

use super::facts::{Facts, JobState};
use super::job::{self, Pods};
use super::measure::few;
use super::outcome::{Outcome, TRAINING_FAILED};
use super::plan::{Plan, Report, StudyChange};
use super::stages::LOOK;
use super::validate::{Validated, key_of};
use crate::store::studies::StudyRow;
use crate::store::trials::{NewTrial, TrialRow, TrialState};

/// Pods may end so often without having trained all.
const MOST_ATTEMPTS: i32 = 5;
/// Seconds of a lease in a trial's document; the API writes the true ones when the trial is claimed.
const LEASE_SECONDS: u32 = 30;

/// What is to be trained now.
#[derive(Debug)]
pub struct Course<'a> {
    pub stage: Stage,
    pub trials: Trials<'a>,
    /// With the number each is told by, the most urgent first.
    pub wishes: Vec<(usize, &'a Architecture)>,
}

/// Trials of this spec that are trained for so many epochs.
#[derive(Debug, Clone, Copy)]
pub struct Trials<'a> {
    pub v: &'a Validated,
    pub rows: &'a [TrialRow],
    pub epochs: u32,
}

impl<'a> Trials<'a> {
    /// Names everything the trained model depends on.
    fn key(&self, architecture: &Architecture) -> String {
        let v = self.v;
        key_of(&json!([architecture, v.task, self.epochs, v.seed, v.image]))
    }

    pub fn find(&self, architecture: &Architecture) -> Option<&'a TrialRow> {
        let key = self.key(architecture);
        self.rows.iter().find(|row| row.key == key)
    }

    fn id(&self, architecture: &Architecture) -> String {
        Uuid::new_v5(&self.v.owner.uid, self.key(architecture).as_bytes()).to_string()
    }

    fn to_train(self, architecture: &Architecture, number: usize) -> NewTrial {
        let v = self.v;
        let id = self.id(architecture);
        NewTrial {
            job: v.owner.uid,
            key: self.key(architecture),
            number: i32::try_from(number).unwrap_or(i32::MAX),
            document: JobDocument {
                version: protocol::VERSION,
                trial: id.clone(),
                job: format!("{}/{}", v.owner.namespace, v.owner.name),
                task: v.task.clone(),
                architecture: json!(architecture),
                epochs: self.epochs,
                seed: v.seed,
                lease_seconds: LEASE_SECONDS,
                checkpoint: false,
            },
            id,
        }
    }
}

/// Wants the trials, has pods train them, and says how far they are.
pub fn train(v: &Validated, facts: &Facts, study: &StudyRow, course: &Course<'_>, plan: &mut Plan) {
    let Course {
        stage,
        trials,
        wishes,
    } = course;
    let stage = *stage;
    let mut ids: Vec<String> = Vec::with_capacity(wishes.len());
    for (number, architecture) in wishes {
        let id = trials.id(architecture);
        if ids.contains(&id) {
            continue;
        }
        ids.push(id);
        if trials
            .find(architecture)
            .is_none_or(|trial| trial.state == TrialState::Cancelled)
        {
            plan.want.push(trials.to_train(architecture, *number));
        }
    }
    let open = |trial: &&TrialRow| matches!(trial.state, TrialState::Pending | TrialState::Running);
    plan.cancel = facts
        .trials
        .iter()
        .filter(open)
        .filter(|t| !ids.contains(&t.id))
        .map(|t| t.id.clone())
        .collect();
    let job = job::job(&Pods {
        owner: &v.owner,
        spec: &v.trainer,
        image: &v.image,
        http_url: &facts.http_url,
        trials: &ids,
        parallelism: v.parallelism,
        attempt: study.attempt,
    });
    let name = job.metadata.name.clone().unwrap_or_default();
    let others = facts
        .jobs
        .iter()
        .filter(|other| other.name != name && other.state == JobState::Running);
    plan.delete_jobs = others.map(|other| other.name.clone()).collect();
    plan.token = facts.token.is_none() || facts.token != study.token_hash;
    plan.wake_after(facts.now, LOOK);
    let (done, of) = (finished(facts, &ids), ids.len() as u32);
    plan.report = Report::working(stage, done, of, training(facts, &ids));
    match facts
        .jobs
        .iter()
        .find(|known| known.name == name)
        .map(|known| &known.state)
    {
        Some(JobState::Running) => {}
        Some(JobState::Complete) if study.attempt < MOST_ATTEMPTS => {
            plan.warning(
                "TrainerEnded",
                format!("the pods of Job {name} ended before all trials did: starts anew"),
            );
            plan.study = Some(StudyChange::Attempt(study.attempt + 1));
        }
        Some(JobState::Complete) => {
            let message = format!(
                "trainer pods ended {MOST_ATTEMPTS} times before all trials did; see the logs of Job {name}"
            );
            plan.finish(facts, Outcome::failed(TRAINING_FAILED, message), Vec::new());
        }
        Some(JobState::Failed(message)) => {
            let message = format!("Job {name} failed: {message}{}", last_failure(facts));
            plan.finish(facts, Outcome::failed(TRAINING_FAILED, message), Vec::new());
        }
        None if facts.requests.iter().any(|r| !plan.expire.contains(&r.id)) => {
            let message = "waits for devices to end their measuring: nobody trains meanwhile".to_owned();
            plan.report = Report::waiting(stage, done, of, "WaitingForMeasuring", message);
        }
        None => {
            let note = format!("Job {name} trains {of} architectures, {done} of them are trained already");
            plan.event("TrainingStarted", note);
            plan.pods = Some(Box::new(job));
        }
    }
}

fn finished(facts: &Facts, ids: &[String]) -> u32 {
    let ended = |trial: &&TrialRow| matches!(trial.state, TrialState::Trained | TrialState::Failed);
    facts
        .trials
        .iter()
        .filter(ended)
        .filter(|t| ids.contains(&t.id))
        .count() as u32
}

/// How far the trials at work are.
fn training(facts: &Facts, ids: &[String]) -> String {
    let running = facts
        .trials
        .iter()
        .filter(|t| t.state == TrialState::Running && ids.contains(&t.id));
    let lines: Vec<_> = running
        .map(|trial| {
            let p = trial.progress;
            let epoch = p.epoch.clamp(1, p.epochs.max(1));
            let loss = p.loss.map(|loss| format!(", loss {loss:.3}")).unwrap_or_default();
            let left = p
                .seconds_left
                .map(|s| format!(", about {s:.0} s left"))
                .unwrap_or_default();
            format!("trial {} epoch {epoch} of {}{loss}{left}", trial.number, p.epochs)
        })
        .collect();
    let names: Vec<_> = lines.iter().map(String::as_str).collect();
    if names.is_empty() {
        "waits for a trainer pod".to_owned()
    } else {
        few(&names)
    }
}

fn last_failure(facts: &Facts) -> String {
    let failure = facts.trials.iter().rev().find_map(|trial| trial.failure.as_ref());
    failure
        .map(|(code, message)| format!("; the last trial that failed says {code}: {message}"))
        .unwrap_or_default()
}
