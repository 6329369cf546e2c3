//! Where time comes from: the machine, or a test that drives it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sync::atomic::{AtomicI64, Ordering};
use crate::sync::{Mutex, lock};

/// Time for pacing, ages and measurements. Never goes back.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Nanoseconds since 1970.
    fn nanos(&self) -> i64;

    /// What workers with nothing to run do until `at` (nanoseconds).
    fn wait_for(&self, at: i64) -> Wait;

    /// Moves to `at`. Called only after `wait_for` answered `Jump`, when no node can run before.
    fn jump(&self, _at: i64) {}

    /// Whether time that otherwise stands still passes while nodes compute.
    fn moves_with_work(&self) -> bool {
        false
    }

    /// Has `changed` called whenever time moves by hand.
    fn on_change(&self, _changed: Box<dyn Fn() + Send + Sync>) {}

    fn micros(&self) -> i64 {
        self.nanos().div_euclid(1_000)
    }
}

/// How to let time pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Time passes by itself.
    Sleep(Duration),
    /// Time stands still until somebody needs it: call `jump`.
    Jump,
    /// Somebody moves time by hand and tells.
    Told,
}

/// The machine's time: wall clock at the start, monotonic from then on.
#[derive(Debug)]
pub struct RealClock {
    start: Instant,
    start_nanos: i64,
}

impl RealClock {
    pub fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start: Instant::now(),
            start_nanos: i64::try_from(since_1970.as_nanos()).unwrap_or(0),
        }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn nanos(&self) -> i64 {
        let elapsed = self.start.elapsed();
        self.start_nanos + elapsed.as_secs() as i64 * 1_000_000_000 + i64::from(elapsed.subsec_nanos())
    }

    fn wait_for(&self, at: i64) -> Wait {
        Wait::Sleep(Duration::from_nanos(
            u64::try_from(at - self.nanos()).unwrap_or(0),
        ))
    }
}

/// Time that passes only when told to: by hand, or by itself to the next thing that waits for it.
pub struct VirtualClock {
    nanos: AtomicI64,
    /// How far it jumps by itself.
    limit: AtomicI64,
    moves_with_work: bool,
    changed: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl VirtualClock {
    /// Jumps to the next timer whenever nothing can run.
    pub fn jumping(start_micros: i64) -> Self {
        Self::new(start_micros, i64::MAX)
    }

    /// Moves by `advance` only.
    pub fn by_hand(start_micros: i64) -> Self {
        Self::new(start_micros, i64::MIN)
    }

    /// Moves by `advance`, and by itself over the spans that nodes compute: nobody could tell when those end.
    pub fn with_work(start_micros: i64) -> Self {
        Self {
            moves_with_work: true,
            ..Self::by_hand(start_micros)
        }
    }

    /// Jumps from timer to timer up to this time from now on, whenever nothing can run.
    pub fn allow(&self, limit_micros: i64) {
        self.limit
            .store(limit_micros.saturating_mul(1_000), Ordering::SeqCst);
        self.tell();
    }

    /// Moves to this time, unless it has passed.
    pub fn set(&self, micros: i64) {
        self.nanos
            .fetch_max(micros.saturating_mul(1_000), Ordering::SeqCst);
        self.tell();
    }

    pub fn advance(&self, span: Duration) {
        self.nanos.fetch_add(span.as_nanos() as i64, Ordering::SeqCst);
        self.tell();
    }

    fn tell(&self) {
        for changed in lock(&self.changed).iter() {
            changed();
        }
    }

    fn new(start_micros: i64, limit: i64) -> Self {
        Self {
            nanos: AtomicI64::new(start_micros * 1_000),
            limit: AtomicI64::new(limit),
            moves_with_work: false,
            changed: Mutex::default(),
        }
    }
}

impl std::fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VirtualClock")
            .field("nanos", &self.nanos)
            .finish_non_exhaustive()
    }
}

impl Clock for VirtualClock {
    fn nanos(&self) -> i64 {
        self.nanos.load(Ordering::SeqCst)
    }

    fn wait_for(&self, at: i64) -> Wait {
        if at > self.limit.load(Ordering::SeqCst) {
            Wait::Told
        } else {
            Wait::Jump
        }
    }

    fn jump(&self, at: i64) {
        self.nanos.fetch_max(at, Ordering::SeqCst);
    }

    fn moves_with_work(&self) -> bool {
        self.moves_with_work
    }

    fn on_change(&self, changed: Box<dyn Fn() + Send + Sync>) {
        lock(&self.changed).push(changed);
    }
}
