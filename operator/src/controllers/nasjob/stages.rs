//! The stages of a search, each a function that adds to the plan what is to be done now, and why it waits.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::nasjob::Stage;
use protocol::trainer::JobDocument;
use serde_json::json;
use uuid::Uuid;

use super::facts::{Facts, JobState, Place, Table};
use super::job::{self, Pods};
use super::measure::{Measuring, Wanted, few, measure};
use super::outcome::{self, Outcome, TRAINING_FAILED};
use super::plan::{Plan, Report, StudyChange};
use super::select::{Selection, Verdict, select};
use super::shortlist::{self, Candidate, Ranking, Shortlist};
use super::target::{Resolved, resolve};
use super::validate::{Refusal, Validated, key_of};
use crate::store::studies::StudyRow;
use crate::store::trials::{NewTrial, TrialRow, TrialState};

/// Pods may end so often without having trained all.
const MOST_ATTEMPTS: i32 = 5;
/// How often a training is looked at without being told of anything.
const LOOK: Duration = Duration::from_secs(5);
/// How often a device is looked for.
const LOOK_FOR_DEVICES: Duration = Duration::from_secs(30);
/// Seconds of a lease in a trial's document; the API writes the true ones when the trial is claimed.
const LEASE_SECONDS: u32 = 30;

type Overdue = [(String, String)];

/// Profiling until every block of the space is measured on every target's class; then Searching.
pub fn profile(v: &Validated, facts: &Facts, overdue: &Overdue, plan: &mut Plan) -> Result<(), Refusal> {
    let mut places = Vec::with_capacity(v.targets.len());
    for (index, target) in v.targets.iter().enumerate() {
        match resolve(index, target, &facts.devices)? {
            Resolved::At(place) => places.push(place),
            Resolved::NoDevice { target, selector } => {
                let message = format!(
                    "target {target}: no device matches {selector}; waits until one connects, or correct the selector"
                );
                plan.report = Report::waiting(Stage::Profiling, 0, 0, "NoMatchingDevice", message);
                plan.wake_after(facts.now, LOOK_FOR_DEVICES);
                return Ok(());
            }
        }
    }
    let files = shortlist::files(v);
    let measuring = measure(
        facts,
        overdue,
        places
            .iter()
            .map(|place| (place.clone(), files.clone()))
            .collect(),
    );
    let blocks: Vec<_> = measuring
        .hopeless
        .iter()
        .filter(|(_, key, _)| !key.starts_with("net-"))
        .collect();
    if let Some((place, key, reason)) = blocks.first() {
        let message = format!(
            "{} blocks can't be measured on class {}, the first is {key}: {reason}",
            blocks.len(),
            place.class
        );
        plan.finish(facts, Outcome::failed("ProfileFailed", message), Vec::new());
        return Ok(());
    }
    if !measuring.is_done() {
        ask(facts, plan, measuring, Stage::Profiling, 0);
        return Ok(());
    }
    match shortlist::search(v, facts, &places) {
        Ok(found) => {
            plan.event("Searching", told(v, &found));
            let message = format!("chose among {} candidates for each target", v.candidates);
            plan.report = Report::working(Stage::Searching, v.candidates, v.candidates, message);
            plan.study = Some(StudyChange::Shortlist(Box::new(found)));
        }
        Err(error) => plan.finish(
            facts,
            Outcome::failed("SearchFailed", error.to_string()),
            Vec::new(),
        ),
    }
    Ok(())
}

/// Measuring, Training, Verifying, in this order, until every pick has its verdict.
pub fn decide(
    v: &Validated,
    facts: &Facts,
    overdue: &Overdue,
    study: &StudyRow,
    shortlist: &Shortlist,
    plan: &mut Plan,
) {
    if shortlist
        .targets
        .iter()
        .any(|ranking| moved(facts, &ranking.place()))
    {
        plan.event(
            "RuntimeChanged",
            "devices have another runtime now: their class is measured again".to_owned(),
        );
        plan.study = Some(StudyChange::Forget);
        return;
    }
    let trials = Trials {
        v,
        rows: &facts.trials,
    };
    let empty = Table::default();
    let targets: Vec<_> = shortlist.targets.iter().zip(&v.targets).collect();
    let selections: Vec<_> = targets
        .iter()
        .map(|(ranking, target)| {
            let table = facts.tables.get(&ranking.place()).unwrap_or(&empty);
            select(ranking, &target.constraints, v.finalists, table, |candidate| {
                trials.find(candidate)
            })
        })
        .collect();
    let wanted = |of: fn(&Selection<'_>) -> Vec<Wanted>| {
        let mut all: BTreeMap<Place, Vec<Wanted>> = BTreeMap::new();
        for (ranking, selection) in shortlist.targets.iter().zip(&selections) {
            all.entry(ranking.place()).or_default().extend(of(selection));
        }
        all
    };
    let nets = measure(facts, overdue, wanted(|selection| selection.to_measure.clone()));
    let models = measure(facts, overdue, wanted(unverified));
    let picks = in_turn(&selections);
    let untrained = selections
        .iter()
        .flat_map(|s| &s.picks)
        .any(|pick| pick.verdict == Verdict::Untrained);
    if !nets.is_done() {
        let measured = selections.iter().map(|s| s.measured).sum();
        ask(facts, plan, nets, Stage::Measuring, measured);
    } else if untrained {
        train(v, facts, study, &trials, &picks, plan);
    } else if !models.is_done() {
        let judged = selections.iter().flat_map(|s| &s.picks);
        let judged = judged
            .filter(|p| matches!(p.verdict, Verdict::Holds(_) | Verdict::Breaks(_)))
            .count();
        ask(facts, plan, models, Stage::Verifying, judged as u32);
    } else {
        let job = format!("{}/{}", v.owner.namespace, v.owner.name);
        let rows = outcome::models(&job, shortlist, &selections);
        plan.finish(facts, Outcome::of(shortlist, &selections), rows);
    }
    if let Report::Working { shortlist: known, .. } = &mut plan.report {
        *known = Some(Box::new(shortlist.clone()));
    }
}

fn unverified(selection: &Selection<'_>) -> Vec<Wanted> {
    let files = selection.picks.iter().filter_map(|pick| match &pick.verdict {
        Verdict::Unverified(file) => Some(file.clone()),
        _ => None,
    });
    files.collect()
}

/// The first of each target, then the second of each, and so on: no target waits for another's last.
fn in_turn<'a>(selections: &[Selection<'a>]) -> Vec<&'a Candidate> {
    let longest = selections.iter().map(|s| s.picks.len()).max().unwrap_or(0);
    let mut found: Vec<&Candidate> = Vec::new();
    for rank in 0..longest {
        for pick in selections.iter().filter_map(|s| s.picks.get(rank)) {
            if found
                .iter()
                .all(|other| other.architecture != pick.candidate.architecture)
            {
                found.push(pick.candidate);
            }
        }
    }
    found
}

/// No device of the class has this runtime any more.
fn moved(facts: &Facts, place: &Place) -> bool {
    let of_class: Vec<_> = facts
        .devices
        .iter()
        .filter(|d| d.place.class == place.class)
        .collect();
    of_class.iter().any(|d| d.online) && of_class.iter().all(|d| d.place != *place)
}

fn ask(facts: &Facts, plan: &mut Plan, measuring: Measuring, stage: Stage, before: u32) {
    let Measuring {
        done,
        of,
        asks,
        blocked,
        hopeless: _,
        busy,
    } = measuring;
    let (done, of) = (before + done, before + of);
    for ask in &asks {
        plan.wake(ask.deadline);
        let note = format!(
            "asks {} (class {}) to measure {} files; {done} of {of} are done",
            ask.device.id,
            ask.device.place.class,
            ask.files.len()
        );
        plan.event(&format!("{stage:?}"), note);
    }
    for request in facts.requests.iter().filter(|r| !plan.expire.contains(&r.id)) {
        plan.wake_at = Some(
            plan.wake_at
                .map_or(request.deadline, |at| at.min(request.deadline)),
        );
    }
    plan.report = match blocked {
        Some(blocked) if busy.is_empty() => {
            plan.wake_after(facts.now, LOOK_FOR_DEVICES);
            Report::waiting(stage, done, of, blocked.reason, blocked.message)
        }
        _ if busy.is_empty() => {
            plan.wake_after(facts.now, LOOK);
            Report::working(
                stage,
                done,
                of,
                "waits for its turn: other devices measure".to_owned(),
            )
        }
        _ => {
            let names: Vec<_> = busy.iter().map(String::as_str).collect();
            let verb = if names.len() == 1 { "measures" } else { "measure" };
            Report::working(stage, done, of, format!("{} {verb}", few(&names)))
        }
    };
    plan.asks = asks;
}

/// Trials of this spec.
struct Trials<'a> {
    v: &'a Validated,
    rows: &'a [TrialRow],
}

impl<'a> Trials<'a> {
    /// Names everything the trained model depends on.
    fn key(&self, candidate: &Candidate) -> String {
        let v = self.v;
        key_of(&json!([
            candidate.architecture,
            v.task,
            v.epochs,
            v.seed,
            v.image
        ]))
    }

    fn find(&self, candidate: &Candidate) -> Option<&'a TrialRow> {
        let key = self.key(candidate);
        self.rows.iter().find(|row| row.key == key)
    }

    fn id(&self, candidate: &Candidate) -> String {
        Uuid::new_v5(&self.v.owner.uid, self.key(candidate).as_bytes()).to_string()
    }

    fn to_train(&self, candidate: &Candidate, number: usize) -> NewTrial {
        let v = self.v;
        let id = self.id(candidate);
        NewTrial {
            job: v.owner.uid,
            key: self.key(candidate),
            number: i32::try_from(number).unwrap_or(i32::MAX),
            document: JobDocument {
                version: protocol::VERSION,
                trial: id.clone(),
                job: format!("{}/{}", v.owner.namespace, v.owner.name),
                task: v.task.clone(),
                architecture: json!(candidate.architecture),
                epochs: v.epochs,
                seed: v.seed,
                lease_seconds: LEASE_SECONDS,
                checkpoint: false,
            },
            id,
        }
    }
}

fn train(
    v: &Validated,
    facts: &Facts,
    study: &StudyRow,
    trials: &Trials<'_>,
    picks: &[&Candidate],
    plan: &mut Plan,
) {
    let ids: Vec<_> = picks.iter().map(|candidate| trials.id(candidate)).collect();
    for (number, candidate) in picks.iter().enumerate() {
        if trials
            .find(candidate)
            .is_none_or(|trial| trial.state == TrialState::Cancelled)
        {
            plan.want.push(trials.to_train(candidate, number));
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
    plan.report = Report::working(Stage::Training, done, of, training(facts, &ids));
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
            plan.report = Report::waiting(Stage::Training, done, of, "WaitingForMeasuring", message);
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

fn told(v: &Validated, found: &Shortlist) -> String {
    let line = |ranking: &Ranking| match &ranking.infeasible {
        Some(problem) => format!("{}: {problem}", ranking.target),
        None => format!(
            "{}: {} candidates kept (latency model off by {:.1} % on whole networks, {:.1} % before calibration)",
            ranking.target,
            ranking.candidates.len(),
            ranking.error * 100.0,
            ranking.error_before * 100.0
        ),
    };
    let lines: Vec<_> = found.targets.iter().map(line).collect();
    format!(
        "looked at {} candidates for each target: {}",
        v.candidates,
        lines.join("; ")
    )
}
