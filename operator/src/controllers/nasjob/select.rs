//! From a ranking to the candidates that are trained, and from trained ones to the best.
//!
//! Walks the ranking in order, with what is known of each candidate. A bound is held against measurements only:
//! before training against the network without weights, after it against the trained file.

use protocol::id::Digest;
use protocol::profile::FileContent;
use protocol::trainer::Metrics;
use search::constraint::Constraints;
use search::objective::Point;

use super::facts::Table;
use super::measure::{Known, Wanted, known};
use super::shortlist::{Candidate, Ranking, name, net_file, net_key, span};
use crate::blobs::Blobs;
use crate::store::trials::{TrialRow, TrialState};

/// Where one target stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection<'a> {
    /// Candidates that hold the bound as measured without weights: to be trained.
    pub picks: Vec<Pick<'a>>,
    /// Networks to be measured before it is clear what is trained.
    pub to_measure: Vec<Wanted>,
    /// Networks that were measured and held or not.
    pub measured: u32,
    /// What came nearest to the bound of those that did not hold it.
    pub nearest: Option<Miss>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pick<'a> {
    pub candidate: &'a Candidate,
    pub trial: Option<&'a TrialRow>,
    pub verdict: Verdict,
}

/// What is known of a pick once it is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Not trained yet.
    Untrained,
    /// It can't be trained: code and message of the last failure.
    Failed(String, String),
    /// Its file is to be measured.
    Unverified(Wanted),
    /// It holds every bound.
    Holds(Verified),
    /// It breaks a bound.
    Breaks(Miss),
}

/// A trained model as measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    pub model: Digest,
    pub size: u64,
    pub metrics: Metrics,
    pub measured_p95_us: f64,
}

/// By how much something missed, for people; the ratio of value and bound orders misses.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    pub ratio: f64,
    pub text: String,
}

impl Verified {
    pub fn point(&self, feasible: bool) -> Point {
        Point {
            accuracy: self.metrics.validation_accuracy,
            latency_p95_us: self.measured_p95_us,
            model_bytes: self.size,
            feasible,
        }
    }
}

/// `finalists`: how many are trained; as many again if none of them holds when its trained file is measured.
pub fn select<'a>(
    ranking: &'a Ranking,
    bounds: &Constraints,
    finalists: usize,
    table: &Table,
    trial_of: impl Fn(&Candidate) -> Option<&'a TrialRow>,
) -> Selection<'a> {
    let bound = bounds.latency_p95_us;
    let nets: Vec<_> = ranking
        .candidates
        .iter()
        .map(|c| (c, net(c, bound, table)))
        .collect();
    let measured = nets
        .iter()
        .filter(|(_, net)| matches!(net, Net::Holds | Net::Breaks(_)))
        .count();
    let slower = slowdown(&ranking.candidates, bound, table);
    let mut left = (4 * finalists + 8).saturating_sub(measured);
    let mut selection = Selection {
        measured: measured as u32,
        ..Selection::default()
    };
    let mut spare: Vec<&Candidate> = Vec::new();
    let mut quota = finalists;
    for (candidate, net) in &nets {
        if selection.picks.len() + selection.to_measure.len() >= quota {
            let broken = |pick: &Pick<'_>| matches!(pick.verdict, Verdict::Breaks(_));
            if quota > finalists || !selection.to_measure.is_empty() || !selection.picks.iter().all(broken) {
                break;
            }
            quota += finalists;
        }
        match net {
            Net::Holds => {
                let trial = trial_of(candidate);
                let verdict = verdict(candidate, trial, bounds, table);
                selection.picks.push(Pick {
                    candidate,
                    trial,
                    verdict,
                });
            }
            Net::Breaks(miss) => nearer(&mut selection.nearest, miss),
            Net::Unmeasurable => {}
            Net::Unknown if candidate.predicted_p95_us * slower <= bound && left > 0 => {
                left -= 1;
                selection
                    .to_measure
                    .extend(net_file(&candidate.architecture, Some(bound)));
            }
            Net::Unknown => spare.push(candidate),
        }
    }
    if selection.picks.is_empty() && selection.to_measure.is_empty() && left > 0 {
        // Nothing seems to fit; before saying so the fastest ones have their say.
        spare.sort_by(|a, b| a.predicted_p95_us.total_cmp(&b.predicted_p95_us));
        let fastest = spare.into_iter().take(finalists.min(left));
        selection.to_measure = fastest
            .filter_map(|c| net_file(&c.architecture, Some(bound)))
            .collect();
    }
    for pick in &selection.picks {
        if let Verdict::Breaks(miss) = &pick.verdict {
            nearer(&mut selection.nearest, miss);
        }
    }
    selection
}

enum Net {
    Holds,
    Breaks(Miss),
    Unmeasurable,
    Unknown,
}

fn net(candidate: &Candidate, bound: f64, table: &Table) -> Net {
    // Most candidates are never tried: their files need not be made.
    if !tried(candidate, table) {
        return Net::Unknown;
    }
    let Some(file) = net_file(&candidate.architecture, Some(bound)) else {
        return Net::Unmeasurable;
    };
    match known(table, &file.sha256, Some(bound)) {
        Known::Measured(row) if row.p95_us <= bound => Net::Holds,
        Known::Measured(row) => Net::Breaks(slow(candidate, row.p95_us, bound, "measured before training")),
        Known::Hopeless(_) => Net::Unmeasurable,
        Known::Missing => Net::Unknown,
    }
}

fn tried(candidate: &Candidate, table: &Table) -> bool {
    let key = net_key(&candidate.architecture);
    table.rows.iter().any(|row| row.key == key) || table.failures.iter().any(|failure| failure.key == key)
}

/// How much slower whole networks are than predicted, as the median of those that were measured; at least 1.
fn slowdown(candidates: &[Candidate], bound: f64, table: &Table) -> f64 {
    let ratio = |candidate: &Candidate| {
        if !tried(candidate, table) {
            return None;
        }
        let file = net_file(&candidate.architecture, Some(bound))?;
        match known(table, &file.sha256, Some(bound)) {
            Known::Measured(row) => Some(row.p95_us / candidate.predicted_p95_us.max(1e-3)),
            Known::Missing | Known::Hopeless(_) => None,
        }
    };
    let mut ratios: Vec<_> = candidates.iter().filter_map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).map_or(1.0, |median| median.max(1.0))
}

fn verdict(candidate: &Candidate, trial: Option<&TrialRow>, bounds: &Constraints, table: &Table) -> Verdict {
    let Some(trial) = trial else {
        return Verdict::Untrained;
    };
    if trial.state == TrialState::Failed {
        let (code, message) = trial.failure.clone().unwrap_or_default();
        return Verdict::Failed(code, message);
    }
    let (TrialState::Trained, Some((model, size)), Some(metrics)) =
        (trial.state, &trial.model, &trial.metrics)
    else {
        return Verdict::Untrained;
    };
    if let Some(bound) = bounds.model_bytes.filter(|bound| size > bound) {
        let text = format!(
            "{}: its file has {size} bytes, {} more than the bound",
            name(&candidate.architecture),
            size - bound
        );
        return Verdict::Breaks(Miss {
            ratio: *size as f64 / bound.max(1) as f64,
            text,
        });
    }
    let bound = bounds.latency_p95_us;
    match known(table, model, Some(bound)) {
        Known::Measured(row) if row.p95_us <= bound => Verdict::Holds(Verified {
            model: model.clone(),
            size: *size,
            metrics: metrics.clone(),
            measured_p95_us: row.p95_us,
        }),
        Known::Measured(row) => {
            Verdict::Breaks(slow(candidate, row.p95_us, bound, "measured after training"))
        }
        Known::Hopeless(reason) => Verdict::Breaks(Miss {
            ratio: f64::INFINITY,
            text: format!(
                "{}: its trained file can't be measured: {reason}",
                name(&candidate.architecture)
            ),
        }),
        Known::Missing => Verdict::Unverified(Wanted {
            key: format!("model-{}", model.short()),
            sha256: model.clone(),
            content: FileContent::Url {
                url: Blobs::url(model),
                size: *size,
            },
            bound_us: Some(bound),
        }),
    }
}

pub fn slow(candidate: &Candidate, p95_us: f64, bound: f64, when: &str) -> Miss {
    let text = format!(
        "{}, predicted {}, {when} {}, {} ({:.1} %) above the bound of {}",
        name(&candidate.architecture),
        span(candidate.predicted_p95_us),
        span(p95_us),
        span(p95_us - bound),
        (p95_us / bound - 1.0) * 100.0,
        span(bound)
    );
    Miss {
        ratio: p95_us / bound,
        text,
    }
}

fn nearer(nearest: &mut Option<Miss>, miss: &Miss) {
    if nearest.as_ref().is_none_or(|known| miss.ratio < known.ratio) {
        *nearest = Some(miss.clone());
    }
}
