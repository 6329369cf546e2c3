//! Receipts for telemetry: the latest of each boot, sent together once a second.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::id::{BootId, DeviceId, SiteId};
use protocol::telemetry::Committed;
use protocol::topic::{Channel, Topic};

use crate::mqtt::Publisher;
use crate::store::telemetry::Stored;

/// A device that is away asks again by sending again.
const EXPIRY: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(super) struct Receipts {
    due: BTreeMap<(DeviceId, BootId), (SiteId, u64)>,
}

impl Receipts {
    /// Also for what was all duplicates: the device that sends again has missed the last receipt.
    pub(super) fn add(&mut self, stored: &[Stored]) {
        for Stored {
            site,
            device,
            boot_id,
            contiguous,
            ..
        } in stored
        {
            if *contiguous > 0 {
                self.due
                    .insert((device.clone(), *boot_id), (site.clone(), *contiguous));
            }
        }
    }

    pub(super) async fn send(&mut self, publisher: &Publisher) {
        while let Some(((device, boot_id), (site, seq))) = self.due.pop_first() {
            let topic = Topic::new(&site, &device, Channel::Committed);
            let receipt = Committed {
                version: protocol::VERSION,
                boot_id,
                seq,
            };
            let Ok(bytes) = protocol::to_bytes(&receipt) else {
                continue;
            };
            if let Err(error) = publisher.publish(&topic, bytes, false, Some(EXPIRY)).await {
                tracing::debug!(%error, "a receipt waits");
                self.due.insert((device, boot_id), (site, seq));
                return;
            }
        }
    }
}
