//! Moves samples from the outbox to the broker, and takes receipts.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::telemetry::{Batch, Committed};
use protocol::topic::Channel;

use super::Device;
use crate::outbox::{Outbox, OutboxError, Outgoing, Unsynced};

/// When samples were last sent and the outbox last looked after.
#[derive(Debug, Default)]
pub(super) struct Sending {
    sent: Duration,
    last_seq: u64,
    tidied: Duration,
}

/// A batch waits so long for more samples, unless there are enough.
const WAIT: Duration = Duration::from_secs(1);
const ENOUGH: u64 = 50;
const TIDY: Duration = Duration::from_mins(1);

impl Device {
    pub(super) fn send_telemetry(&mut self) {
        let now = self.start.elapsed();
        if now.saturating_sub(self.sending.tidied) >= TIDY {
            self.sending.tidied = now;
            log(self.outbox().tidy(SystemTime::now()));
        }
        let last_seq = self.outbox().state().last_seq;
        let due = now.saturating_sub(self.sending.sent) >= WAIT;
        if !(due || last_seq - self.sending.last_seq >= ENOUGH) {
            return;
        }
        self.sync_outbox();
        if !self.mqtt.is_online() {
            return;
        }
        (self.sending.sent, self.sending.last_seq) = (now, last_seq);
        loop {
            let batches = match self.outbox().take(now) {
                Ok(batches) if batches.is_empty() => return,
                Ok(batches) => batches,
                Err(error) => return log(Err(error)),
            };
            for Outgoing {
                stream,
                boot_id,
                samples,
            } in batches
            {
                let device = self.args.device.clone();
                let batch = Batch {
                    version: protocol::VERSION,
                    device,
                    boot_id,
                    samples,
                };
                if !self.send(&Channel::Telemetry(stream), &batch, false) {
                    return self.outbox().rewind();
                }
            }
        }
    }

    pub(super) fn commit(&mut self, receipt: Committed) {
        let now = self.start.elapsed();
        log(self.outbox().commit(receipt, now));
    }

    pub(super) fn rewind_outbox(&mut self) {
        self.outbox().rewind();
        self.sending.sent = Duration::ZERO;
    }

    pub(super) fn sync_outbox(&self) {
        let unsynced = self.outbox().unsynced();
        log(unsynced.and_then(|unsynced| unsynced.map_or(Ok(()), Unsynced::sync)));
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(result: Result<(), OutboxError>) {
    if let Err(error) = result {
        tracing::error!(%error, "outbox");
    }
}
