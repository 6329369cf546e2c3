//! The one decision: from a valid spec and the facts to what is done next, with the reason of it.
//!
//! Pure and repeatable: the same facts give the same plan, and a plan that is carried out twice changes nothing
//! the second time. Stages follow each other for all targets together; where a search stands is read from its
//! rows, never remembered.

use std::time::Duration;

use crds::nasjob::{Progress, Stage, TargetStatus};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;

use super::basis::Basis;
use super::facts::{Facts, JobState};
use super::measure::{Ask, overdue};
use super::outcome::{Outcome, selected};
use super::searching::{self, Said};
use super::shortlist::Shortlist;
use super::stages;
use super::validate::{Refusal, Validated};
use crate::store::models::{Latency, Model};
use crate::store::records::RecordRow;
use crate::store::studies::{NewStudy, StudyRow};
use crate::store::trials::{NewTrial, TrialRow, TrialState};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    pub study: Option<StudyChange>,
    /// Requests nobody waits for any more.
    pub expire: Vec<String>,
    pub asks: Vec<Ask>,
    pub want: Vec<NewTrial>,
    pub cancel: Vec<String>,
    /// Trials whose end is told now.
    pub announce: Vec<(String, Event)>,
    /// The Job to be there.
    pub pods: Option<Box<Job>>,
    /// The pods' token has to be made, or to be written down.
    pub token: bool,
    pub delete_jobs: Vec<String>,
    pub events: Vec<Event>,
    pub report: Report,
    /// When to look again if nothing happens.
    pub wake_at: Option<Timestamp>,
}

/// What changes in the search's own row.
#[derive(Debug, Clone, PartialEq)]
pub enum StudyChange {
    /// It starts, or starts again; the classes get a new chance to measure what they could not.
    Begin {
        new: NewStudy,
        forgive: Vec<String>,
    },
    Generation(i64),
    /// The profile is whole: a search that trains while it chooses goes by this from now on.
    Basis(Box<Basis>),
    /// Its strategy proposes these.
    Ask(Vec<RecordRow>),
    /// And hears of these.
    Tell(Vec<Said>),
    Shortlist(Box<Shortlist>),
    /// The devices have another runtime now: what was searched with the old one's latencies is void.
    Forget,
    /// A Job ended before its trials did.
    Attempt(i32),
    Finish {
        outcome: Box<Outcome>,
        models: Vec<(Model, Latency)>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// CamelCase.
    pub reason: String,
    pub note: String,
    pub warning: bool,
}

/// What the status says.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Working {
        progress: Progress,
        /// What it works on or waits for.
        reason: String,
        message: String,
        targets: Vec<TargetStatus>,
    },
    Ended(Box<Outcome>),
    Refused {
        reason: String,
        message: String,
    },
}

impl Default for Report {
    fn default() -> Self {
        Self::working(Stage::Profiling, 0, 0, "starts".to_owned())
    }
}

impl Report {
    pub fn working(stage: Stage, done: u32, of: u32, message: String) -> Self {
        let progress = Progress {
            stage,
            done,
            of,
            detail: Some(message.clone()),
        };
        Self::Working {
            progress,
            reason: format!("{stage:?}"),
            message,
            targets: Vec::new(),
        }
    }

    /// The stage doesn't go on for now.
    pub fn waiting(stage: Stage, done: u32, of: u32, reason: &str, message: String) -> Self {
        let progress = Progress {
            stage,
            done,
            of,
            detail: Some(message.clone()),
        };
        Self::Working {
            progress,
            reason: reason.to_owned(),
            message,
            targets: Vec::new(),
        }
    }
}

impl Plan {
    pub fn event(&mut self, reason: &str, note: String) {
        self.events.push(Event {
            reason: reason.to_owned(),
            note,
            warning: false,
        });
    }

    pub fn warning(&mut self, reason: &str, note: String) {
        self.events.push(Event {
            reason: reason.to_owned(),
            note,
            warning: true,
        });
    }

    /// The earliest wish counts.
    pub fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }

    pub fn wake_after(&mut self, now: Timestamp, span: Duration) {
        self.wake(now.checked_add(span).unwrap_or(now));
    }

    /// Something changed that the next look builds on: the next plan is due at once.
    pub fn again(&self) -> bool {
        self.study.is_some()
    }

    pub fn finish(&mut self, facts: &Facts, outcome: Outcome, models: Vec<(Model, Latency)>) {
        if outcome.succeeded {
            for line in outcome.targets.iter().filter_map(selected) {
                self.event("ModelSelected", line);
            }
        } else {
            self.warning(&outcome.reason, outcome.message.clone());
        }
        self.stop(facts);
        self.report = Report::Ended(Box::new(outcome.clone()));
        self.study = Some(StudyChange::Finish {
            outcome: Box::new(outcome),
            models,
        });
    }

    /// No pod goes on, none is started.
    fn stop(&mut self, facts: &Facts) {
        self.pods = None;
        self.asks.clear();
        self.want.clear();
        self.delete_jobs = running(facts);
    }
}

/// A refused spec stops what an earlier one started.
pub fn refused(refusal: &Refusal, facts: &Facts) -> Plan {
    let (reason, message) = (refusal.reason().to_owned(), refusal.to_string());
    Plan {
        delete_jobs: running(facts),
        report: Report::Refused { reason, message },
        ..Plan::default()
    }
}

pub fn plan(v: &Validated, facts: &Facts) -> Result<Plan, Refusal> {
    let mut plan = Plan::default();
    let overdue = overdue(facts, v.owner.uid);
    for (id, reason) in &overdue {
        plan.expire.push(id.clone());
        plan.warning(
            "ProfileTimeout",
            format!("{reason}: its files are asked for again"),
        );
    }
    let Some(study) = facts.study.as_ref().filter(|study| !restarts(v, study)) else {
        begin(v, facts, &mut plan);
        return Ok(plan);
    };
    if study.generation != v.generation {
        plan.study = Some(StudyChange::Generation(v.generation));
    }
    plan.announce = facts.trials.iter().filter_map(announcement).collect();
    if let Some(outcome) = outcome(study) {
        plan.delete_jobs = running(facts);
        plan.report = Report::Ended(Box::new(outcome));
        return Ok(plan);
    }
    let shortlist: Option<Shortlist> = kept(study.shortlist.as_ref());
    let basis: Option<Basis> = kept(study.basis.as_ref()).filter(|_| v.trials > 0);
    match (shortlist, basis) {
        (Some(shortlist), _) => stages::decide(v, facts, &overdue, study, &shortlist, &mut plan),
        (None, Some(basis)) => searching::search(v, facts, &overdue, study, &basis, &mut plan),
        (None, None) => stages::profile(v, facts, &overdue, &mut plan)?,
    }
    let deadline = study.started_at.checked_add(v.deadline).unwrap_or(Timestamp::MAX);
    plan.wake(deadline);
    if deadline <= facts.now && !matches!(plan.study, Some(StudyChange::Finish { .. })) {
        let reached = match &plan.report {
            Report::Working {
                progress, message, ..
            } => {
                format!(
                    "stage {:?}, {} of {}: {message}",
                    progress.stage, progress.done, progress.of
                )
            }
            Report::Ended(_) | Report::Refused { .. } => String::new(),
        };
        let span = units::Duration::from(v.deadline);
        let message = format!("the search did not end within {span}; it was in {reached}");
        plan.finish(facts, Outcome::failed("DeadlineExceeded", message), Vec::new());
    }
    Ok(plan)
}

/// A result stands as long as what it depends on; a failure only until the spec is changed in anything.
fn restarts(v: &Validated, study: &StudyRow) -> bool {
    let failed = outcome(study).is_some_and(|outcome| !outcome.succeeded);
    let unreadable = study.outcome.is_some() && outcome(study).is_none();
    study.spec_key != v.spec_key || unreadable || (failed && study.generation != v.generation)
}

fn outcome(study: &StudyRow) -> Option<Outcome> {
    kept(study.outcome.as_ref())
}

/// What can't be read is made anew.
fn kept<T: serde::de::DeserializeOwned>(value: Option<&serde_json::Value>) -> Option<T> {
    serde_json::from_value(value?.clone()).ok()
}

fn begin(v: &Validated, facts: &Facts, plan: &mut Plan) {
    let mut forgive: Vec<_> = facts.devices.iter().map(|d| d.place.class.clone()).collect();
    forgive.sort();
    forgive.dedup();
    let new = NewStudy {
        job: v.owner.uid,
        namespace: v.owner.namespace.clone(),
        name: v.owner.name.clone(),
        generation: v.generation,
        spec_key: v.spec_key.clone(),
        search_key: v.search_key.clone(),
    };
    plan.delete_jobs = running(facts);
    let open = |trial: &&TrialRow| matches!(trial.state, TrialState::Pending | TrialState::Running);
    plan.cancel = facts
        .trials
        .iter()
        .filter(open)
        .map(|trial| trial.id.clone())
        .collect();
    plan.study = Some(StudyChange::Begin { new, forgive });
    plan.report = Report::working(
        Stage::Profiling,
        0,
        0,
        "looks at what is measured already".to_owned(),
    );
}

fn announcement(trial: &TrialRow) -> Option<(String, Event)> {
    if trial.announced {
        return None;
    }
    let event = match (trial.state, &trial.metrics, &trial.failure) {
        (TrialState::Trained, Some(metrics), _) => Event {
            reason: "TrialTrained".to_owned(),
            note: format!(
                "trial {}: {:.1} % of the test images after {} epochs in {:.0} s",
                trial.number,
                metrics.accuracy * 100.0,
                metrics.epochs,
                metrics.train_seconds
            ),
            warning: false,
        },
        (TrialState::Failed, _, Some((code, message))) => Event {
            reason: "TrialFailed".to_owned(),
            note: format!("trial {}: {code}: {message}", trial.number),
            warning: true,
        },
        _ => return None,
    };
    Some((trial.id.clone(), event))
}

fn running(facts: &Facts) -> Vec<String> {
    let jobs = facts.jobs.iter().filter(|job| job.state == JobState::Running);
    jobs.map(|job| job.name.clone()).collect()
}
