//! Runs a graph along the lines of a feed.

use std::sync::Arc;
use std::time::Duration;

use super::line::{Feed, FeedLine};
use super::record::{Record, Recorder, Status};
use super::value::Value;
use crate::clock::{Clock, RealClock, VirtualClock};
use crate::packet::Packet;
use crate::run::{FeedError, Inputs, RunStatus, RunningGraph, StartError};
use crate::stats::DropReason;
use crate::timestamp::Timestamp;
use crate::validate::ValidatedGraph;

/// Whose time it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReplayClock {
    /// Starts at 0 and moves by `advance`; after the last line, from timer to timer. Work takes no time: whatever a
    /// line sets off is done before the next one, so that a record doesn't depend on how fast anything is.
    #[default]
    Virtual,
    /// The machine's; `advance` waits.
    Real,
}

/// How to replay.
#[derive(Debug, Default)]
pub struct Settings {
    pub clock: ReplayClock,
    /// Records bounds and ends of streams too.
    pub bounds: bool,
    /// On the virtual clock, so many of the packets that a feed begins with are there before the first node runs.
    pub head_start: usize,
}

/// Why a feed couldn't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("line {line}: {problem}")]
    Feed { line: usize, problem: FeedError },
    #[error(
        "line {line}: stream {stream} is full, and nothing can run before the clock moves; add an `advance` line"
    )]
    Full { line: usize, stream: String },
    #[error("line {line}: the clock can't move that far")]
    Time { line: usize },
}

/// Feeds a graph and records what it gives; a run that fails, or doesn't start, gives a record that says so. Clock
/// and observer of `inputs` are replaced.
pub fn run(
    graph: &ValidatedGraph,
    feed: &Feed,
    mut inputs: Inputs,
    settings: &Settings,
) -> Result<Record, ReplayError> {
    let time = Time::new(settings.clock);
    let recorder = Arc::new(Recorder::new(settings.bounds));
    for (_, line) in &feed.0 {
        if let FeedLine::SidePacket { name, value } = line {
            inputs.side_packets.insert(name.clone(), value.side_packet());
        }
    }
    inputs.clock = time.clock();
    inputs.observer = Some(recorder.clone());
    let running = match graph.start(inputs) {
        Ok(running) => running,
        Err(error) => return Ok(recorder.record(graph.output_streams(), not_started(&error))),
    };
    let replay = Replay {
        running,
        time,
        recorder,
    };
    let early = replay.head_start(&feed.0, settings);
    for (line, step) in feed.0.iter().skip(early) {
        if matches!(
            replay.running.status(),
            RunStatus::Failed(_) | RunStatus::Cancelled
        ) {
            break;
        }
        replay.step(*line, step)?;
        if settings.clock == ReplayClock::Virtual {
            replay.running.wait_idle();
        }
    }
    replay.running.resume();
    // What was fed is dealt with before the inputs end: a record doesn't depend on the speed of the machine.
    replay.running.wait_idle();
    replay.running.close_all_inputs();
    replay.time.release();
    let status = Status::of(&replay.running.wait());
    Ok(replay.recorder.record(graph.output_streams(), status))
}

fn not_started(error: &StartError) -> Status {
    Status::Error {
        code: "invalidArgument".to_owned(),
        node: None,
        message: error.to_string(),
    }
}

struct Replay {
    running: RunningGraph,
    time: Time,
    recorder: Arc<Recorder>,
}

impl Replay {
    /// Feeds the first packets to a graph that doesn't run yet; returns how many there were.
    fn head_start(&self, lines: &[(usize, FeedLine)], settings: &Settings) -> usize {
        if settings.clock == ReplayClock::Real || settings.head_start == 0 {
            return 0;
        }
        self.running.pause();
        let first = lines.iter().take(settings.head_start);
        let fed = first
            .take_while(|(_, line)| match line {
                FeedLine::Packet { stream, t, value } => {
                    let packet = Packet::from_payload(value.payload(), *t);
                    self.running.try_feed(stream, packet).is_ok()
                }
                _ => false,
            })
            .count();
        self.running.resume();
        self.running.wait_idle();
        fed
    }

    fn step(&self, line: usize, step: &FeedLine) -> Result<(), ReplayError> {
        match step {
            FeedLine::Packet { stream, t, value } => self.packet(line, stream, *t, value),
            FeedLine::Bound { stream, bound } => {
                let fed = self.running.feed_bound(stream, *bound);
                fed.or_else(|problem| self.refused(line, stream, problem, *bound))
            }
            FeedLine::Close { stream } => {
                let closed = self.running.close_input(stream);
                closed.or_else(|problem| self.refused(line, stream, problem, Timestamp::DONE))
            }
            // Given before the start.
            FeedLine::SidePacket { .. } => Ok(()),
            FeedLine::Advance(span) => self
                .time
                .advance(&self.running, *span)
                .ok_or(ReplayError::Time { line }),
            FeedLine::Idle => {
                self.running.wait_idle();
                Ok(())
            }
            FeedLine::Pause => {
                self.running.pause();
                Ok(())
            }
            FeedLine::Resume => {
                self.running.resume();
                Ok(())
            }
            FeedLine::Cancel => {
                self.running.cancel();
                Ok(())
            }
        }
    }

    fn packet(&self, line: usize, stream: &str, t: Timestamp, value: &Value) -> Result<(), ReplayError> {
        let packet = || Packet::from_payload(value.payload(), t);
        let fed = match &self.time {
            Time::Real(_) => self.running.feed(stream, packet()),
            Time::Virtual(_) => match self.running.try_feed(stream, packet()) {
                // What can run makes room.
                Err(FeedError::Full(_)) => {
                    self.running.wait_idle();
                    self.running.try_feed(stream, packet())
                }
                fed => fed,
            },
        };
        fed.or_else(|problem| self.refused(line, stream, problem, t))
    }

    /// Packets that come too late are drops like any other, and a run that is over tells so itself.
    fn refused(
        &self,
        line: usize,
        stream: &str,
        problem: FeedError,
        t: Timestamp,
    ) -> Result<(), ReplayError> {
        match problem {
            FeedError::Over => {
                // A run whose inputs are all closed may have ended before this or not: it is a drop either way.
                if self.running.wait().is_ok() && t < Timestamp::DONE {
                    self.recorder.note_drop(stream, DropReason::Closed, t);
                }
                Ok(())
            }
            FeedError::Late { .. } => {
                self.recorder.note_drop(stream, DropReason::Late, t);
                Ok(())
            }
            FeedError::Closed(_) => {
                self.recorder.note_drop(stream, DropReason::Closed, t);
                Ok(())
            }
            FeedError::Full(stream) => Err(ReplayError::Full { line, stream }),
            problem @ FeedError::Unknown(_) => Err(ReplayError::Feed { line, problem }),
        }
    }
}

enum Time {
    Virtual(Arc<VirtualClock>),
    Real(Arc<RealClock>),
}

impl Time {
    fn new(clock: ReplayClock) -> Self {
        match clock {
            ReplayClock::Virtual => {
                let clock = VirtualClock::with_work(0);
                clock.allow(0);
                Self::Virtual(Arc::new(clock))
            }
            ReplayClock::Real => Self::Real(Arc::new(RealClock::new())),
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Self::Virtual(clock) => clock.clone(),
            Self::Real(clock) => clock.clone(),
        }
    }

    /// Lets a span pass; none where time has no room for it.
    fn advance(&self, running: &RunningGraph, span: Duration) -> Option<()> {
        match self {
            Self::Real(_) => {
                let _ = running.wait_timeout(span);
            }
            Self::Virtual(clock) => {
                // What belongs to the present happens in it.
                running.wait_idle();
                let until = clock
                    .micros()
                    .checked_add(i64::try_from(span.as_micros()).ok()?)?;
                if until > i64::MAX / 1_000 {
                    return None;
                }
                clock.allow(until);
                running.wait_idle();
                clock.set(until);
            }
        }
        Some(())
    }

    fn release(&self) {
        if let Self::Virtual(clock) = self {
            clock.allow(i64::MAX);
        }
    }
}
