//! Keeps the lease of a trial while it is trained: progress every few seconds, checkpoints as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::trainer::Progress;
use tokio::sync::{mpsc, watch};

use crate::training::{Checkpoint, Moment, Observer};
use crate::worker::client::{Client, ClientError};

const EVERY: Duration = Duration::from_secs(5);

/// The training thread's end.
#[derive(Debug)]
pub(super) struct Reporter {
    moment: watch::Sender<Moment>,
    checkpoints: mpsc::Sender<Checkpoint>,
    stop: Arc<AtomicBool>,
}

/// The network's end.
#[derive(Debug)]
pub(super) struct Pulse {
    moment: watch::Receiver<Moment>,
    checkpoints: mpsc::Receiver<Checkpoint>,
    stop: Arc<AtomicBool>,
    every: Duration,
}

pub(super) fn pair(epochs: u32, lease_seconds: u32) -> (Reporter, Pulse) {
    let start = Moment {
        epoch: 0,
        epochs,
        fraction: 0.0,
        loss: 0.0,
        seconds_left: 0.0,
    };
    let (sender, moment) = watch::channel(start);
    // One is enough: a newer checkpoint replaces one that was not sent in time.
    let (checkpoints, receiver) = mpsc::channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let every = EVERY.min(Duration::from_secs_f64(f64::from(lease_seconds.max(1)) / 3.0));
    let reporter = Reporter {
        moment: sender,
        checkpoints,
        stop: stop.clone(),
    };
    (
        reporter,
        Pulse {
            moment,
            checkpoints: receiver,
            stop,
            every,
        },
    )
}

impl Observer for Reporter {
    fn go_on(&mut self, at: &Moment) -> bool {
        self.moment.send_replace(*at);
        !self.stop.load(Ordering::Relaxed)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        if let Err(error) = self.checkpoints.try_send(checkpoint) {
            tracing::warn!("a checkpoint is left out: {error}");
        }
    }
}

impl Pulse {
    /// Beats until the training thread is done with its end, and sends its last checkpoint; `Lost` when someone
    /// else has the trial. A beat that does not arrive is only logged: the next may, and training costs more
    /// than a lease that ran out.
    pub(super) async fn beat(
        mut self,
        client: &Client,
        trial: &str,
        mut terminated: watch::Receiver<bool>,
    ) -> Result<(), ClientError> {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let progress = progress(client.worker(), &{ *self.moment.borrow() });
                    tracing::info!(trial, epoch = progress.epoch, fraction = progress.fraction, loss = progress.loss, left = progress.seconds_left, "training");
                    self.survive(client.progress(trial, &progress).await.map(drop))?;
                }
                checkpoint = self.checkpoints.recv() => match checkpoint {
                    Some(checkpoint) => self.survive(client.put_checkpoint(trial, checkpoint.to_bytes()).await)?,
                    None => return Ok(()),
                },
                ended = terminated.wait_for(|stop| *stop), if !asked => {
                    asked = true;
                    if ended.is_ok() {
                        self.stop.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    fn survive(&self, result: Result<(), ClientError>) -> Result<(), ClientError> {
        match result {
            Err(error) if error.is_lost() => {
                self.stop.store(true, Ordering::Relaxed);
                Err(error)
            }
            Err(error) => {
                tracing::warn!("{error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// The contract counts epochs from 1.
fn progress(worker: &str, moment: &Moment) -> Progress {
    let Moment {
        epoch,
        epochs,
        fraction,
        loss,
        seconds_left,
    } = *moment;
    let epoch = (epoch + 1).min(epochs);
    Progress {
        worker: worker.to_owned(),
        epoch,
        epochs,
        fraction,
        loss,
        seconds_left,
    }
}
