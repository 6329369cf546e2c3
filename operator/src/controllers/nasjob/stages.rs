//! The stages of a search, each a function that adds to the plan what is to be done now, and why it waits.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::nasjob::Stage;

use super::basis::Basis;
use super::facts::{Facts, Place, Table};
use super::measure::{Measuring, Wanted, few, measure};
use super::outcome::{self, Outcome};
use super::plan::{Plan, Report, StudyChange};
use super::select::{Selection, Verdict, select};
use super::shortlist::{self, Candidate, Ranking, Shortlist};
use super::status::searched;
use super::target::{Resolved, moved, resolve};
use super::training::{Course, Trials, train};
use super::validate::{Refusal, Validated};
use crate::store::studies::StudyRow;

/// How often a stage is looked at without being told of anything.
pub const LOOK: Duration = Duration::from_secs(5);
/// How often a device is looked for.
const LOOK_FOR_DEVICES: Duration = Duration::from_secs(30);

/// Requests that are given up, each with the reason.
pub type Overdue = [(String, String)];

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
    let basis = Basis::of(v, facts, &places);
    if v.trials > 0 {
        let message = format!(
            "strategy {} chooses {} trials for each target",
            v.strategy.name(),
            v.trials
        );
        plan.report = Report::working(Stage::Searching, 0, v.trials, message);
        plan.study = Some(StudyChange::Basis(Box::new(basis)));
        return Ok(());
    }
    match shortlist::untrained(v, &basis) {
        Ok(found) => {
            plan.event("Searching", told(v.candidates, &found));
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
        epochs: v.epochs,
    };
    let empty = Table::default();
    let targets: Vec<_> = shortlist.targets.iter().zip(&v.targets).collect();
    let selections: Vec<_> = targets
        .iter()
        .map(|(ranking, target)| {
            let table = facts.tables.get(&ranking.place()).unwrap_or(&empty);
            select(ranking, &target.constraints, v.finalists, table, |candidate| {
                trials.find(&candidate.architecture)
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
        // Numbers go on where those of the search end.
        let searched = v.trials as usize * v.targets.len();
        let picks = picks.iter().map(|pick| &pick.architecture);
        let course = Course {
            stage: Stage::Training,
            trials,
            wishes: (searched..).zip(picks).collect(),
        };
        train(v, facts, study, &course, plan);
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
    if let Report::Working { targets, .. } = &mut plan.report {
        *targets = searched(shortlist);
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

pub fn ask(facts: &Facts, plan: &mut Plan, measuring: Measuring, stage: Stage, before: u32) {
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

/// What was found among so many candidates, for people.
pub fn told(looked_at: u32, found: &Shortlist) -> String {
    let line = |ranking: &Ranking| match &ranking.infeasible {
        Some(problem) => format!("{}: {problem}", ranking.target),
        None => format!(
            "{}: {} candidates kept (latency model off by {:.1} % on whole networks, {:.1} % before calibration; error \
             bar {:.1} %)",
            ranking.target,
            ranking.candidates.len(),
            ranking.error * 100.0,
            ranking.error_before * 100.0,
            ranking.error_bar * 100.0
        ),
    };
    let lines: Vec<_> = found.targets.iter().map(line).collect();
    format!(
        "looked at {looked_at} candidates for each target: {}",
        lines.join("; ")
    )
}
