//! What threads share and wait on, and locks that survive a panic elsewhere: a node's panic is caught while it runs,
//! so no state is half-written.
//!
//! The scheduler takes its primitives from here, so that `tests/permute` can put others in their place.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::time::Instant;

use std::sync::PoisonError;

/// Rounds of looking for work before a worker sleeps: a few microseconds.
pub(crate) const SPINS: u32 = 400;

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
