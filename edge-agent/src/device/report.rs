//! The reported document: what the device is and runs, whole.

use std::time::Duration;

use pipeline::report::rss_mib;
use protocol::reported::Reported;
use protocol::topic::Channel;

use super::Device;
use crate::agent::Installed;

/// When the document was last sent and whether it is wanted anew.
#[derive(Debug, Default)]
pub(super) struct Pace {
    asked: bool,
    sent: Option<Duration>,
}

/// Changes within this go into one document.
const GATHER: Duration = Duration::from_millis(200);
const BUSY: Duration = Duration::from_secs(2);
const RUNNING: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(30);

impl Pace {
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    fn is_due(&self, now: Duration, interval: Duration) -> bool {
        let age = self.sent.map(|sent| now.saturating_sub(sent));
        age.is_none_or(|age| age >= interval || (self.asked && age >= GATHER))
    }
}

impl Device {
    pub(super) fn report_if_due(&mut self) {
        let interval = match (self.agent.is_busy(), self.agent.running()) {
            (true, _) => BUSY,
            (false, Some(_)) => RUNNING,
            (false, None) => IDLE,
        };
        if self.mqtt.is_online() && self.pace.is_due(self.start.elapsed(), interval) {
            self.report();
        }
    }

    pub(super) fn report(&mut self) {
        let disk = self.agent.disk();
        let mut labels = self.args.labels.clone();
        labels.insert("haizen.dev/class".into(), self.args.class.to_string());
        let reported = Reported {
            version: protocol::VERSION,
            device: self.args.device.clone(),
            site: self.args.site.clone(),
            class: self.args.class.clone(),
            labels,
            boot_id: self.boot_id,
            agent_version: env!("CARGO_PKG_VERSION").into(),
            runtime: self.runtime.clone(),
            progress: disk.progress.clone(),
            active: disk.active.as_ref().map(Installed::slot),
            previous: disk.previous.as_ref().map(Installed::slot),
            outbox: self.outbox().state(),
            running: self.agent.running().cloned(),
            rss_mib: (rss_mib() * 10.0).round() / 10.0,
        };
        if self.send(&Channel::Reported, &reported, true) {
            self.pace = Pace {
                asked: false,
                sent: Some(self.start.elapsed()),
            };
        }
    }
}
