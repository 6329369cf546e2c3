//! What the plan says, as the resource's status: kstatus-correct, from the first write on.
//!
//! Pure; the one patch is in `apply`, and only if something differs.

use crds::conditions::{Stated, Verdict, merge, types};
use crds::nasjob::{BestModel, FrontPoint, NasJobStatus, Progress, Stage, TargetStatus};
use jiff::Timestamp;
use units::Bytes;

use super::outcome::{Outcome, Point, TargetOutcome, selected};
use super::plan::Report;
use super::shortlist::{Shortlist, span};

/// The whole new status. `now` only goes into conditions whose status changes.
pub fn status(old: Option<&NasJobStatus>, report: &Report, generation: i64, now: Timestamp) -> NasJobStatus {
    let conditions = old.map_or(&[][..], |old| &old.conditions);
    let (progress, targets, summary) = match report {
        Report::Working {
            progress, targets, ..
        } => (Some(progress.clone()), targets.clone(), None),
        Report::Ended(outcome) => (Some(done(outcome)), found(outcome), summary(outcome)),
        Report::Refused { .. } => (None, Vec::new(), None),
    };
    NasJobStatus {
        observed_generation: Some(generation),
        conditions: merge(conditions, &stated(report), generation, now),
        progress,
        targets,
        summary,
    }
}

fn stated(report: &Report) -> Vec<Stated> {
    let (succeeded, reconciling, stalled, reason, message) = match report {
        Report::Working { reason, message, .. } => {
            (Verdict::Unknown, Verdict::True, Verdict::False, reason, message)
        }
        Report::Ended(outcome) if outcome.succeeded => (
            Verdict::True,
            Verdict::False,
            Verdict::False,
            &outcome.reason,
            &outcome.message,
        ),
        Report::Ended(outcome) => (
            Verdict::False,
            Verdict::False,
            Verdict::True,
            &outcome.reason,
            &outcome.message,
        ),
        Report::Refused { reason, message } => {
            (Verdict::False, Verdict::False, Verdict::True, reason, message)
        }
    };
    [
        (types::SUCCEEDED, succeeded),
        (types::RECONCILING, reconciling),
        (types::STALLED, stalled),
    ]
    .map(|(kind, verdict)| Stated {
        kind,
        verdict,
        reason: reason.clone(),
        message: message.clone(),
    })
    .into()
}

fn done(outcome: &Outcome) -> Progress {
    let of = outcome.targets.len() as u32;
    let with_model = outcome
        .targets
        .iter()
        .filter(|target| target.best.is_some())
        .count() as u32;
    Progress {
        stage: Stage::Done,
        done: with_model,
        of,
        detail: None,
    }
}

/// Of a search whose finalists are at work.
pub fn searched(shortlist: &Shortlist) -> Vec<TargetStatus> {
    let target = |ranking: &super::shortlist::Ranking| TargetStatus {
        name: ranking.target.clone(),
        class: Some(ranking.class.clone()),
        search: ranking.search.clone(),
        best: None,
        front: Vec::new(),
    };
    shortlist.targets.iter().map(target).collect()
}

fn found(outcome: &Outcome) -> Vec<TargetStatus> {
    let target = |TargetOutcome {
                      name,
                      class,
                      search,
                      best,
                      problem: _,
                      front,
                  }: &TargetOutcome| TargetStatus {
        name: name.clone(),
        class: Some(class.clone()),
        search: search.clone(),
        best: best.as_ref().map(best_model),
        front: front.iter().map(front_point).collect(),
    };
    outcome.targets.iter().map(target).collect()
}

fn best_model(point: &Point) -> BestModel {
    let Point {
        model,
        architecture: _,
        size,
        accuracy,
        predicted_p95_us,
        measured_p95_us,
    } = point;
    BestModel {
        model: model.clone(),
        accuracy: rounded(*accuracy),
        predicted_p95: span(*predicted_p95_us),
        measured_p95: span(*measured_p95_us),
        size: Bytes::new(*size),
    }
}

fn front_point(point: &Point) -> FrontPoint {
    FrontPoint {
        model: point.model.clone(),
        accuracy: rounded(point.accuracy),
        measured_p95: span(point.measured_p95_us),
    }
}

/// More digits than test images tell nothing, and floats don't come back from the API server bit for bit.
pub fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

fn summary(outcome: &Outcome) -> Option<String> {
    let lines: Vec<_> = outcome.targets.iter().filter_map(selected).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}
