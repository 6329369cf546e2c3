//! Wiring: what every replica runs, and what only the leader runs.
//!
//! Everything waits for what it needs and says so on `/readyz`; nothing restarts the process for a dependency
//! that is away. A lost lease, an ended term or a task that ended by itself does end it: Kubernetes starts a fresh one.

mod database;
mod logs;
mod probes;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api};
use crate::args::{Args, Command, Config};
use crate::blobs::Blobs;
use crate::change::Changes;
use crate::context::Context;
use crate::controllers;
use crate::events::Events;
use crate::health::{Dependency, Health};
use crate::ingest::Ingest;
use crate::leader::Election;
use crate::metrics::Metrics;
use crate::mqtt::{Connection, Session};
use crate::probe::probe;
use crate::store;

/// What is being done gets this long to end.
const GRACE: Duration = Duration::from_secs(10);

/// What `main` does.
pub async fn main(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Run(config) => {
            logs::start(&config)?;
            run(*config, stop_signal()?).await
        }
        Command::Crds => print_crds(),
        Command::Migrate { database } => {
            let pool = database::pool(&database)?;
            store::migrator()
                .run(&pool)
                .await
                .context("migrating the database")
        }
        Command::Probe(asked) => probe(&asked).await,
    }
}

/// Until `shutdown`; an error means that this process can't go on.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pod = config.pod_name,
        "operator starts"
    );
    let config = Arc::new(config);
    let api = Api {
        db: database::pool(&config.database)?,
        blobs: Blobs::in_folder(&config.blobs)?,
        changes: Changes::new(),
        metrics: Arc::new(Metrics::new()),
        health: Health::waiting_for(&[
            Dependency::Postgres,
            Dependency::Schema,
            Dependency::Kubernetes,
            Dependency::CustomResources,
        ]),
        config,
    };
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("http", serve(api.clone(), shutdown.clone()));
    let client = client().await?;
    tasks.spawn("database probe", probes::database(api.clone(), shutdown.clone()));
    tasks.spawn(
        "kubernetes probe",
        probes::kubernetes(api.clone(), client.clone(), shutdown.clone()),
    );

    let config = &api.config;
    let lease = Duration::from_secs(config.lease_seconds);
    let mut election = Election::new(client.clone(), &config.namespace, &config.pod_name, lease);
    let leading = async {
        database::migrate(&api.db, &api.health).await;
        probes::wait_for(&api.health, Dependency::CustomResources).await;
        election.win().await;
        // While the database keeps it waiting, the lease must be kept as well.
        tokio::select! {
            epoch = begin_term(&api) => Ok(epoch),
            lost = election.hold() => Err(lost),
        }
    };
    let epoch = match tasks.unless_ended(leading).await? {
        Some(Ok(epoch)) => epoch,
        Some(Err(reason)) => bail!("leads no more: {reason}"),
        None => return tasks.end().await,
    };
    api.metrics.leader.set(1);
    tracing::info!(epoch, "leads");
    lead(&mut tasks, &api, client, epoch, &shutdown)?;
    let lost = tasks.unless_ended(election.hold()).await;
    api.metrics.leader.set(0);
    if let Ok(Some(reason)) = &lost {
        // At once: whoever leads now must not find this one still writing.
        bail!("leads no more: {reason}");
    }
    let ended = tasks.end().await;
    // Only now: nothing of this term is running any more.
    if let Err(error) = election.release().await {
        tracing::warn!(%error, "can't release the lease; the next leader has to wait for its end");
    }
    lost.and(ended)
}

/// What only the leader runs; one line a controller.
fn lead(
    tasks: &mut Tasks,
    api: &Api,
    client: kube::Client,
    epoch: u64,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Api {
        db,
        blobs,
        changes,
        metrics,
        health,
        config,
    } = api.clone();
    health.wait_for(Dependency::Broker);
    let (connection, publisher, deliveries) = Connection::new(&config.broker)?;
    let session = Session {
        changes: changes.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
    };
    let ingest = Ingest {
        db: db.clone(),
        publisher: publisher.clone(),
        changes: changes.clone(),
        metrics: metrics.clone(),
        health,
        epoch,
    };
    let recorder = Events::new(client.clone(), &config.pod_name);
    let ctx = Context {
        client,
        db: db.clone(),
        mqtt: publisher,
        blobs,
        changes,
        metrics,
        config,
        recorder,
        epoch,
    };
    tasks.spawn("mqtt", done(connection.run(session, shutdown.clone())));
    tasks.spawn(
        "partitions",
        done(database::keep_partitions(
            db,
            ctx.config.telemetry_days,
            shutdown.clone(),
        )),
    );
    let ingesting = ingest.run(deliveries, shutdown.clone());
    tasks.spawn("ingest", async { Ok(ingesting.await?) });
    tasks.spawn(
        "nasjobs",
        done(controllers::nasjob::run(ctx.clone(), shutdown.clone())),
    );
    tasks.spawn(
        "edgepipelines",
        done(controllers::edgepipeline::run(ctx, shutdown.clone())),
    );
    Ok(())
}

/// Everything written from now on carries a higher term than anything before.
async fn begin_term(api: &Api) -> u64 {
    loop {
        match store::leadership::begin(&api.db, &api.config.pod_name).await {
            Ok(epoch) => return epoch,
            Err(error) => tracing::warn!(%error, "can't begin a term yet"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn serve(api: Api, shutdown: CancellationToken) -> anyhow::Result<()> {
    let address = api.config.listen;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    tracing::info!(%address, "serves HTTP");
    axum::serve(listener, api::router(api))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await?;
    Ok(())
}

async fn client() -> anyhow::Result<kube::Client> {
    let mut config = kube::Config::infer()
        .await
        .context("no way to the Kubernetes API: neither in a pod nor a kubeconfig")?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(kube::Client::try_from(config)?)
}

fn print_crds() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for crd in crds::all() {
        write!(out, "---\n{}", serde_saphyr::to_string(&crd)?)?;
    }
    Ok(())
}

/// Cancelled by SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("asked to stop");
        cancelled.cancel();
    });
    Ok(token)
}

async fn done(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}

/// Tasks that live as long as the process: the first to end ends it.
struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: CancellationToken,
}

impl Tasks {
    fn new(shutdown: CancellationToken) -> Self {
        Self {
            set: JoinSet::new(),
            shutdown,
        }
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// What `work` gives; none on shutdown, an error if a task ended before.
    async fn unless_ended<T>(&mut self, work: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
        tokio::select! {
            done = work => Ok(Some(done)),
            () = self.shutdown.cancelled() => Ok(None),
            ended = self.set.join_next() => {
                if self.shutdown.is_cancelled() {
                    return Ok(None);
                }
                match ended {
                    Some(Ok((name, result))) => {
                        result.with_context(|| format!("task {name} failed"))?;
                        bail!("task {name} ended by itself")
                    }
                    Some(Err(error)) => bail!("a task broke down: {error}"),
                    None => bail!("no task is left"),
                }
            }
        }
    }

    /// Asks all to end and waits for them a while.
    async fn end(&mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        let all = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("some tasks did not end within {GRACE:?}");
        }
        Ok(())
    }
}
