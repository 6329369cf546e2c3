//! What a plan asks of the world, made up: devices that answer, pods that train.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use protocol::id::Digest;
use protocol::trainer::Metrics;
use search::space::Architecture;
use serde_json::json;
use uuid::Uuid;

use super::super::basis::calibration;
use super::super::facts::{DeviceFact, Facts, JobFact, JobState, Place};
use super::super::outcome::Outcome;
use super::super::plan::{Plan, Report, StudyChange, plan};
use super::super::shortlist::{Shortlist, net_key};
use super::super::validate::tests::nas;
use super::super::validate::{Validated, validate};
use crate::store::profiles::{ProfileRow, RequestRow};
use crate::store::records::RecordRow;
use crate::store::studies::StudyRow;
use crate::store::trials::{TrialProgress, TrialRow, TrialState};

const SPACE: &str = r#""searchSpace":{"mobileBlocks":{"widths":[0.5,1.0],"depths":[1,2],"kernels":[3],"expands":[2,4],
    "stages":[{"channels":16,"stride":2},{"channels":32,"stride":2}]}},
    "budget":{"candidates":20,"finalists":2,"trainEpochs":3,"seed":7}"#;

pub(super) fn target(name: &str, bound: &str) -> String {
    format!(
        r#"{{"name":"{name}","deviceSelector":{{"matchLabels":{{"haizen.dev/class":"{name}"}}}},
            "constraints":{{"latency":{{"p95":"{bound}"}}}}}}"#
    )
}

pub(super) fn spec(targets: &[(&str, &str)]) -> String {
    let targets: Vec<_> = targets.iter().map(|(name, bound)| target(name, bound)).collect();
    format!(r#"{{{SPACE},"targets":[{}]}}"#, targets.join(","))
}

/// Everything around the plan.
pub(super) struct World {
    pub(super) v: Validated,
    pub(super) facts: Facts,
    /// How much slower trained files are than their networks without weights.
    pub(super) weights_cost: f64,
    /// How much slower than predicted every third network is that was not calibrated on.
    pub(super) surprise: f64,
    /// Networks by the key of their file.
    pub(super) nets: BTreeMap<String, Architecture>,
    /// The key of every file that was asked for.
    pub(super) asked: BTreeMap<Digest, String>,
    pub(super) log: String,
    pub(super) requests: u32,
}

impl World {
    pub(super) fn new(spec: &str, devices: &[(&str, &str)]) -> Self {
        let v = validate(&nas(spec), "trainer:1").unwrap();
        let nets = calibration(&v.space, v.seed)
            .into_iter()
            .map(|net| (net_key(&net), net))
            .collect();
        let facts = Facts {
            now: Timestamp::from_second(1_000_000).unwrap(),
            devices: devices.iter().map(|(id, class)| device(id, class)).collect(),
            study: None,
            tables: BTreeMap::new(),
            silent: BTreeMap::new(),
            requests: Vec::new(),
            trials: Vec::new(),
            records: Vec::new(),
            training: None,
            jobs: Vec::new(),
            token: None,
            concurrency: 8,
            http_url: "http://operator:8080".into(),
        };
        Self {
            v,
            facts,
            weights_cost: 1.0,
            surprise: 1.0,
            nets,
            asked: BTreeMap::new(),
            log: String::new(),
            requests: 0,
        }
    }

    /// One look: the plan is made, told and carried out.
    pub(super) fn look(&mut self) -> Plan {
        let plan = plan(&self.v, &self.facts).unwrap();
        self.tell(&plan);
        self.carry_out(&plan);
        plan
    }

    pub(super) fn tell(&mut self, plan: &Plan) {
        let line = match &plan.report {
            Report::Working {
                progress,
                reason,
                message,
                ..
            } => {
                format!("{reason} {}/{}: {message}", progress.done, progress.of)
            }
            Report::Ended(outcome) => format!("{}: {}", outcome.reason, outcome.message),
            Report::Refused { reason, message } => format!("{reason}: {message}"),
        };
        writeln!(self.log, "{line}").unwrap();
        for event in &plan.events {
            writeln!(self.log, "  ! {}: {}", event.reason, event.note).unwrap();
        }
    }

    pub(super) fn carry_out(&mut self, plan: &Plan) {
        let Plan {
            study,
            expire,
            asks,
            want,
            cancel,
            announce,
            pods,
            token,
            delete_jobs,
            ..
        } = plan.clone();
        self.facts.jobs.retain(|job| !delete_jobs.contains(&job.name));
        for trial in &mut self.facts.trials {
            if cancel.contains(&trial.id) {
                trial.state = TrialState::Cancelled;
            }
            trial.announced |= announce.iter().any(|(id, _)| *id == trial.id);
        }
        if let Some(change) = study {
            self.change(change);
        }
        for id in expire {
            let gone = self
                .facts
                .requests
                .iter()
                .find(|r| r.id == id)
                .unwrap()
                .device
                .clone();
            *self.facts.silent.entry(gone).or_default() += 1;
            self.facts.requests.retain(|r| r.id != id);
        }
        for new in want {
            self.facts.trials.retain(|trial| trial.key != new.key);
            let progress = TrialProgress {
                epoch: 0,
                epochs: 3,
                fraction: 0.0,
                loss: None,
                seconds_left: None,
            };
            self.facts.trials.push(TrialRow {
                id: new.id,
                job: new.job,
                key: new.key,
                number: new.number,
                document: new.document,
                state: TrialState::Pending,
                worker: None,
                lease_expires_at: None,
                failures: 0,
                progress,
                model: None,
                metrics: None,
                failure: None,
                announced: false,
            });
        }
        for ask in asks {
            self.requests += 1;
            self.facts.requests.push(RequestRow {
                id: format!("r{}", self.requests),
                job: self.v.owner.uid,
                class: ask.device.place.class.clone(),
                runtime_hash: ask.device.place.runtime_hash.clone(),
                device: ask.device.id.to_string(),
                boot_id: Some(ask.device.boot_id),
                sha256s: ask.files.iter().map(|file| file.sha256.clone()).collect(),
                sent_at: self.facts.now,
                deadline: ask.deadline,
            });
            self.asked
                .extend(ask.files.into_iter().map(|file| (file.sha256, file.key)));
        }
        if let Some(job) = pods {
            self.facts.jobs.push(JobFact {
                name: job.metadata.name.unwrap(),
                state: JobState::Running,
            });
        }
        if token {
            self.facts.token = Some("hash".into());
            self.facts.study.as_mut().unwrap().token_hash = Some("hash".into());
        }
    }

    pub(super) fn change(&mut self, change: StudyChange) {
        if let StudyChange::Begin { new, forgive: _ } = change {
            self.facts.records.clear();
            self.facts.study = Some(StudyRow {
                job: new.job,
                generation: new.generation,
                spec_key: new.spec_key,
                search_key: new.search_key,
                token_hash: None,
                basis: None,
                shortlist: None,
                attempt: 0,
                outcome: None,
                started_at: self.facts.now,
            });
            return;
        }
        let study = self.facts.study.as_mut().unwrap();
        match change {
            StudyChange::Begin { .. } => {}
            StudyChange::Generation(generation) => study.generation = generation,
            StudyChange::Shortlist(found) => {
                let nets = found
                    .targets
                    .iter()
                    .flat_map(|t| &t.candidates)
                    .map(|c| c.architecture.clone());
                self.nets.extend(nets.map(|net| (net_key(&net), net)));
                study.shortlist = Some(json!(found));
            }
            StudyChange::Basis(basis) => study.basis = Some(json!(basis)),
            StudyChange::Ask(rows) => {
                for row in rows {
                    let net = self.v.space.decode(&row.record.choices).unwrap();
                    self.nets.insert(net_key(&net), net);
                    self.facts.records.push(row);
                }
                // As the table gives them.
                self.facts
                    .records
                    .sort_by(|a, b| (&a.target, a.record.id).cmp(&(&b.target, b.record.id)));
            }
            StudyChange::Tell(said) => {
                for one in said {
                    let is_it = |row: &&mut RecordRow| row.target == one.target && row.record.id == one.trial;
                    let row = self.facts.records.iter_mut().find(is_it).unwrap();
                    assert!(row.record.feedback.is_empty(), "told twice");
                    row.record.feedback = one.feedback;
                }
            }
            StudyChange::Forget => {
                (study.shortlist, study.basis) = (None, None);
                self.facts.records.clear();
            }
            StudyChange::Attempt(attempt) => study.attempt = attempt,
            StudyChange::Finish { outcome, .. } => study.outcome = Some(json!(outcome)),
        }
    }

    /// Every asked device answers.
    pub(super) fn answer(&mut self) {
        for request in std::mem::take(&mut self.facts.requests) {
            for sha256 in &request.sha256s {
                self.measured(&request, sha256);
            }
        }
    }

    pub(super) fn measured(&mut self, request: &RequestRow, sha256: &Digest) {
        let key = self.asked[sha256].clone();
        let p50_us = self.truth(&request.class, &key);
        let place = Place {
            class: request.class.clone(),
            runtime_hash: request.runtime_hash.clone(),
        };
        let rows = &mut self.facts.tables.entry(place).or_default().rows;
        if let Some(row) = rows.iter_mut().find(|row| row.sha256 == *sha256) {
            row.measurements += 1;
            return;
        }
        rows.push(ProfileRow {
            class: request.class.clone(),
            runtime_hash: request.runtime_hash.clone(),
            sha256: sha256.clone(),
            key,
            p50_us,
            p95_us: p50_us * 1.1,
            min_us: p50_us * 0.98,
            runs: 100,
            disturbed: false,
            measurements: 1,
            device: request.device.clone(),
            measured_at: self.facts.now,
        });
    }

    /// How long a file takes: by its work, on the slow class three times as long.
    pub(super) fn truth(&self, class: &str, key: &str) -> f64 {
        let pace = if class == "slow" { 3.0 } else { 1.0 };
        let time = |macs: u64| 8.0 + macs as f64 * 3e-4;
        if let Some(net) = self.nets.get(key) {
            let calibrated = calibration(&self.v.space, self.v.seed).contains(net);
            let surprise = if is_third(net) && !calibrated {
                self.surprise
            } else {
                1.0
            };
            return pace * time(net.cost().macs) * surprise;
        }
        if let Some(short) = key.strip_prefix("model-") {
            let trained = |trial: &&TrialRow| trial.model.as_ref().is_some_and(|(m, _)| m.short() == short);
            let net = net_of(self.facts.trials.iter().find(trained).unwrap());
            return pace * time(net.cost().macs) * self.weights_cost;
        }
        let block: search::space::BlockKey = key.parse().unwrap();
        pace * time(block.cost().macs)
    }

    /// The pods train all there is, the larger the better.
    pub(super) fn train(&mut self) {
        if self.facts.jobs.is_empty() {
            return;
        }
        for index in 0..self.facts.trials.len() {
            self.train_one(index);
        }
        for job in &mut self.facts.jobs {
            job.state = JobState::Complete;
        }
    }

    /// One pod trains one trial, if that waits for it.
    pub(super) fn train_one(&mut self, index: usize) {
        let trial = &mut self.facts.trials[index];
        if trial.state != TrialState::Pending {
            return;
        }
        let net = net_of(trial);
        let epochs = trial.document.epochs;
        let accuracy = 0.8 + net.cost().parameters as f64 * 1e-6;
        trial.state = TrialState::Trained;
        let name = format!("{net} {epochs}");
        trial.model = Some((Digest::of(name.as_bytes()), 1000));
        trial.metrics = Some(Metrics {
            accuracy,
            validation_accuracy: accuracy,
            test_images: 10_000,
            parameters: net.cost().parameters,
            macs: net.cost().macs,
            epochs,
            train_seconds: 60.0,
            per_class_accuracy: Vec::new(),
        });
    }

    /// Until the search has ended; everybody does what is asked.
    pub(super) fn run(&mut self) -> Plan {
        for _ in 0..60 {
            let plan = self.look();
            if matches!(plan.report, Report::Ended(_)) {
                return plan;
            }
            self.answer();
            self.train();
        }
        panic!("does not end:\n{}", self.log);
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.facts.now = self
            .facts
            .now
            .checked_add(std::time::Duration::from_secs(seconds as u64))
            .unwrap();
    }

    pub(super) fn outcome(&self) -> Outcome {
        serde_json::from_value(self.facts.study.as_ref().unwrap().outcome.clone().unwrap()).unwrap()
    }

    /// The user changes the spec.
    pub(super) fn respec(&mut self, fields: &str, generation: i64) {
        let spec = spec(&[("fast", "60us")]);
        let spec = format!("{}{fields}}}", spec.strip_suffix('}').unwrap());
        self.v = Validated {
            generation,
            ..validate(&nas(&spec), "trainer:1").unwrap()
        };
    }

    pub(super) fn shortlist(&self) -> Shortlist {
        serde_json::from_value(self.facts.study.as_ref().unwrap().shortlist.clone().unwrap()).unwrap()
    }
}

/// Every third network, by its name.
pub(super) fn is_third(net: &Architecture) -> bool {
    net.id().bytes().map(u32::from).sum::<u32>().is_multiple_of(3)
}

pub(super) fn net_of(trial: &TrialRow) -> Architecture {
    serde_json::from_value(trial.document.architecture.clone()).unwrap()
}

pub(super) fn device(id: &str, class: &str) -> DeviceFact {
    DeviceFact {
        id: id.parse().unwrap(),
        site: "s1".parse().unwrap(),
        place: Place {
            class: class.into(),
            runtime_hash: "rt".into(),
        },
        boot_id: Uuid::nil(),
        labels: [("haizen.dev/class".to_owned(), class.to_owned())].into(),
        online: true,
    }
}

/// A search whose pods run.
pub(super) fn training() -> World {
    let mut world = World::new(&spec(&[("fast", "60us")]), &[("pi-1", "fast")]);
    while world.facts.jobs.is_empty() {
        world.look();
        world.answer();
    }
    world
}
