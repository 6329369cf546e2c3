//! What still has to be measured, and whom to ask: files in, requests to devices out.
//!
//! One request a device at a time; none while somebody trains, for on small machines training would disturb the
//! devices that share the host. A device that leaves a request unanswered comes last the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use protocol::id::Digest;
use protocol::profile::{FileContent, MeasurePlan};

use super::facts::{DeviceFact, Facts, Place, Table};
use crate::store::profiles::{FailureKind, ProfileRow};

/// Files of one message.
const MOST_FILES: usize = 40;
/// Bytes of one message's files; base64 adds a third.
const MOST_BYTES: usize = 1024 * 1024;
/// A file that can't be run is tried so often.
const FAILURES: i32 = 2;
/// Answers that can't be true are borne so often.
const IMPLAUSIBLE: i32 = 5;
/// A disturbed measurement, or one above its bound, is repeated until there are so many.
const MEASUREMENTS: i32 = 3;

/// A file whose latency is needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub key: String,
    pub sha256: Digest,
    pub content: FileContent,
    /// What it is held against, if anything: then it is measured longer.
    pub bound_us: Option<f64>,
}

/// A request to one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub device: DeviceFact,
    pub files: Vec<Wanted>,
    pub plan: MeasurePlan,
    pub deadline: Timestamp,
}

/// How far the measuring of some files is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measuring {
    pub done: u32,
    pub of: u32,
    pub asks: Vec<Ask>,
    /// Why nothing goes on right now.
    pub blocked: Option<Blocked>,
    /// Files that will never have a latency: place, key and the device's reason.
    pub hopeless: Vec<(Place, String, String)>,
    /// Devices that measure for this.
    pub busy: Vec<String>,
}

impl Measuring {
    pub fn is_done(&self) -> bool {
        self.done == self.of
    }
}

/// A reason of a condition, with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    pub reason: &'static str,
    pub message: String,
}

/// What is known of one file at a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known<'a> {
    Measured(&'a ProfileRow),
    Missing,
    Hopeless(&'a str),
}

/// Whether the file's figure may be used: a disturbed one, or one above its bound, is measured again first.
pub fn known<'a>(table: &'a Table, sha256: &Digest, bound_us: Option<f64>) -> Known<'a> {
    if let Some(row) = table.rows.iter().find(|row| row.sha256 == *sha256) {
        let settled = match bound_us {
            Some(bound) => row.p95_us <= bound || row.min_us > bound || row.measurements >= MEASUREMENTS,
            None => !row.disturbed || row.measurements > 1,
        };
        return if settled {
            Known::Measured(row)
        } else {
            Known::Missing
        };
    }
    let failed = |kind, most| {
        let of_file = || {
            table
                .failures
                .iter()
                .filter(|f| f.sha256 == *sha256 && f.kind == kind)
        };
        (of_file().map(|f| f.count).sum::<i32>() >= most)
            .then(|| of_file().next_back())
            .flatten()
    };
    match failed(FailureKind::Failed, FAILURES).or_else(|| failed(FailureKind::Implausible, IMPLAUSIBLE)) {
        Some(failure) => Known::Hopeless(&failure.reason),
        None => Known::Missing,
    }
}

/// Requests nobody has to wait for any more: overdue ones, and those whose device has forgotten them or is gone
/// while another one could answer. Given with the reason.
pub fn overdue(facts: &Facts, job: uuid::Uuid) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for request in &facts.requests {
        let device = facts.devices.iter().find(|d| d.id.as_str() == request.device);
        let other = facts
            .devices
            .iter()
            .any(|d| d.online && d.id.as_str() != request.device && d.place.class == request.class);
        let reason = match device {
            _ if request.deadline <= facts.now => "did not answer in time",
            Some(d) if request.job == job && request.boot_id.is_some_and(|boot| boot != d.boot_id) => {
                "was started anew"
            }
            Some(d) if request.job == job && !d.online && other => "went away",
            _ => continue,
        };
        found.push((request.id.clone(), format!("{} {reason}", request.device)));
    }
    found
}

/// `overdue`: requests that are given up by the same plan.
pub fn measure(
    facts: &Facts,
    overdue: &[(String, String)],
    wanted: BTreeMap<Place, Vec<Wanted>>,
) -> Measuring {
    let mut measuring = Measuring::default();
    let open: Vec<_> = facts
        .requests
        .iter()
        .filter(|r| overdue.iter().all(|(id, _)| *id != r.id))
        .collect();
    let mut busy: BTreeSet<_> = open.iter().map(|r| r.device.clone()).collect();
    let mut silent = facts.silent.clone();
    for request in facts
        .requests
        .iter()
        .filter(|r| overdue.iter().any(|(id, _)| *id == r.id))
    {
        *silent.entry(request.device.clone()).or_default() += 1;
    }
    for (place, files) in wanted {
        let empty = Table::default();
        let table = facts.tables.get(&place).unwrap_or(&empty);
        let mut missing = Vec::new();
        let mut seen = BTreeSet::new();
        for file in files {
            if !seen.insert(file.sha256.clone()) {
                continue;
            }
            measuring.of += 1;
            match known(table, &file.sha256, file.bound_us) {
                Known::Measured(_) => measuring.done += 1,
                Known::Hopeless(reason) => {
                    measuring.done += 1;
                    measuring
                        .hopeless
                        .push((place.clone(), file.key, reason.to_owned()));
                }
                Known::Missing => missing.push(file),
            }
        }
        let here = open
            .iter()
            .filter(|r| r.class == place.class && r.runtime_hash == place.runtime_hash);
        for request in here {
            let before = missing.len();
            missing.retain(|file| !request.sha256s.contains(&file.sha256));
            if missing.len() < before {
                measuring.busy.push(request.device.clone());
            }
        }
        let devices = Devices {
            facts,
            silent: &silent,
            busy: &mut busy,
        };
        ask(devices, &place, missing, &mut measuring);
    }
    measuring
}

/// Who may be asked.
struct Devices<'a> {
    facts: &'a Facts,
    /// Requests each device left unanswered lately, the overdue ones among them.
    silent: &'a BTreeMap<String, i64>,
    /// Devices that measure, of every job.
    busy: &'a mut BTreeSet<String>,
}

fn ask(devices: Devices<'_>, place: &Place, mut missing: Vec<Wanted>, measuring: &mut Measuring) {
    let Devices { facts, silent, busy } = devices;
    let silent = |device: &DeviceFact| silent.get(device.id.as_str()).copied().unwrap_or(0);
    let blocked = |reason, message: String| Some(Blocked { reason, message });
    let mut there: Vec<_> = facts
        .devices
        .iter()
        .filter(|d| d.place == *place && d.online)
        .collect();
    there.sort_by_key(|d| (silent(d), &d.id));
    while !missing.is_empty() {
        if let Some(job) = &facts.training {
            let message =
                format!("waits for {job} to end its training: devices measure only while nobody trains");
            measuring.blocked = blocked("WaitingForTraining", message);
            return;
        }
        if there.is_empty() {
            let names: Vec<_> = facts
                .devices
                .iter()
                .filter(|d| d.place == *place)
                .map(|d| d.id.as_str())
                .collect();
            let message = format!(
                "{} files are to be measured on class {}, but all of its devices are offline: {}",
                missing.len(),
                place.class,
                few(&names)
            );
            measuring.blocked = blocked("DeviceUnreachable", message);
            return;
        }
        let Some(device) = there.iter().find(|d| !busy.contains(d.id.as_str())) else {
            return;
        };
        if busy.len() >= facts.concurrency.max(1) {
            return;
        }
        busy.insert(device.id.to_string());
        measuring.busy.push(device.id.to_string());
        let files = batch(&mut missing);
        let plan = plan_of(&files);
        let patience = patience(&files, plan) * (1 << silent(device).clamp(0, 3));
        let deadline = facts.now.checked_add(patience).unwrap_or(facts.now);
        measuring.asks.push(Ask {
            device: (*device).clone(),
            files,
            plan,
            deadline,
        });
    }
}

/// The first names of a list that may be long.
pub fn few(names: &[&str]) -> String {
    const FEW: usize = 5;
    let first = names.iter().take(FEW).copied().collect::<Vec<_>>().join(", ");
    if names.len() > FEW {
        format!("{first} and {} more", names.len() - FEW)
    } else {
        first
    }
}

/// As many files as one message takes, and at least one.
fn batch(missing: &mut Vec<Wanted>) -> Vec<Wanted> {
    let mut bytes = 0;
    let fit = missing.iter().take(MOST_FILES).take_while(|file| {
        bytes += match &file.content {
            FileContent::Onnx(onnx) => onnx.len(),
            FileContent::Url { .. } => 0,
        };
        bytes <= MOST_BYTES
    });
    let count = fit.count().max(1);
    missing.drain(..count).collect()
}

/// What is held against a bound needs a steadier tail than a block of a sum.
fn plan_of(files: &[Wanted]) -> MeasurePlan {
    if files.iter().any(|file| file.bound_us.is_some()) {
        MeasurePlan {
            warmup_runs: 20,
            min_runs: 200,
            min_millis: 500,
            repeats: 3,
        }
    } else {
        MeasurePlan::default()
    }
}

/// Twice what the measuring should take with all repeats, and the time to deliver.
fn patience(files: &[Wanted], plan: MeasurePlan) -> Duration {
    const DELIVERY: Duration = Duration::from_secs(20);
    const LOADING: Duration = Duration::from_millis(200);
    let one = |file: &Wanted| {
        let runs = f64::from(plan.warmup_runs + plan.min_runs) * file.bound_us.unwrap_or(1000.0) * 1e-6;
        Duration::from_millis(plan.min_millis.into()).max(Duration::from_secs_f64(runs.clamp(0.0, 600.0)))
            * (1 + plan.repeats)
            + LOADING
    };
    DELIVERY + files.iter().map(one).sum::<Duration>() * 2
}
