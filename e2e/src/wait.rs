//! Waiting for a condition, with a limit and the last thing seen when it passes.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_millis(500);

/// What a look at the cluster found.
#[derive(Debug)]
pub enum Look<T> {
    /// The condition holds.
    Done(T),
    /// Not yet; what is seen instead, for the error when time is up.
    Not(String),
}

/// Looks until the condition holds. An error of a look counts as not yet: API servers and pods come and go here.
pub async fn until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    let end = Instant::now() + limit;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seen = match look().await {
            Ok(Look::Done(value)) => return Ok(value),
            Ok(Look::Not(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= end {
            bail!("waited {limit:?} for {what}; last seen: {seen}");
        }
    }
}
