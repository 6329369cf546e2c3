//! What is done next: pure, from the job and what is known; the same knowledge gives the same step.
//!
//! A search that learns goes candidate by candidate: measured whole where that is possible, trained for a short while,
//! told in order. Then the finalists, trained to the end. What was measured above its bound is never trained.

use std::collections::BTreeMap;

use search::latency::LatencyModel;
use search::space::Architecture;
use search::study::{Study, StudyError, Work};
use search::trial::{Feedback, TrialRecord};

use super::front::over;
use super::job::Job;

/// All that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// What the strategy proposed and was told.
    pub records: &'a [TrialRecord],
    /// The candidates by promise, once the search is over.
    pub ranking: Option<&'a [Architecture]>,
    pub trained: &'a BTreeMap<String, Trained>,
    /// 95th percentile of measured files by their digest, or why one can't be measured.
    pub files: &'a BTreeMap<String, Result<f64, String>>,
    /// Whether files can be measured here.
    pub measures: bool,
}

/// What came of a training.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Trained {
    Model(Model),
    Failed(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    pub architecture: Architecture,
    pub sha256: String,
    pub size: u64,
    pub metrics: protocol::trainer::Metrics,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// These are all records now.
    Record(Vec<TrialRecord>),
    /// The search is over.
    Rank(Vec<Architecture>),
    /// These networks are measured whole, without weights.
    Measure(Vec<Architecture>),
    Train(Training),
    /// The trained file of this name is measured.
    Verify(String),
    Done,
    /// Nothing can come of this search.
    Fail(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Training {
    pub name: String,
    pub architecture: Architecture,
    pub epochs: u32,
    /// Only so many of the images the job uses.
    pub limit: Option<u32>,
    /// For people.
    pub label: String,
    /// Epochs of all trainings that follow, as far as is known.
    pub epochs_after: u32,
}

/// Name of a training in files.
pub(super) fn name(architecture: &Architecture, epochs: u32) -> String {
    format!("{}-e{epochs}", architecture.id())
}

/// Epochs and images of the very first training, where others are longer: whoever waits has something to use within
/// minutes.
const FIRST_EPOCHS: u32 = 1;
const FIRST_IMAGES: u32 = 20_000;

pub(super) fn next(job: &Job, latency: &LatencyModel, known: &Known<'_>) -> Result<Step, StudyError> {
    let unverified = |trained: &Trained| match trained {
        Trained::Model(model) => known.measures && !known.files.contains_key(&model.sha256),
        Trained::Failed(_) => false,
    };
    if let Some((name, _)) = known.trained.iter().find(|(_, trained)| unverified(trained)) {
        return Ok(Step::Verify(name.clone()));
    }
    if let Some(ranking) = known.ranking {
        return Ok(finals(job, ranking, known));
    }
    if job.trials == 0 {
        let mut study = job.study(latency, Vec::new())?;
        study.run();
        return Ok(rank(job, &study));
    }
    let at_work: Vec<_> = known.records.iter().filter(|r| !r.is_finished()).collect();
    if !at_work.is_empty() {
        return Ok(work(job, &at_work, known));
    }
    let mut study = job.study(latency, known.records.to_vec())?;
    while let Work::Trial(_) = study.work() {}
    if study.records().len() > known.records.len() {
        return Ok(Step::Record(study.records().to_vec()));
    }
    Ok(rank(job, &study))
}

/// Longest list that is kept.
const MOST_CANDIDATES: usize = 200;

fn rank(job: &Job, study: &Study) -> Step {
    let candidates = match study.shortlist(0, job.finalists, MOST_CANDIDATES) {
        Ok(found) => found.into_iter().map(|(architecture, _)| architecture),
        Err(reason) => return Step::Fail(reason),
    };
    Step::Rank(candidates.collect())
}

/// Of one candidate that the strategy proposed.
enum State {
    Unmeasured(Architecture),
    Untrained(Architecture),
    /// Never trained.
    Rejected(Vec<Feedback>),
    Trained(Vec<Feedback>),
    Failed(Vec<Feedback>, String),
}

fn work(job: &Job, at_work: &[&TrialRecord], known: &Known<'_>) -> Step {
    let states: Vec<_> = at_work
        .iter()
        .filter_map(|record| Some((*record, state(job, record, known)?)))
        .collect();
    let unmeasured = states.iter().filter_map(|(_, state)| match state {
        State::Unmeasured(architecture) => Some(architecture.clone()),
        _ => None,
    });
    let unmeasured: Vec<_> = unmeasured.collect();
    if !unmeasured.is_empty() {
        return Step::Measure(unmeasured);
    }
    for (record, state) in &states {
        match state {
            State::Untrained(architecture) => {
                let number = record.id.0 + 1;
                let left = job.trials.saturating_sub(number);
                let label = format!(
                    "trial {number} of {} (generation {})",
                    job.trials,
                    record.generation + 1
                );
                let after = left * job.trial_epochs + job.finalists as u32 * job.train_epochs;
                return train(known, architecture, job.trial_epochs, label, after);
            }
            State::Unmeasured(_) | State::Rejected(_) | State::Trained(_) | State::Failed(..) => {}
        }
    }
    let trained = |(_, state): &(&TrialRecord, State)| matches!(state, State::Trained(_));
    let knows_any = states.iter().any(trained) || known.records.iter().any(|r| r.accuracy().is_some());
    let failure = states.iter().find_map(|(_, state)| match state {
        State::Failed(_, reason) => Some(reason),
        _ => None,
    });
    if let Some(reason) = failure.filter(|_| !knows_any) {
        return Step::Fail(format!(
            "none of the first candidates could be trained; one says {reason}"
        ));
    }
    let mut records = known.records.to_vec();
    for (record, state) in states {
        let (State::Rejected(feedback) | State::Trained(feedback) | State::Failed(feedback, _)) = state
        else {
            continue;
        };
        if let Some(kept) = records.iter_mut().find(|kept| kept.id == record.id) {
            kept.feedback = feedback;
        }
    }
    Step::Record(records)
}

fn state(job: &Job, record: &TrialRecord, known: &Known<'_>) -> Option<State> {
    let architecture = job.space.decode(&record.choices).ok()?;
    let failed = |reason: String| Feedback::Failed { reason };
    let mut feedback = Vec::new();
    match net(job, &architecture, known) {
        Net::Unknown => return Some(State::Unmeasured(architecture)),
        Net::Breaks(p95_us, text) => {
            let measured = Feedback::Measured { target: 0, p95_us };
            return Some(State::Rejected(vec![measured, failed(text)]));
        }
        Net::Hopeless(reason) => return Some(State::Rejected(vec![failed(reason)])),
        Net::Holds(Some(p95_us)) => feedback.push(Feedback::Measured { target: 0, p95_us }),
        Net::Holds(None) => {}
    }
    let name = name(&architecture, job.trial_epochs);
    Some(match known.trained.get(&name) {
        None => State::Untrained(architecture),
        Some(Trained::Failed(reason)) => {
            feedback.push(failed(reason.clone()));
            State::Failed(feedback, reason.clone())
        }
        Some(Trained::Model(model)) => {
            let accuracy = model.metrics.validation_accuracy;
            feedback.push(Feedback::Evaluated { accuracy });
            State::Trained(feedback)
        }
    })
}

/// What is known of a network before it is trained.
enum Net {
    /// Measured within its bound, or only foretold to be.
    Holds(Option<f64>),
    Breaks(f64, String),
    Hopeless(String),
    Unknown,
}

fn net(job: &Job, architecture: &Architecture, known: &Known<'_>) -> Net {
    let bound = job.constraints.latency_p95_us;
    match known.files.get(&export::profile_net(architecture).sha256) {
        Some(Ok(p95_us)) if *p95_us <= bound => Net::Holds(Some(*p95_us)),
        Some(Ok(p95_us)) => Net::Breaks(
            *p95_us,
            over(architecture, *p95_us, bound, "measured before training"),
        ),
        Some(Err(reason)) => Net::Hopeless(reason.clone()),
        None if known.measures => Net::Unknown,
        None => Net::Holds(None),
    }
}

/// The first of the ranking that hold their bound are trained to the end; as many again if none of them holds it once
/// it is trained.
fn finals(job: &Job, ranking: &[Architecture], known: &Known<'_>) -> Step {
    let mut quota = job.finalists;
    let mut picks: Vec<&Architecture> = Vec::new();
    let mut unmeasured = Vec::new();
    for architecture in ranking {
        if picks.len() + unmeasured.len() >= quota {
            let broken = |pick: &&Architecture| is_broken(job, pick, known);
            if quota > job.finalists || !unmeasured.is_empty() || !picks.iter().all(broken) {
                break;
            }
            quota += job.finalists;
        }
        match net(job, architecture, known) {
            Net::Unknown => unmeasured.push(architecture.clone()),
            Net::Holds(_) => picks.push(architecture),
            Net::Breaks(..) | Net::Hopeless(_) => {}
        }
    }
    if !unmeasured.is_empty() {
        return Step::Measure(unmeasured);
    }
    let count = picks.len();
    for (index, pick) in picks.iter().enumerate() {
        let name = name(pick, job.train_epochs);
        match known.trained.get(&name) {
            None => {
                let label = format!("finalist {} of {count}", index + 1);
                let after = (count - index - 1) as u32 * job.train_epochs;
                return train(known, pick, job.train_epochs, label, after);
            }
            Some(Trained::Model(_) | Trained::Failed(_)) => {}
        }
    }
    Step::Done
}

fn train(
    known: &Known<'_>,
    architecture: &Architecture,
    epochs: u32,
    label: String,
    epochs_after: u32,
) -> Step {
    if known.trained.is_empty() && epochs > FIRST_EPOCHS {
        return Step::Train(Training {
            name: format!("{}-first", architecture.id()),
            architecture: architecture.clone(),
            epochs: FIRST_EPOCHS,
            limit: Some(FIRST_IMAGES),
            label: "a first model".to_owned(),
            epochs_after: epochs_after + epochs,
        });
    }
    Step::Train(Training {
        name: name(architecture, epochs),
        architecture: architecture.clone(),
        epochs,
        limit: None,
        label,
        epochs_after,
    })
}

/// Its trained file can't be made, or was measured above its bound.
fn is_broken(job: &Job, architecture: &Architecture, known: &Known<'_>) -> bool {
    match known.trained.get(&name(architecture, job.train_epochs)) {
        None => false,
        Some(Trained::Failed(_)) => true,
        Some(Trained::Model(model)) => {
            let too_large = job
                .constraints
                .model_bytes
                .is_some_and(|bound| model.size > bound);
            let too_slow = match known.files.get(&model.sha256) {
                Some(Ok(p95_us)) => *p95_us > job.constraints.latency_p95_us,
                Some(Err(_)) => true,
                None => false,
            };
            too_large || too_slow
        }
    }
}
