//! The trainer's life in a pod: claims a trial, trains it, hands in the model, claims the next.
//!
//! Everything that matters is with the operator, so a pod may end at any instant: checkpoints go there after
//! each epoch and at SIGTERM, and the next pod that claims the trial goes on from them.

mod client;
mod pulse;
mod trial;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::args::RunArgs;
use crate::exit::Exit;

use client::{Client, ClientError};
use trial::Done;

/// Works until no trial is left.
pub fn run(args: RunArgs) -> Result<(), Exit> {
    // One thread for the network; training has its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime
        .context("can't start")
        .map_err(Exit::Temporary)?
        .block_on(work(args))
}

async fn work(args: RunArgs) -> Result<(), Exit> {
    let RunArgs {
        url,
        token,
        job,
        worker,
    } = args;
    let client = Client::new(&url, &token, &worker).map_err(|error| Exit::BadInput(error.into()))?;
    let stop = terminated()?;
    loop {
        let claim = client.claim(&job);
        let claimed = tokio::select! {
            claimed = claim => claimed.map_err(exit)?,
            () = stopped(stop.clone()) => return Err(Exit::Terminated),
        };
        let Some(document) = claimed else {
            tracing::info!("no trial is left");
            return Ok(());
        };
        let name = document.trial.clone();
        tracing::info!(trial = name, job = document.job, architecture = %document.architecture, "claimed");
        match trial::run(&client, document, stop.clone()).await.map_err(exit)? {
            Done::HandedIn { accuracy } => tracing::info!(trial = name, accuracy, "handed in"),
            Done::GivenUp { code, message } => tracing::warn!(trial = name, code, "{message}"),
            Done::Lost => tracing::warn!(trial = name, "another worker has the trial"),
            Done::Stopped => return Err(Exit::Terminated),
        }
    }
}

/// Becomes true at SIGTERM or SIGINT.
fn terminated() -> Result<watch::Receiver<bool>, Exit> {
    let listen = |kind| {
        signal(kind)
            .context("can't listen for signals")
            .map_err(Exit::Temporary)
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end");
        sender.send_replace(true);
        // Kept open: a closed channel would look like a stop to those who wait for a change.
        sender.closed().await;
    });
    Ok(receiver)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A refused token counts as temporary: it may have been replaced, and then the next pod has the new one.
fn exit(error: ClientError) -> Exit {
    if error.is_temporary() || error.is_refused_token() {
        Exit::Temporary(anyhow!(error))
    } else {
        Exit::BadInput(anyhow!(error))
    }
}

#[cfg(test)]
mod tests;
