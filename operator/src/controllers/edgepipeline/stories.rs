//! Whole rollouts on a real database, told as text: everything is real but the cluster, the broker and the
//! devices, which are a few lines here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use crds::EdgePipeline;
use protocol::ack::{Ack, Phase};
use protocol::desired::Desired;
use protocol::id::{BootId, Digest};
use protocol::presence::Presence;
use protocol::reported::{OutboxState, Reported, Runtime, Slot};
use serde_json::json;
use uuid::Uuid;

use super::artifacts::Fetched;
use super::validate::Resources;
use super::{apply, events, observe, ownership, plan, status, validate};
use crate::store::testing::{self, TestDb};
use crate::store::{desired, devices, leadership, rollouts};

const SILENCE: Duration = Duration::from_hours(1);

struct Restaurant {
    db: TestDb,
    epoch: u64,
    pipelines: BTreeMap<&'static str, EdgePipeline>,
    /// What the broker holds for each device, and whether the device has taken it.
    documents: BTreeMap<String, (Option<Desired>, bool)>,
    active: BTreeMap<String, Option<Slot>>,
    /// Devices on which a graph with this many nodes doesn't hold.
    breaks_on: BTreeSet<(String, usize)>,
    /// Letters for revisions.
    names: Vec<String>,
    story: String,
    writes: usize,
}

impl Restaurant {
    async fn open(ids: &[&str]) -> Self {
        let db = testing::database().await;
        let epoch = leadership::begin(&db.pool, "test").await.unwrap();
        let restaurant = Self {
            db,
            epoch,
            pipelines: BTreeMap::new(),
            documents: BTreeMap::new(),
            active: ids.iter().map(|id| ((*id).to_owned(), None)).collect(),
            breaks_on: BTreeSet::new(),
            names: vec![],
            story: String::new(),
            writes: 0,
        };
        for id in ids {
            restaurant.report(id).await;
        }
        restaurant
    }

    /// Another spec is another generation.
    fn apply(&mut self, name: &'static str, spec: &serde_json::Value) {
        let before = self.pipelines.get(name);
        let generation = before.and_then(|p| p.metadata.generation).unwrap_or(0) + 1;
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
        let object = json!({
            "apiVersion": "haizen.dev/v1alpha1", "kind": "EdgePipeline",
            "metadata": {"name": name, "namespace": "n", "generation": generation, "uid": uid},
            "spec": spec, "status": before.and_then(|p| p.status.clone()),
        });
        self.pipelines
            .insert(name, serde_json::from_value(object).unwrap());
        writeln!(self.story, "apply {name}").unwrap();
    }

    /// Reconciles and lets devices answer until nothing happens any more.
    async fn settle(&mut self) {
        for _ in 0..100 {
            let names: Vec<_> = self.pipelines.keys().copied().collect();
            let mut quiet = true;
            for name in names {
                quiet &= !self.reconcile(name).await;
            }
            quiet &= !self.devices_answer().await;
            if quiet {
                return self.sum_up();
            }
        }
        panic!("never settles:\n{}", self.story);
    }

    async fn reconcile(&mut self, name: &str) -> bool {
        let mut pipeline = self.pipelines[name].clone();
        let others = self
            .pipelines
            .values()
            .filter(|p| ownership::key(p) != ownership::key(&pipeline));
        let others = others.map(ownership::Claim::of).collect();
        let validated = validate::validate(&pipeline, &resources(&pipeline));
        let stored = observe::stored(&self.db.pool, SILENCE, others, &pipeline)
            .await
            .unwrap();
        let content = validated
            .as_ref()
            .ok()
            .map(|v| &v.content)
            .or(stored.content.as_ref());
        let fleet = plan::fleet(&pipeline, content, &stored);
        let planned = plan::plan(&pipeline, &validated, &fleet, &stored);
        let (applied, outgoing) = apply::store(&self.db.pool, self.epoch, planned.as_ref(), &fleet.orphans)
            .await
            .unwrap();
        let refused = validated
            .as_ref()
            .err()
            .and_then(|refusal| events::of_refusal(&pipeline, refusal));
        for said in planned
            .iter()
            .flat_map(|p| events::of_plan(p, applied))
            .chain(refused)
        {
            let note = self.with_letters(&said.note);
            writeln!(self.story, "  {} {note}", said.reason).unwrap();
        }
        let told = status::Told {
            generation: pipeline.metadata.generation.unwrap(),
            now: stored.now,
            policy: &pipeline.spec.rollout,
            validated: &validated,
            fleet: &fleet,
            planned: planned.as_ref(),
        };
        let new = status::status(pipeline.status.as_ref(), &told);
        let wrote = !outgoing.is_empty() || pipeline.status.as_ref() != Some(&new);
        self.writes += usize::from(wrote);
        pipeline.status = Some(new);
        self.pipelines
            .insert(self.pipelines.get_key_value(name).unwrap().0, pipeline);
        for (device, _, document) in outgoing {
            let what = document
                .as_ref()
                .map_or("nothing".into(), |d| self.letter(&d.revision));
            writeln!(self.story, "  → {device}: {what}").unwrap();
            self.documents.insert(device.to_string(), (document, false));
        }
        wrote
    }

    async fn devices_answer(&mut self) -> bool {
        let open: Vec<_> = self
            .documents
            .iter()
            .filter(|(_, (_, taken))| !taken)
            .map(|(d, _)| d.clone())
            .collect();
        for id in &open {
            let entry = self.documents.get_mut(id).unwrap();
            entry.1 = true;
            match entry.0.clone() {
                None => {
                    self.active.insert(id.clone(), None);
                    self.report(id).await;
                }
                Some(document) if self.breaks_on.contains(&(id.clone(), document.graph.nodes.len())) => {
                    self.ack(id, &document, Phase::Received).await;
                    self.ack(id, &document, Phase::Failed).await;
                }
                Some(document) => {
                    for phase in [
                        Phase::Received,
                        Phase::Downloading,
                        Phase::Staged,
                        Phase::Baking,
                        Phase::Healthy,
                    ] {
                        self.ack(id, &document, phase).await;
                    }
                    let models = BTreeMap::new();
                    let slot = Slot {
                        revision: document.revision,
                        pipeline: document.pipeline,
                        models,
                    };
                    self.active.insert(id.clone(), Some(slot));
                    self.report(id).await;
                }
            }
        }
        !open.is_empty()
    }

    async fn ack(&self, id: &str, document: &Desired, phase: Phase) {
        let ack = Ack {
            version: 1,
            device: id.parse().unwrap(),
            boot_id: BootId(Uuid::nil()),
            rollout: document.rollout.clone(),
            order: document.order,
            attempt: document.attempt,
            phase,
            code: (phase == Phase::Failed).then(|| "DidNotHold".into()),
            message: None,
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut conn = self.db.pool.begin().await.unwrap();
        let applied = rollouts::apply_ack(&mut conn, &ack).await.unwrap();
        // On the way back only the end counts.
        assert!(
            applied == rollouts::Applied::Taken || !phase.is_final(),
            "{phase:?}: {applied:?}"
        );
        // Redelivered: changes nothing.
        assert_eq!(
            rollouts::apply_ack(&mut conn, &ack).await.unwrap(),
            rollouts::Applied::Stale,
            "{phase:?}"
        );
        conn.commit().await.unwrap();
    }

    /// Site and role are in the id: `counter-a1` is a counter's device of site a.
    async fn report(&self, id: &str) {
        let (role, place) = id.split_once('-').unwrap();
        let reported = Reported {
            version: 1,
            device: id.parse().unwrap(),
            site: format!("site-{}", &place[..1]).parse().unwrap(),
            class: "pi".parse().unwrap(),
            labels: [("role".to_owned(), role.to_owned())].into(),
            boot_id: BootId(Uuid::nil()),
            agent_version: "1".into(),
            runtime: Runtime {
                hash: "h".into(),
                engine: "e".into(),
                provider: "CPU".into(),
                threads: 1,
                cpu: "c".into(),
            },
            progress: None,
            active: self.active[id].clone(),
            previous: None,
            outbox: OutboxState::default(),
            running: None,
            rss_mib: 1.0,
        };
        let presence = Presence {
            version: 1,
            device: reported.device.clone(),
            online: true,
            boot_id: reported.boot_id,
            connection: 1,
        };
        let mut conn = self.db.pool.begin().await.unwrap();
        devices::record_reported(&mut conn, &reported).await.unwrap();
        devices::record_presence(&mut conn, &reported.site, &presence)
            .await
            .unwrap();
        rollouts::apply_progress(&mut conn, &reported).await.unwrap();
        conn.commit().await.unwrap();
    }

    fn sum_up(&mut self) {
        for (name, pipeline) in &self.pipelines {
            let status = pipeline.status.as_ref().unwrap();
            let on: Vec<_> = status
                .conditions
                .iter()
                .filter(|c| c.status == "True")
                .map(|c| &*c.type_)
                .collect();
            let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
            let d = status.devices;
            writeln!(
                self.story,
                "{name}: {} [{}] wave {} matched {} updated {} ready {} failed {}",
                ready.reason,
                on.join(" "),
                status.wave.as_deref().unwrap_or("-"),
                d.matched,
                d.updated,
                d.ready,
                d.failed
            )
            .unwrap();
        }
        let runs: Vec<_> = self
            .active
            .clone()
            .into_iter()
            .map(|(id, slot)| {
                format!(
                    "{id}={}",
                    slot.map_or("-".into(), |slot| self.letter(&slot.revision))
                )
            })
            .collect();
        writeln!(self.story, "runs: {}", runs.join(" ")).unwrap();
    }

    fn letter(&mut self, revision: &str) -> String {
        let known = self.names.iter().position(|name| name == revision);
        let index = known.unwrap_or_else(|| {
            self.names.push(revision.to_owned());
            self.names.len() - 1
        });
        char::from(b'A' + index as u8).to_string()
    }

    fn with_letters(&mut self, text: &str) -> String {
        for pipeline in self.pipelines.clone().values() {
            if let Some(revision) = validate::validate(pipeline, &resources(pipeline))
                .ok()
                .map(|v| v.revision)
            {
                self.letter(&revision);
            }
        }
        let names = self.names.clone();
        names.iter().fold(text.to_owned(), |text, name| {
            text.replace(name.as_str(), &self.letter(name))
        })
    }
}

fn resources(pipeline: &EdgePipeline) -> Resources {
    let present = |name: &String| (name.clone(), Fetched::Present(7));
    Resources {
        artifacts: pipeline.spec.models.keys().map(present).collect(),
        ..Resources::default()
    }
}

/// A pipeline for devices of a role; `discards` makes the graph one or the other.
fn spec(role: &str, priority: i32, discards: usize) -> serde_json::Value {
    let mut nodes = vec![json!({"name": "source", "calculator": "Generator", "outputs": ["a"]})];
    for number in 0..discards {
        nodes.push(json!({"name": format!("sink{number}"), "calculator": "Discard", "inputs": ["a"]}));
    }
    json!({
        "deviceSelector": if role.is_empty() { json!({}) } else { json!({"matchLabels": {"role": role}}) },
        "priority": priority,
        "models": {"dish": {"artifact": {"uri": "blob:", "sha256": Digest::of(b"model")}}},
        "graph": {"nodes": nodes},
        "rollout": {"canary": {"count": 1}, "waves": ["100%"], "bake": "1s"},
    })
}

/// `UPDATE_STORIES=1` writes what is told now; read the difference before keeping it.
fn check(story: &str, name: &str, expected: &str) {
    if std::env::var_os("UPDATE_STORIES").is_some() {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/controllers/edgepipeline/stories"
        );
        std::fs::write(format!("{folder}/{name}.txt"), story).unwrap();
        return;
    }
    assert!(story == expected, "told differently:\n{story}");
}

#[tokio::test]
async fn a_bad_revision_goes_back_and_the_old_spec_needs_no_rollout() {
    let mut restaurant = Restaurant::open(&["counter-a1", "counter-b1", "counter-c1", "oven-a1"]).await;
    restaurant.apply("camera", &spec("counter", 0, 1));
    restaurant.settle().await;
    let writes = restaurant.writes;
    restaurant.settle().await;
    assert_eq!(restaurant.writes, writes, "looking again writes nothing");
    let summary = rollouts::summaries(&restaurant.db.pool).await.unwrap();
    let waves: Vec<_> = summary[0]
        .waves
        .iter()
        .map(|w| (w.state.as_str(), w.devices))
        .collect();
    assert_eq!(waves, [("Passed", 1), ("Passed", 2)]);
    assert_eq!(summary[0].devices, [("Healthy".to_owned(), 3)].into());

    // Two discards don't hold on two of the three, the canary of that rollout not among them.
    restaurant.breaks_on = [("counter-b1".to_owned(), 3), ("counter-c1".to_owned(), 3)].into();
    restaurant.apply("camera", &spec("counter", 0, 2));
    restaurant.settle().await;
    restaurant.settle().await;
    restaurant.apply("camera", &spec("counter", 0, 1));
    restaurant.settle().await;
    check(
        &restaurant.story,
        "bad_revision",
        include_str!("stories/bad_revision.txt"),
    );
}

#[tokio::test]
async fn a_failed_first_revision_leaves_nothing_behind() {
    let mut restaurant = Restaurant::open(&["counter-a1", "counter-b1"]).await;
    restaurant.breaks_on = [("counter-a1".to_owned(), 2), ("counter-b1".to_owned(), 2)].into();
    restaurant.apply("camera", &spec("counter", 0, 1));
    restaurant.settle().await;
    // Another policy is another spec: the same revision is tried again.
    restaurant.breaks_on.clear();
    let mut other = spec("counter", 0, 1);
    other["rollout"]["bake"] = json!("2s");
    restaurant.apply("camera", &other);
    restaurant.settle().await;
    check(
        &restaurant.story,
        "failed_first_revision",
        include_str!("stories/failed_first_revision.txt"),
    );
}

#[tokio::test]
async fn overlapping_pipelines_share_out_the_devices() {
    let mut restaurant = Restaurant::open(&["counter-a1", "oven-b1"]).await;
    restaurant.apply("all", &spec("", 0, 1));
    restaurant.settle().await;
    restaurant.apply("ovens", &spec("oven", 5, 2));
    restaurant.settle().await;
    // Its devices go back to whoever else matches them, or run nothing.
    restaurant.apply("ovens", &spec("grill", 5, 2));
    restaurant.settle().await;
    restaurant.apply("all", &spec("counter", 0, 1));
    restaurant.settle().await;
    assert_eq!(desired::strays(&restaurant.db.pool).await.unwrap(), []);
    check(&restaurant.story, "overlap", include_str!("stories/overlap.txt"));
}

#[tokio::test]
async fn a_hold_and_a_refusal_offer_nothing() {
    let mut restaurant = Restaurant::open(&["counter-a1"]).await;
    let mut held = spec("counter", 0, 1);
    held["paused"] = json!(true);
    restaurant.apply("camera", &held);
    restaurant.settle().await;
    let mut wrong = spec("counter", 0, 1);
    wrong["graph"]["nodes"][1]["calculator"] = json!("Discrad");
    restaurant.apply("camera", &wrong);
    restaurant.settle().await;
    restaurant.apply("camera", &spec("counter", 0, 1));
    restaurant.settle().await;
    check(
        &restaurant.story,
        "hold_and_refusal",
        include_str!("stories/hold_and_refusal.txt"),
    );
}
