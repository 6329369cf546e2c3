//! What the scheduler shares and waits on, in the tester's hands: who goes on is decided at each use of it.
//!
//! The tester knows no time, and its waits never time out. Here they do, on a time that stands until `pass_time`
//! runs beside the test: then it goes from the end of one wait to that of the next.

use std::ops::Add;
use std::sync::{Arc, LockResult, PoisonError};
use std::time::Duration;

pub(crate) use shuttle::hint::spin_loop;
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};

use atomic::{AtomicI64, Ordering};

/// Few: each round is many steps for the tester.
pub(crate) const SPINS: u32 = 2;

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

shuttle::lazy_static! {
    static ref TIME: Time = Time {
        nanos: AtomicI64::new(0),
        waits: Mutex::new(Waits::default()),
        changed: shuttle::sync::Condvar::new(),
    };
}

struct Time {
    nanos: AtomicI64,
    waits: Mutex<Waits>,
    changed: shuttle::sync::Condvar,
}

#[derive(Default)]
struct Waits {
    /// When each ends, and what it waits on.
    ends: Vec<(i64, Arc<shuttle::sync::Condvar>)>,
    over: bool,
}

/// Nanoseconds since the test began.
pub(crate) fn nanos() -> i64 {
    TIME.nanos.load(Ordering::SeqCst)
}

/// So much time passes while the caller works.
pub(crate) fn work_for(span: Duration) {
    TIME.nanos.fetch_add(span.as_nanos() as i64, Ordering::SeqCst);
}

/// Ends the waits whose time has come, the earliest first, until `stop_time`.
pub(crate) fn pass_time() {
    loop {
        let mut waits = lock(&TIME.waits);
        while waits.ends.is_empty() && !waits.over {
            waits = TIME.changed.wait(waits).unwrap();
        }
        if waits.over {
            return;
        }
        let (end, condvar) = waits.ends.iter().min_by_key(|(end, _)| *end).unwrap().clone();
        drop(waits);
        TIME.nanos.fetch_max(end, Ordering::SeqCst);
        condvar.notify_all();
        shuttle::thread::yield_now();
    }
}

pub(crate) fn stop_time() {
    lock(&TIME.waits).over = true;
    TIME.changed.notify_all();
}

#[derive(Debug)]
pub(crate) struct Condvar(Arc<shuttle::sync::Condvar>);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(Arc::new(shuttle::sync::Condvar::new()))
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    /// Says beside the guard whether the time is up.
    #[expect(clippy::unnecessary_wraps, reason = "as the standard library has it")]
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        span: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let end = nanos() + span.as_nanos() as i64;
        lock(&TIME.waits).ends.push((end, Arc::clone(&self.0)));
        TIME.changed.notify_all();
        let guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        let ends = &mut lock(&TIME.waits).ends;
        let own = ends
            .iter()
            .position(|(other, condvar)| *other == end && Arc::ptr_eq(condvar, &self.0));
        ends.swap_remove(own.unwrap());
        Ok((guard, nanos() >= end))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(i64);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(nanos())
    }

    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0 + span.as_nanos() as i64)
    }
}
