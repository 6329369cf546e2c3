//! The threads of a run: each executor's workers, and one that stands in for them.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::clock::Wait;
use crate::run::StartError;
use crate::run::engine::Engine;
use crate::run::worker;
use crate::sync::lock;
use crate::validate::plan::PlannedExecutor;

/// Starts all of them; the first one opens the nodes where `opens` says so. `workers` are the numbers of threads, the
/// graph's own executor first.
pub(super) fn start(
    engine: &Arc<Engine>,
    workers: &[usize],
    opens: bool,
    threads: &Mutex<Vec<JoinHandle<()>>>,
) -> Result<(), StartError> {
    let clock = engine.services.pool.clock();
    let time_passes = matches!(clock.wait_for(clock.nanos()), Wait::Sleep(_));
    // All at once: the first to leave must not take itself for the last.
    let all = workers.iter().sum::<usize>() + usize::from(time_passes);
    engine.live_workers.fetch_add(all, Ordering::SeqCst);
    let started = spawn_all(engine, workers, opens, time_passes, threads);
    if started.is_err() {
        let missing = all.saturating_sub(lock(threads).len());
        engine.live_workers.fetch_sub(missing, Ordering::SeqCst);
        engine.services.pool.halt();
    }
    started
}

fn spawn_all(
    engine: &Arc<Engine>,
    workers: &[usize],
    opens: bool,
    time_passes: bool,
    threads: &Mutex<Vec<JoinHandle<()>>>,
) -> Result<(), StartError> {
    for (lane, count) in workers.iter().enumerate() {
        let executor = lane
            .checked_sub(1)
            .and_then(|place| engine.plan.executors.get(place));
        for index in 0..*count {
            let first = opens && lane == 0 && index == 0;
            let name = executor.map_or("pipeline", |executor| executor.name.as_str());
            let nice = executor.map_or(0, |executor| executor.nice);
            let mut thread = thread::Builder::new().name(format!("{name}-{index}"));
            if let Some(stack) = executor.and_then(|executor: &PlannedExecutor| executor.stack) {
                thread = thread.stack_size(stack);
            }
            let run = move |engine: &Arc<Engine>| {
                give_way(nice);
                worker::work(engine, lane, first);
            };
            lock(threads).push(spawn(engine, thread, run)?);
        }
    }
    if time_passes {
        let thread = thread::Builder::new().name("pipeline-time".to_owned());
        lock(threads).push(spawn(engine, thread, worker::stand_in)?);
    }
    Ok(())
}

/// Waits for their end.
pub(super) fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A worker catches what nodes throw; there is nothing to learn from it here.
        let _ = thread.join();
    }
}

fn spawn(
    engine: &Arc<Engine>,
    thread: thread::Builder,
    run: impl FnOnce(&Arc<Engine>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let own = Arc::clone(engine);
    thread.spawn(move || run(&own))
}

/// Lowers the calling thread's share of the processor. On Linux a thread has its own niceness.
fn give_way(nice: u32) {
    if nice == 0 {
        return;
    }
    let lowered = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice as i32);
    if let Err(error) = lowered {
        tracing::warn!(%error, nice, "the executor's niceness can't be set");
    }
}
