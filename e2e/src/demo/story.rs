//! The demo's steps, each shown while it happens.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crds::edgepipeline::EdgePipeline;
use crds::nasjob::{NasJob, Stage};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use tokio::time::{MissedTickBehavior, interval};

use crate::api::Device;
use crate::demo::report::{self, Report, Wave};
use crate::demo::screen::Screen;
use crate::demo::snapshot::{Snapshot, Step};
use crate::device::Group;
use crate::lab::Lab;

const NASJOB: &str = include_str!("../../../examples/nasjob.yaml");
const PIPELINE: &str = include_str!("../../../examples/edgepipeline.yaml");
/// Namespace of the demo's devices and custom resources.
pub const NAMESPACE: &str = "haizen-demo";
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Devices of the demo: two classes that differ in the threads they give ONNX Runtime.
pub fn fleet() -> Vec<Group> {
    vec![
        Group::new("edge-1t", "edge-1t", 1, 3),
        Group::new("edge-2t", "edge-2t", 2, 3),
    ]
}

/// One run of the demo.
#[derive(Debug)]
pub struct Story {
    lab: Lab,
    screen: Screen,
    seen: Snapshot,
    step: Option<(Step, Instant)>,
}

impl Story {
    pub fn new(lab: Lab) -> Self {
        Self {
            lab,
            screen: Screen::default(),
            seen: Snapshot::default(),
            step: None,
        }
    }

    /// Runs all steps; `before` are the seconds of what make did before (cluster, images).
    pub async fn run(mut self, before: BTreeMap<&'static str, f64>) -> Result<Report> {
        let fleet = fleet();
        self.clear().await?;
        self.begin(Step::Install)?;
        let lab = self.lab.clone();
        self.watch(lab.install()).await?;
        self.begin(Step::Devices)?;
        self.watch(lab.start_devices(NAMESPACE, &fleet)).await?;
        self.watch(lab.await_devices(&fleet, Duration::from_mins(3)))
            .await?;
        self.begin(Step::Profile)?;
        lab.apply(NAMESPACE, NASJOB).await?;
        let job = self.search().await?;
        self.begin(Step::Rollout)?;
        lab.apply(NAMESPACE, PIPELINE).await?;
        let (pipeline, waves) = self.roll_out().await?;
        self.begin(Step::Telemetry)?;
        let telemetry = self.telemetry().await?;
        self.end();
        self.draw().await?;
        Ok(self.report(&job, &pipeline, waves, telemetry, before))
    }

    pub fn say(&mut self, text: &str) -> Result<()> {
        Ok(self.screen.say(text)?)
    }

    /// What an earlier run left would look like this run's result.
    async fn clear(&self) -> Result<()> {
        self.lab.delete_namespace(NAMESPACE, Duration::from_mins(2)).await
    }

    async fn search(&mut self) -> Result<NasJob> {
        let jobs = Api::<NasJob>::namespaced(self.lab.client.clone(), NAMESPACE);
        let end = Instant::now() + Duration::from_mins(20);
        let mut ticks = ticker();
        loop {
            ticks.tick().await;
            let job = jobs.get("garment-classifier").await?;
            let status = job.status.clone().unwrap_or_default();
            let stage = status.progress.as_ref().map(|p| p.stage);
            self.seen.search = Some(status.clone());
            if stage.is_some_and(|s| s > Stage::Profiling)
                && self.step.is_some_and(|(s, _)| s == Step::Profile)
            {
                self.begin(Step::Search)?;
            }
            self.draw().await?;
            match find(&status.conditions, "Succeeded") {
                Some(c) if c.status == "True" && c.observed_generation == job.metadata.generation => {
                    return Ok(job);
                }
                Some(c) if is_stalled(&status.conditions) => {
                    bail!("the search ended without a model: {}: {}", c.reason, c.message)
                }
                _ if Instant::now() > end => bail!("the search took more than 20 minutes"),
                _ => {}
            }
        }
    }

    async fn roll_out(&mut self) -> Result<(EdgePipeline, Vec<Wave>)> {
        let pipelines = Api::<EdgePipeline>::namespaced(self.lab.client.clone(), NAMESPACE);
        let end = Instant::now() + Duration::from_mins(10);
        let mut waves = Waves::default();
        let mut ticks = ticker();
        loop {
            ticks.tick().await;
            let pipeline = pipelines.get("counter-camera").await?;
            let status = pipeline.status.clone().unwrap_or_default();
            waves.see(status.wave.as_deref(), status.devices.updated, Instant::now());
            self.seen.rollout = Some(status.clone());
            self.draw().await?;
            match find(&status.conditions, "Ready") {
                Some(c) if c.status == "True" && c.observed_generation == pipeline.metadata.generation => {
                    return Ok((pipeline, waves.finish(Instant::now())));
                }
                Some(c) if is_stalled(&status.conditions) => {
                    bail!("the rollout stopped: {}: {}", c.reason, c.message)
                }
                _ if Instant::now() > end => bail!("the rollout took more than 10 minutes"),
                _ => {}
            }
        }
    }

    /// Waits until everything a device had numbered at one instant is stored.
    async fn telemetry(&mut self) -> Result<report::Sent> {
        let end = Instant::now() + Duration::from_mins(1);
        let at = self.devices().await?;
        let mut ticks = ticker();
        loop {
            ticks.tick().await;
            self.draw().await?;
            let sent = report::sent(&at, &self.lab.telemetry().await?);
            if sent.sent == sent.stored && sent.sent > 0 {
                return Ok(sent);
            }
            if Instant::now() > end {
                bail!(
                    "of {} samples sent only {} were stored within a minute",
                    sent.sent,
                    sent.stored
                );
            }
        }
    }

    /// The demo's own: the operator may know devices of others, some of them long gone.
    async fn devices(&self) -> Result<Vec<Device>> {
        let own: Vec<String> = fleet().iter().flat_map(Group::ids).collect();
        let mut devices = self.lab.devices().await?;
        devices.retain(|device| own.contains(&device.id));
        Ok(devices)
    }

    /// Draws while something else goes on.
    async fn watch<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        let mut ticks = ticker();
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => self.draw().await?,
            }
        }
    }

    async fn draw(&mut self) -> Result<()> {
        // While things come up the operator can't be asked: the screen keeps what it knew.
        if self.step.is_some_and(|(step, _)| step > Step::Install) {
            if let Ok(devices) = self.devices().await {
                self.seen.devices = devices;
            }
            if let Ok(telemetry) = self.lab.telemetry().await {
                self.seen.telemetry = Some(telemetry);
            }
        }
        self.seen.running = self.step.map(|(step, since)| (step, since.elapsed()));
        Ok(self.screen.show(&self.seen)?)
    }

    fn begin(&mut self, step: Step) -> Result<()> {
        self.end();
        self.step = Some((step, Instant::now()));
        self.seen.running = Some((step, Duration::ZERO));
        Ok(self.screen.show(&self.seen)?)
    }

    fn end(&mut self) {
        if let Some((step, since)) = self.step.take() {
            self.seen.done.push((step, since.elapsed()));
        }
        self.seen.running = None;
    }

    fn report(
        &self,
        job: &NasJob,
        pipeline: &EdgePipeline,
        waves: Vec<Wave>,
        telemetry: report::Sent,
        before: BTreeMap<&'static str, f64>,
    ) -> Report {
        let mut seconds = before;
        for (step, took) in &self.seen.done {
            let name = match step {
                Step::Install | Step::Devices => "install",
                Step::Profile => "profile",
                Step::Search => "search",
                Step::Rollout => "rollout",
                Step::Telemetry => "telemetry",
            };
            *seconds.entry(name).or_default() += took.as_secs_f64();
        }
        seconds.insert("total", seconds.values().sum());
        Report {
            targets: report::targets(job),
            devices: report::devices(pipeline),
            waves,
            telemetry,
            drops: report::drops(&self.seen.devices),
            seconds,
        }
    }
}

/// Tells the waves apart by what the status says, look by look.
#[derive(Debug, Default)]
struct Waves {
    done: Vec<Wave>,
    current: Option<(String, Instant)>,
    before: u32,
    updated: u32,
}

impl Waves {
    fn see(&mut self, wave: Option<&str>, updated: u32, now: Instant) {
        let Some(wave) = wave else { return };
        match &self.current {
            Some((current, _)) if current == wave => {}
            Some((_, since)) => {
                let since = *since;
                self.close(since, now);
                self.current = Some((wave.to_owned(), now));
            }
            None => self.current = Some((wave.to_owned(), now)),
        }
        self.updated = updated;
    }

    fn finish(mut self, now: Instant) -> Vec<Wave> {
        if let Some((_, since)) = self.current.take() {
            self.close(since, now);
        }
        self.done
    }

    fn close(&mut self, since: Instant, now: Instant) {
        let devices = self.updated.saturating_sub(self.before);
        self.done.push(Wave {
            devices,
            seconds: (now - since).as_secs_f64(),
        });
        self.before = self.updated;
    }
}

fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

fn is_stalled(conditions: &[Condition]) -> bool {
    find(conditions, "Stalled").is_some_and(|c| c.status == "True")
}

fn ticker() -> tokio::time::Interval {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Writes the report where the demo's readers look for it.
pub async fn save(lab: &Lab, report: &Report) -> Result<std::path::PathBuf> {
    let folder = lab.root.join("target/demo");
    tokio::fs::create_dir_all(&folder).await?;
    let path = folder.join("report.json");
    tokio::fs::write(&path, serde_json::to_vec_pretty(report)?)
        .await
        .with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}
