//! The planner: facts, policy and now in, a plan with reasons out.
//!
//! Owns every decision of a rollout. A plan holds only what changes: planning again on facts that hold the plan
//! changes nothing. How a document is written and sent is the caller's.

mod changes;
mod draft;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stories;
mod waves;

use jiff::Timestamp;

use crate::facts::{Facts, Rollout, RolloutState, Row, Wave};
use crate::gates::Judgement;
use crate::policy::RolloutPolicy;
use draft::Draft;

/// What shall be so, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub rollout: Rollout,
    pub waves: Vec<Wave>,
    /// Rows that are new or different, by device.
    pub rows: Vec<(String, Row)>,
    /// Documents to write, by device; each device at most once.
    pub commands: Vec<Command>,
    pub verdict: Verdict,
    /// Every gate's view of the wave that decides now.
    pub judgements: Vec<Judgement>,
    /// What is new, in the order it came about.
    pub happenings: Vec<Happening>,
    /// When to plan again even if nothing is observed.
    pub wake_at: Option<Timestamp>,
}

/// A document for one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub device: String,
    pub purpose: Purpose,
    pub attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Run the rollout's revision.
    Offer,
    /// Run your own previous revision again, for the rollout failed.
    Rollback,
    /// Run your own previous revision again, for you took too long; the rollout goes on.
    Withdraw,
}

/// How the rollout stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is no device to roll out to.
    NoDevices,
    /// Held by the user.
    Paused,
    Progressing,
    /// Nothing is open and nothing can be said.
    Inconclusive,
    /// Nothing got further for too long. Goes on by itself if something does.
    Stalled,
    Complete,
    RollingBack,
    RolledBack,
    Halted,
}

/// One thing worth an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    WaveStarted {
        wave: usize,
        of: usize,
        devices: usize,
    },
    WavePassed {
        wave: usize,
        of: usize,
        healthy: usize,
        failed: usize,
        unreachable: usize,
    },
    GateFailed {
        wave: usize,
        of: usize,
        message: String,
    },
    TimedOut {
        device: String,
        message: String,
    },
    RollingBack {
        devices: usize,
    },
    RolledBack {
        back: usize,
        failed: usize,
        waiting: usize,
    },
    Complete {
        healthy: usize,
        failed: usize,
        unreachable: usize,
    },
    Halted,
}

impl Plan {
    pub fn changes_nothing(&self, facts: &Facts) -> bool {
        self.rows.is_empty()
            && self.commands.is_empty()
            && self.waves == facts.waves
            && self.rollout == facts.rollout
    }
}

/// Decides what follows from the facts.
pub fn plan(facts: &Facts, policy: &RolloutPolicy, now: Timestamp) -> Plan {
    let mut draft = Draft::new(facts, policy, now);
    draft.hold();
    draft.join();
    draft.leave();
    draft.expire();
    let judgements = if draft.rollout.state == RolloutState::Running {
        draft.advance()
    } else {
        Vec::new()
    };
    draft.roll_back();
    draft.offer();
    draft.finish(judgements)
}
