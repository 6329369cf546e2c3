//! What a running graph is told by signals: to stop, or to read its file again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

/// How often Ctrl-C or SIGTERM, and SIGHUP, came.
#[derive(Debug, Default, Clone)]
pub(super) struct Signals {
    stop: Arc<AtomicU64>,
    reload: Arc<AtomicU64>,
}

impl Signals {
    /// The second Ctrl-C ends the process at once.
    pub(super) fn listen() -> Result<Self> {
        let signals = Self::default();
        let Self { stop, reload } = signals.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let wait = async move {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut int), Ok(mut term), Ok(mut hangup)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
                signal(SignalKind::hangup()),
            ) else {
                return;
            };
            loop {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                    _ = hangup.recv() => {
                        reload.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                }
                if stop.fetch_add(1, Ordering::Relaxed) > 0 {
                    std::process::exit(130);
                }
            }
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(wait))?;
        Ok(signals)
    }

    pub(super) fn ask_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) > 0
    }

    /// How often a reload was asked for.
    pub(super) fn reloads(&self) -> u64 {
        self.reload.load(Ordering::Relaxed)
    }
}
