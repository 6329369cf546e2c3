//! The stage of a search that trains while it chooses: candidates are proposed, measured, trained for a short while,
//! and told to the strategy, which then proposes the next.
//!
//! All candidates at work are told together and in order, once the last of them has its outcome: neither the number
//! of pods nor the order in which they end changes what is found. The strategy itself is made anew from the records
//! whenever it is asked, so nothing is lost with this process.

use std::collections::BTreeMap;

use crds::nasjob::{SearchProgress, Stage, TargetStatus};
use search::space::Architecture;
use search::study::{Study, StudyError, Work};
use search::trial::{Feedback, TrialId, TrialRecord};

use super::basis::{Basis, TargetBasis};
use super::facts::{Facts, Place, Table};
use super::measure::{Known, Wanted, known, measure};
use super::outcome::{Outcome, TRAINING_FAILED};
use super::plan::{Plan, Report, StudyChange};
use super::select::slow;
use super::shortlist::{Candidate, Shortlist, net_file, ranking};
use super::stages::{Overdue, ask, told};
use super::status::rounded;
use super::target::moved;
use super::training::{Course, Trials, train};
use super::validate::{Target, Validated};
use crate::metrics::Learned;
use crate::store::records::RecordRow;
use crate::store::studies::StudyRow;
use crate::store::trials::TrialState;

/// What a strategy is told of one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub target: String,
    pub trial: TrialId,
    pub feedback: Vec<Feedback>,
    pub learned: Learned,
}

/// One target's search.
struct Search<'a> {
    target: &'a Target,
    basis: &'a TargetBasis,
    records: Vec<&'a TrialRecord>,
    at_work: Vec<AtWork<'a>>,
}

/// A candidate whose outcome the strategy doesn't know yet.
struct AtWork<'a> {
    record: &'a TrialRecord,
    candidate: Candidate,
    state: State,
}

enum State {
    Unmeasured(Wanted),
    /// It breaks its bound as measured, or can't be measured: never trained.
    Rejected(Vec<Feedback>),
    Untrained,
    Trained(Vec<Feedback>),
    Failed(Vec<Feedback>),
}

pub fn search(
    v: &Validated,
    facts: &Facts,
    overdue: &Overdue,
    study: &StudyRow,
    basis: &Basis,
    plan: &mut Plan,
) {
    if basis.targets.iter().any(|target| moved(facts, &target.place())) {
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
        epochs: v.trial_epochs,
    };
    let pairs = v.targets.iter().zip(&basis.targets);
    let searches: Vec<_> = pairs
        .map(|(target, basis)| Search::of(v, facts, &trials, target, basis))
        .collect();
    if searches.iter().all(|search| search.at_work.is_empty()) {
        propose(v, facts, &searches, plan);
    } else {
        work(v, facts, overdue, study, trials, &searches, plan);
    }
    describe(v, &searches, plan);
}

/// All outcomes are known: the strategies propose the next candidates, or the search is over.
fn propose(v: &Validated, facts: &Facts, searches: &[Search<'_>], plan: &mut Plan) {
    let mut asked = Vec::new();
    let mut studies = Vec::with_capacity(searches.len());
    for search in searches {
        match search.asked(v) {
            Ok((study, new)) => {
                if let Some(first) = new.first() {
                    let note = format!(
                        "{}: strategy {} proposes {} candidates, generation {}{}",
                        search.target.name,
                        v.strategy.name(),
                        new.len(),
                        generation(v, first),
                        best_so_far(search.best())
                    );
                    plan.event("Searching", note);
                }
                asked.extend(new.into_iter().map(|record| RecordRow {
                    target: search.target.name.clone(),
                    record,
                }));
                studies.push(study);
            }
            Err(error) => {
                plan.finish(
                    facts,
                    Outcome::failed("SearchFailed", error.to_string()),
                    Vec::new(),
                );
                return;
            }
        }
    }
    if !asked.is_empty() {
        let message = format!(
            "strategy {} proposes {} candidates",
            v.strategy.name(),
            asked.len()
        );
        plan.report = Report::working(Stage::Searching, 0, 0, message);
        plan.study = Some(StudyChange::Ask(asked));
        return;
    }
    let targets = searches.iter().zip(&studies);
    let targets = targets
        .map(|(search, study)| ranking(v, search.target, search.basis, study, Some(search.progress(v))));
    let found = Shortlist {
        targets: targets.collect(),
    };
    plan.event("Searching", told(v.trials, &found));
    let message = format!("trained {} candidates for each target", v.trials);
    plan.report = Report::working(Stage::Searching, 0, 0, message);
    plan.study = Some(StudyChange::Shortlist(Box::new(found)));
}

/// Measures, then trains, then tells.
fn work(
    v: &Validated,
    facts: &Facts,
    overdue: &Overdue,
    study: &StudyRow,
    trials: Trials<'_>,
    searches: &[Search<'_>],
    plan: &mut Plan,
) {
    let mut wanted: BTreeMap<Place, Vec<Wanted>> = BTreeMap::new();
    for search in searches {
        let files = search.at_work.iter().filter_map(|one| match &one.state {
            State::Unmeasured(file) => Some(file.clone()),
            State::Rejected(_) | State::Untrained | State::Trained(_) | State::Failed(_) => None,
        });
        wanted.entry(search.basis.place()).or_default().extend(files);
    }
    let nets = measure(facts, overdue, wanted);
    if !nets.is_done() {
        ask(facts, plan, nets, Stage::Searching, 0);
        return;
    }
    let at_work = || searches.iter().flat_map(|search| &search.at_work);
    if at_work().any(|one| matches!(one.state, State::Untrained)) {
        let course = Course {
            stage: Stage::Searching,
            trials,
            wishes: wishes(searches),
        };
        train(v, facts, study, &course, plan);
        return;
    }
    let trained = |one: &AtWork<'_>| matches!(one.state, State::Trained(_));
    let knows_any = searches.iter().any(|search| search.best().is_some()) || at_work().any(trained);
    let failure = at_work().find_map(|one| match &one.state {
        State::Failed(feedback) => feedback.iter().find_map(failure_of),
        State::Unmeasured(_) | State::Rejected(_) | State::Untrained | State::Trained(_) => None,
    });
    if let Some(reason) = failure.filter(|_| !knows_any) {
        // Not told: once the cause is mended these candidates are trained again.
        let message = format!("none of the first candidates could be trained; one says {reason}");
        plan.finish(facts, Outcome::failed(TRAINING_FAILED, message), Vec::new());
        return;
    }
    let said = searches.iter().flat_map(Search::said).collect();
    plan.report = Report::working(
        Stage::Searching,
        0,
        0,
        "tells the strategy what it found".to_owned(),
    );
    plan.study = Some(StudyChange::Tell(said));
}

/// The first candidate of each target, then the second of each, and so on: no target waits for another's last.
/// Those that are trained already belong to the same Job.
fn wishes<'a>(searches: &'a [Search<'_>]) -> Vec<(usize, &'a Architecture)> {
    let mut found = Vec::new();
    for (index, search) in searches.iter().enumerate() {
        for one in &search.at_work {
            let number = one.record.id.0 as usize * searches.len() + index;
            match one.state {
                State::Untrained | State::Trained(_) | State::Failed(_) => {
                    found.push((number, &one.candidate.architecture));
                }
                State::Unmeasured(_) | State::Rejected(_) => {}
            }
        }
    }
    found.sort_by_key(|(number, _)| *number);
    found
}

/// How far all targets together are, and each of them.
fn describe(v: &Validated, searches: &[Search<'_>], plan: &mut Plan) {
    let Report::Working {
        progress,
        message,
        targets,
        ..
    } = &mut plan.report
    else {
        return;
    };
    let all: Vec<SearchProgress> = searches.iter().map(|search| search.progress(v)).collect();
    progress.done = all.iter().map(|one| one.done).sum();
    progress.of = all.iter().map(|one| one.of).sum();
    if let Some(generation) = all.iter().map(|one| one.generation).max() {
        let best = searches.iter().filter_map(Search::best).reduce(f64::max);
        *message = format!("generation {generation}: {message}{}", best_so_far(best));
        progress.detail = Some(message.clone());
    }
    *targets = searches
        .iter()
        .zip(all)
        .map(|(search, progress)| TargetStatus {
            name: search.target.name.clone(),
            class: Some(search.basis.class.clone()),
            search: Some(progress),
            best: None,
            front: Vec::new(),
        })
        .collect();
}

impl<'a> Search<'a> {
    fn of(
        v: &Validated,
        facts: &'a Facts,
        trials: &Trials<'_>,
        target: &'a Target,
        basis: &'a TargetBasis,
    ) -> Self {
        let of_target = facts.records.iter().filter(|row| row.target == target.name);
        let records: Vec<_> = of_target.map(|row| &row.record).collect();
        let empty = Table::default();
        let table = facts.tables.get(&basis.place()).unwrap_or(&empty);
        let open = records.iter().filter(|record| !record.is_finished());
        let at_work = open.filter_map(|record| {
            let architecture = v.space.decode(&record.choices).ok()?;
            let predicted = basis.latency.predict(&architecture).ok()?;
            let candidate = Candidate {
                architecture,
                predicted_p95_us: predicted.p95_us,
            };
            let state = state(&candidate, target.constraints.latency_p95_us, table, trials);
            Some(AtWork {
                record,
                candidate,
                state,
            })
        });
        Self {
            target,
            basis,
            at_work: at_work.collect(),
            records,
        }
    }

    /// The strategy as it stands, and what it proposes now.
    fn asked(&self, v: &Validated) -> Result<(Study, Vec<TrialRecord>), StudyError> {
        let known: Vec<_> = self.records.iter().map(|record| (*record).clone()).collect();
        let before = known.len();
        let mut study = self.basis.study(v, self.target, known)?;
        while let Work::Trial(_) = study.work() {}
        let new = study.records().get(before..).unwrap_or_default().to_vec();
        Ok((study, new))
    }

    fn said(&self) -> Vec<Said> {
        let said = |one: &AtWork<'_>| {
            let (feedback, learned) = match &one.state {
                State::Rejected(feedback) => (feedback, Learned::rejected),
                State::Trained(feedback) => (feedback, Learned::trained),
                State::Failed(feedback) => (feedback, Learned::failed),
                State::Unmeasured(_) | State::Untrained => return None,
            };
            Some(Said {
                target: self.target.name.clone(),
                trial: one.record.id,
                feedback: feedback.clone(),
                learned,
            })
        };
        self.at_work.iter().filter_map(said).collect()
    }

    /// Best accuracy of all outcomes, those the strategy is not told yet among them.
    fn best(&self) -> Option<f64> {
        let at_work = self.at_work.iter().filter_map(|one| match &one.state {
            State::Trained(feedback) => feedback.iter().find_map(accuracy_of),
            State::Unmeasured(_) | State::Rejected(_) | State::Untrained | State::Failed(_) => None,
        });
        let told = self.records.iter().filter_map(|record| record.accuracy());
        told.chain(at_work).reduce(f64::max)
    }

    fn progress(&self, v: &Validated) -> SearchProgress {
        let open = self
            .at_work
            .iter()
            .filter(|one| matches!(one.state, State::Unmeasured(_) | State::Untrained));
        SearchProgress {
            generation: self.records.last().map_or(1, |last| generation(v, last)),
            done: (self.records.len() - open.count()) as u32,
            of: v.trials,
            best_accuracy: self.best().map(rounded),
        }
    }
}

/// From 1. A strategy that doesn't learn proposes all at once, whatever it calls them.
fn generation(v: &Validated, record: &TrialRecord) -> u32 {
    if v.strategy.learns() {
        record.generation + 1
    } else {
        1
    }
}

fn state(candidate: &Candidate, bound: f64, table: &Table, trials: &Trials<'_>) -> State {
    let failed = |reason: String| Feedback::Failed { reason };
    let Some(file) = net_file(&candidate.architecture, Some(bound)) else {
        return State::Rejected(vec![failed(
            "it can't be written as a file to measure".to_owned(),
        )]);
    };
    let p95_us = match known(table, &file.sha256, Some(bound)) {
        Known::Missing => return State::Unmeasured(file),
        Known::Hopeless(reason) => return State::Rejected(vec![failed(reason.to_owned())]),
        Known::Measured(row) => row.p95_us,
    };
    let measured = Feedback::Measured { target: 0, p95_us };
    if p95_us > bound {
        let miss = slow(candidate, p95_us, bound, "measured before training");
        return State::Rejected(vec![measured, failed(miss.text)]);
    }
    let Some(trial) = trials.find(&candidate.architecture) else {
        return State::Untrained;
    };
    match (trial.state, &trial.metrics, &trial.failure) {
        (TrialState::Trained, Some(metrics), _) => {
            let accuracy = metrics.validation_accuracy;
            State::Trained(vec![measured, Feedback::Evaluated { accuracy }])
        }
        (TrialState::Failed, _, failure) => {
            let (code, message) = failure.clone().unwrap_or_default();
            State::Failed(vec![measured, failed(format!("{code}: {message}"))])
        }
        (TrialState::Pending | TrialState::Running | TrialState::Trained | TrialState::Cancelled, ..) => {
            State::Untrained
        }
    }
}

fn failure_of(feedback: &Feedback) -> Option<String> {
    match feedback {
        Feedback::Failed { reason } => Some(reason.clone()),
        Feedback::Measured { .. } | Feedback::Evaluated { .. } | Feedback::Gradients { .. } => None,
    }
}

fn accuracy_of(feedback: &Feedback) -> Option<f64> {
    match feedback {
        Feedback::Evaluated { accuracy } => Some(*accuracy),
        Feedback::Measured { .. } | Feedback::Failed { .. } | Feedback::Gradients { .. } => None,
    }
}

fn best_so_far(best: Option<f64>) -> String {
    best.map(|share| format!("; best so far {:.1} %", share * 100.0))
        .unwrap_or_default()
}
