//! Independent searches side by side; the results come in the order of the jobs, whoever did them.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

use anyhow::Result;

pub(crate) fn all<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> Result<R> + Sync) -> Result<Vec<R>> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let queue = Mutex::new(jobs.iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    // A poisoned lock means that a worker panicked, which the scope passes on anyway.
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, job)) = next() {
                    let result = work(job);
                    if let Ok(mut done) = done.lock() {
                        done.push((index, result));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
