//! From what is wanted and known to what is to be written. Pure: `rollout` decides, this translates both ways.

use std::collections::{BTreeMap, BTreeSet};

use crds::EdgePipeline;
use protocol::desired::{Desired, Order};
use rollout::facts::{self, Facts, Rollout, RolloutState};
use rollout::plan::{Command, Plan, Purpose};
use units::Duration;
use uuid::Uuid;

use super::observe::Stored;
use super::ownership::{self, labels};
use super::validate::{Refusal, Validated};
use crate::store::desired::{Draft, Written};
use crate::store::devices::Device;
use crate::store::revisions::Content;
use crate::store::rollouts::New;

/// Everything that is to be written, and what the status is told from.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Begins with this plan.
    pub begin: Option<(New, Content)>,
    pub facts: Facts,
    pub plan: Plan,
    /// In the order of the plan's commands.
    pub documents: Vec<Draft>,
    /// Devices this rollout reaches for the first time: what they run now is what they go back to.
    pub first: BTreeSet<String>,
    pub from_revision: Option<String>,
}

/// The devices of a pipeline, whatever its spec is worth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fleet {
    pub owned: BTreeSet<String>,
    /// Owned, but there is no model for their class.
    pub unfit: BTreeMap<String, String>,
    /// Matched, but of a pipeline of higher priority: by that pipeline.
    pub lost: BTreeMap<String, usize>,
    /// Ran this pipeline last and belong to no pipeline any more.
    pub orphans: Vec<Draft>,
}

pub fn fleet(pipeline: &EdgePipeline, content: Option<&Content>, stored: &Stored) -> Fleet {
    let key = ownership::key(pipeline);
    let mut fleet = Fleet::default();
    for device in &stored.devices {
        let (id, labels) = (device.device.to_string(), labels(device));
        let owner = ownership::owner(&labels, &stored.claims);
        match owner {
            Some(owner) if owner.pipeline == key => {
                if content.is_some_and(|content| content.models_for(device.class.as_str()).is_none()) {
                    fleet.unfit.insert(id.clone(), device.class.to_string());
                }
                fleet.owned.insert(id);
            }
            Some(owner) if pipeline.spec.device_selector.matches(&labels) => {
                *fleet.lost.entry(owner.pipeline.clone()).or_default() += 1;
            }
            // The other pipeline writes over it when its turn has come.
            Some(_) => {}
            None => {
                let last = stored.written.get(&id);
                if let Some(last) = last.filter(|w| w.pipeline == key && w.document.is_some()) {
                    fleet.orphans.push(clear(device, last));
                }
            }
        }
    }
    fleet
}

/// None: there is nothing to roll out, and nothing was.
pub fn plan(
    pipeline: &EdgePipeline,
    validated: &Result<Validated, Refusal>,
    fleet: &Fleet,
    stored: &Stored,
) -> Option<Planned> {
    let key = ownership::key(pipeline);
    let owner: Uuid = pipeline
        .metadata
        .uid
        .as_deref()
        .and_then(|uid| uid.parse().ok())
        .unwrap_or_default();
    let begin = validated
        .as_ref()
        .ok()
        .and_then(|v| begin(&key, owner, v, stored));
    let (rollout, waves, rows, content, from_revision) = match (&begin, &stored.current) {
        (Some((new, content)), _) => (
            rollout_of(new, content, stored)?,
            vec![],
            BTreeMap::new(),
            content,
            new.from_revision.clone(),
        ),
        (None, Some(current)) => (
            current.rollout.clone(),
            current.waves.clone(),
            current.rows.clone(),
            stored.content.as_ref()?,
            current.from_revision.clone(),
        ),
        (None, None) => return None,
    };
    let known: BTreeMap<_, _> = stored.devices.iter().map(|d| (d.device.to_string(), d)).collect();
    let devices: Vec<_> = known
        .iter()
        .filter(|(id, _)| fleet.owned.contains(*id) || rows.contains_key(*id))
        .map(|(id, device)| {
            let member = fleet.owned.contains(id) && !fleet.unfit.contains_key(id);
            let row = rows.get(id).cloned();
            device_facts(device, member, row, &key, &rollout, stored)
        })
        .collect();
    let ours: BTreeSet<_> = devices.iter().map(|d| d.id.as_str()).collect();
    let mut busy = BTreeMap::new();
    for (device, site, changing_for) in &stored.changing {
        if *changing_for != rollout.uid && !ours.contains(device.as_str()) {
            *busy.entry(site.clone()).or_default() += 1;
        }
    }
    let paused = pipeline.spec.paused || validated.is_err();
    let facts = Facts {
        rollout,
        waves,
        devices,
        paused,
        busy,
    };
    let policy = validated.as_ref().map_or(&pipeline.spec.rollout, |v| &v.policy);
    let plan = rollout::plan::plan(&facts, policy, stored.now);
    let first = first_offers(&plan);
    let context = Documents {
        key: &key,
        facts: &facts,
        content,
        bake: policy.bake,
        stored,
        first: &first,
    };
    let documents = plan
        .commands
        .iter()
        .filter_map(|c| context.document(c, known.get(&c.device)?))
        .collect();
    Some(Planned {
        begin,
        facts,
        plan,
        documents,
        first,
        from_revision,
    })
}

/// Whether a rollout begins: for another revision, or for another spec if the last one failed. A rollback under
/// way ends first.
fn begin(key: &str, owner: Uuid, validated: &Validated, stored: &Stored) -> Option<(New, Content)> {
    let Validated {
        revision,
        content,
        spec_key,
        policy: _,
        notes: _,
    } = validated;
    let (number, from_revision) = match &stored.current {
        None => (1, None),
        Some(current) if current.owner != owner => (1, None),
        Some(current) => {
            let state = current.rollout.state;
            let failed = matches!(state, RolloutState::RolledBack | RolloutState::Halted);
            let other = current.rollout.revision != *revision || (failed && current.spec_key != *spec_key);
            if !other || state == RolloutState::RollingBack {
                return None;
            }
            let from = match state {
                RolloutState::Complete => Some(current.rollout.revision.clone()),
                _ => current.from_revision.clone(),
            };
            (current.number + 1, from.filter(|from| from != revision))
        }
    };
    let spec_key = spec_key.clone();
    Some((
        New {
            pipeline: key.to_owned(),
            owner,
            number,
            from_revision,
            spec_key,
        },
        content.clone(),
    ))
}

/// The name of a rollout never comes again: it hangs on the resource's uid and a number.
fn rollout_of(new: &New, content: &Content, stored: &Stored) -> Option<Rollout> {
    Some(Rollout {
        uid: Uuid::new_v5(&new.owner, new.number.to_string().as_bytes()).to_string(),
        revision: content.revision().ok()?,
        state: RolloutState::Running,
        failure: None,
        progress_at: stored.now,
        paused_at: None,
    })
}

fn device_facts(
    device: &Device,
    member: bool,
    row: Option<facts::Row>,
    key: &str,
    rollout: &Rollout,
    stored: &Stored,
) -> facts::Device {
    let id = device.device.to_string();
    let written = stored.written.get(&id);
    let is_it = |document: &Desired| document.pipeline == key && document.revision == rollout.revision;
    let current = written.is_some_and(|w| {
        w.settled && w.document.as_ref().is_some_and(is_it) && w.good.as_ref().is_some_and(is_it)
    });
    let runs_it = device
        .reported
        .active
        .as_ref()
        .is_some_and(|a| a.pipeline == key && a.revision == rollout.revision);
    let figures = device
        .reported
        .running
        .as_ref()
        .filter(|_| runs_it)
        .map(|running| facts::Figures {
            fps: running.fps,
            latency_p95_ms: running.latency_p95_ms,
            completed: running.completed,
            errors: running.errors,
        });
    facts::Device {
        site: device.site.to_string(),
        member,
        online: device.online,
        since: device.since,
        seen_at: device.last_seen,
        current,
        changing_elsewhere: stored
            .changing
            .iter()
            .any(|(d, _, uid)| *d == id && *uid != rollout.uid),
        figures,
        row,
        id,
    }
}

fn first_offers(plan: &Plan) -> BTreeSet<String> {
    let first = |c: &&Command| c.purpose == Purpose::Offer && c.attempt == 1;
    plan.commands
        .iter()
        .filter(first)
        .map(|c| c.device.clone())
        .collect()
}

struct Documents<'a> {
    key: &'a str,
    facts: &'a Facts,
    content: &'a Content,
    bake: Duration,
    stored: &'a Stored,
    first: &'a BTreeSet<String>,
}

impl Documents<'_> {
    fn document(&self, command: &Command, device: &Device) -> Option<Draft> {
        let rollout = &self.facts.rollout;
        let document = match command.purpose {
            Purpose::Offer => Some(Desired {
                version: protocol::VERSION,
                order: Order::default(),
                rollout: rollout.uid.clone(),
                attempt: command.attempt,
                pipeline: self.key.to_owned(),
                revision: rollout.revision.clone(),
                graph: self.content.graph.clone(),
                models: self.content.models_for(device.class.as_str())?,
                bake: self.bake,
                objectives: self.content.objectives.clone(),
            }),
            // What it ran before has baked already.
            Purpose::Rollback | Purpose::Withdraw => self.before(&command.device).map(|previous| Desired {
                rollout: rollout.uid.clone(),
                attempt: command.attempt,
                bake: Duration::ZERO,
                ..previous
            }),
        };
        Some(Draft {
            device: device.device.clone(),
            site: device.site.clone(),
            pipeline: self.key.to_owned(),
            rollout: rollout.uid.clone(),
            attempt: command.attempt,
            document,
            settled: false,
        })
    }

    fn before(&self, device: &str) -> Option<Desired> {
        if self.first.contains(device) {
            return self.stored.written.get(device).and_then(|w| w.good.clone());
        }
        self.stored.previous.get(device).cloned()
    }
}

fn clear(device: &Device, last: &Written) -> Draft {
    Draft {
        device: device.device.clone(),
        site: device.site.clone(),
        pipeline: last.pipeline.clone(),
        rollout: last.rollout.clone(),
        attempt: last.attempt,
        document: None,
        settled: true,
    }
}
