//! The device's process: hands events to the agent, performs its effects, moves telemetry, reports.
//!
//! One task owns all of it; nothing here waits for the network, a download or the graph. Those tell by events.

mod effects;
mod profile;
mod report;
mod telemetry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use protocol::desired::{Desired, MAX_DESIRED};
use protocol::id::BootId;
use protocol::profile::{MAX_PROFILE, ProfileRequest};
use protocol::reported::Runtime;
use protocol::telemetry::{Committed, MAX_TELEMETRY};
use protocol::topic::Channel;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::agent::{Agent, Event, Now, Settings};
use crate::args::AgentArgs;
use crate::io::disk::Disk;
use crate::io::models::{Limits, Models};
use crate::io::mqtt::{Connection, Incoming, Message, Mqtt};
use crate::io::runner::{Runner, check};
use crate::outbox::{Bounds, Outbox};
use crate::profiler::machine;

/// The running process.
struct Device {
    args: AgentArgs,
    boot_id: BootId,
    runtime: Runtime,
    threads: usize,
    start: Instant,
    agent: Agent,
    disk: Disk,
    models: Models,
    /// Files that are only measured.
    scratch: Models,
    outbox: Arc<Mutex<Outbox>>,
    mqtt: Mqtt,
    runner: Runner,
    events: mpsc::UnboundedSender<Event>,
    /// Events that wait for the disk to take the state again, with the message each came in.
    queue: VecDeque<(Event, Option<Message>)>,
    retry_at: Instant,
    fetches: BTreeMap<u64, AbortHandle>,
    /// Answers to the last profile requests: a repeated request is answered from here.
    answers: Arc<Mutex<VecDeque<profile::Answer>>>,
    pace: report::Pace,
    sending: telemetry::Sending,
}

/// How often due work is looked for; everything urgent comes as an event.
const BEAT: Duration = Duration::from_millis(200);
/// Pause before the disk is tried again.
const DISK_PAUSE: Duration = Duration::from_secs(2);

/// Serves until the process is asked to end.
pub async fn run(args: AgentArgs) -> Result<()> {
    let (incoming_tx, mut incoming) = mpsc::channel(16);
    let (events_tx, mut events) = mpsc::unbounded_channel();
    let (mut device, poll) = Device::open(args, incoming_tx, events_tx).await?;
    let poll = tokio::spawn(poll);
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    device.tell(Event::Booted, None);
    loop {
        tokio::select! {
            Some(told) = incoming.recv() => device.hear(told),
            Some(event) = events.recv() => device.tell(event, None),
            _ = beat.tick() => device.beat(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    device.leave().await;
    // The last messages are on their way; a broker that is gone must not hold the process.
    drop(tokio::time::timeout(Duration::from_secs(2), poll).await);
    Ok(())
}

impl Device {
    async fn open(
        args: AgentArgs,
        incoming: mpsc::Sender<Incoming>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let disk = Disk::open(&args.state).context("open the state folder (HAIZEN_STATE)")?;
        let found = disk.load()?;
        if let Some(problem) = &found.set_aside {
            tracing::error!(problem, "the state could not be read; the device starts without");
        }
        let boot_id = BootId(uuid::Uuid::new_v4());
        let bounds = Bounds {
            bytes: args.outbox_mib << 20,
            ..Bounds::default()
        };
        let outbox = Outbox::open(&args.state.join("outbox"), boot_id, bounds, SystemTime::now())?;
        let outbox = Arc::new(Mutex::new(outbox));
        let limits = Limits {
            size: args.max_model_mib << 20,
            rate: args.download_rate.and_then(|rate| NonZeroU64::new(rate.get())),
            ..Limits::default()
        };
        let models = Models::open(&args.state.join("models"), args.http.clone(), limits.clone())
            .context("open the model store")?;
        let scratch = Models::open(&args.state.join("scratch"), args.http.clone(), limits)
            .context("open the folder for files to measure")?;
        scratch
            .collect(&std::collections::BTreeSet::new())
            .context("clear the folder for files to measure")?;
        let threads = args.threads.unwrap_or_else(machine::default_threads).max(1);
        let runtime = profile::probe(threads).await;
        let (mqtt, poll) = Mqtt::new(&connection(&args, boot_id)?, incoming);
        let settings = Settings {
            device: args.device.clone(),
            boot_id,
            crashes: 2,
            first_output: Duration::from_secs(15),
            restart: Duration::from_secs(1),
            restart_limit: Duration::from_mins(1),
            check,
        };
        tracing::info!(device = %args.device, boot = %boot_id, runtime = runtime.hash, engine = runtime.engine, threads, "agent starts");
        let runner = Runner::spawn(events.clone(), Arc::clone(&outbox), threads)
            .context("start the runner's thread")?;
        let device = Self {
            boot_id,
            runtime,
            threads,
            start: Instant::now(),
            agent: Agent::new(settings, found.state),
            disk,
            models,
            scratch,
            outbox,
            mqtt,
            runner,
            events,
            queue: VecDeque::new(),
            retry_at: Instant::now(),
            fetches: BTreeMap::new(),
            answers: Arc::default(),
            pace: report::Pace::default(),
            sending: telemetry::Sending::default(),
            args,
        };
        Ok((device, poll))
    }

    /// Lets the agent handle an event. If the state can't be written the event waits, with all that follow.
    fn tell(&mut self, event: Event, message: Option<Message>) {
        self.queue.push_back((event, message));
        if Instant::now() >= self.retry_at {
            self.work_off();
        }
    }

    fn work_off(&mut self) {
        while let Some((event, message)) = self.queue.pop_front() {
            let before = self.agent.clone();
            let effects = self.agent.handle(event.clone(), self.now());
            match self.perform(effects) {
                Ok(()) => {
                    if let Some(message) = message {
                        self.mqtt.confirm(&message);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the state can't be written; trying again");
                    self.agent = before;
                    self.queue.push_front((event, message));
                    self.retry_at = Instant::now() + DISK_PAUSE;
                    return;
                }
            }
        }
    }

    fn hear(&mut self, told: Incoming) {
        let message = match told {
            Incoming::Connected => {
                tracing::info!("connected to the broker");
                self.rewind_outbox();
                self.repeat_answers();
                return self.tell(Event::Connected, None);
            }
            Incoming::Disconnected(_) => return,
            Incoming::Message(message) => message,
        };
        match message.channel {
            Channel::Desired if message.payload().is_empty() => self.tell(Event::Cleared, Some(message)),
            Channel::Desired => {
                let event = match protocol::from_bytes::<Desired>(message.payload(), MAX_DESIRED) {
                    Ok(desired) => Event::Desired(Box::new(desired)),
                    Err(error) => Event::Unreadable(error.to_string()),
                };
                self.tell(event, Some(message));
            }
            Channel::Committed => {
                match protocol::from_bytes::<Committed>(message.payload(), MAX_TELEMETRY) {
                    Ok(receipt) => self.commit(receipt),
                    Err(error) => tracing::warn!(%error, "an unreadable receipt is dropped"),
                }
                self.mqtt.confirm(&message);
            }
            Channel::ProfileRequest => {
                match protocol::from_bytes::<ProfileRequest>(message.payload(), MAX_PROFILE) {
                    Ok(request) if self.answered(&request.id) => self.mqtt.confirm(&message),
                    Ok(request) => self.tell(Event::Profile(Box::new(request)), Some(message)),
                    Err(error) => {
                        tracing::warn!(%error, "an unreadable profile request is dropped");
                        self.mqtt.confirm(&message);
                    }
                }
            }
            _ => {
                tracing::warn!(channel = %message.channel, "a message that devices don't take is dropped");
                self.mqtt.confirm(&message);
            }
        }
    }

    fn beat(&mut self) {
        if Instant::now() >= self.retry_at {
            self.work_off();
        }
        if self.agent.wake_at().is_some_and(|wake| self.now().uptime >= wake) {
            self.tell(Event::Tick, None);
        }
        self.send_telemetry();
        self.report_if_due();
    }

    async fn leave(&mut self) {
        tracing::info!("agent ends");
        self.tell(Event::Shutdown, None);
        if tokio::time::timeout(Duration::from_secs(5), self.runner.stop())
            .await
            .is_err()
        {
            tracing::warn!("the graph did not end within 5 s");
        }
        self.send_telemetry();
        self.sync_outbox();
        self.report();
        drop(tokio::time::timeout(Duration::from_secs(2), self.mqtt.leave()).await);
    }

    fn now(&self) -> Now {
        Now {
            uptime: self.start.elapsed(),
            wall: jiff::Timestamp::now(),
        }
    }
}

fn connection(args: &AgentArgs, boot_id: BootId) -> Result<Connection> {
    let (host, port) = match args.broker.rsplit_once(':') {
        Some((host, port)) => {
            let port = port
                .parse()
                .with_context(|| format!("port of the broker {:?}", args.broker))?;
            (host, port)
        }
        None => (args.broker.as_str(), 1883),
    };
    let password = match &args.mqtt_password_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("read the password file {}", path.display()))?;
            Some(text.trim_end().to_owned())
        }
        None => args.mqtt_password.clone(),
    };
    let credentials = args
        .mqtt_user
        .clone()
        .map(|user| (user, password.unwrap_or_default()));
    Ok(Connection {
        host: host.to_owned(),
        port,
        credentials,
        site: args.site.clone(),
        device: args.device.clone(),
        boot_id,
        will_delay: args.will_delay,
    })
}
