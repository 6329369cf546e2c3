//! Frames under way: how many a part of the graph works on at once, given or found from what its stages take.
//!
//! The slowest stage decides the rate. A frame that enters sooner than that stage can take it only grows old in its
//! queue; one that enters later leaves the stage idle. So a frame enters when it will be at the slowest stage a little
//! before that is free. Where the worker threads are the narrower place, or calls of the slowest stage overlap, frames
//! enter at the pace of that, and never more at once than fit on the way.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::run::cell::Cell;
use crate::run::engine::{Engine, Woken};
use crate::run::inbox::{Inbox, Phase};
use crate::spec::{Freshness, InFlight};
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::{Plan, PlannedNode};

/// How much sooner than the slowest stage is free a frame shall be there, as a share of what that stage takes: calls
/// don't all take the same time, and one that ends early must not find nothing to do.
const AHEAD: f64 = 0.1;
/// When nobody knows yet when the slowest stage will be free: how soon to look again, as a share of what it takes.
const LOOK_AGAIN: f64 = 0.05;
/// Else frames enter this much slower than the narrowest place works, so that a queue before it drains;
const PACE: f64 = 1.01;
/// and this much slower while there is one.
const DRAINING_PACE: f64 = 1.1;

/// One node's part in limiting: its own section, and whose sections it belongs to.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// The node and all that it feeds, each after those that feed it.
    section: Vec<Stage>,
    /// Nodes whose section this node is in.
    limited_by: Vec<usize>,
    workers: usize,
    state: Mutex<State>,
}

/// A node of a section.
#[derive(Debug)]
struct Stage {
    node: usize,
    /// Calls that may overlap.
    parallel: usize,
    /// Places in the section of the nodes it feeds, and whether each takes all frames.
    feeds: Vec<(usize, bool)>,
}

#[derive(Debug, Default)]
struct State {
    under_way: VecDeque<Timestamp>,
    entered: Option<i64>,
    was_limited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Now,
    /// Not before this time.
    At(i64),
    /// When one of those under way is done.
    WhenFewer,
}

/// What a section's stages allow.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pace {
    /// Nanoseconds between frames.
    interval: f64,
    /// Frames that fit on the way.
    frames: usize,
    /// The first stage itself is the slowest: it needs no other pace than its own.
    first_is_slowest: bool,
    /// The place of the stage that all wait for, unless threads are what is scarce or its calls overlap.
    slowest: Option<usize>,
    /// What a frame takes to get there.
    way_there: f64,
}

/// What is known of the slowest stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// When its call began, or now where it is about to begin one.
    began: Option<i64>,
    /// Frames under way that it has neither begun nor is about to.
    ahead: usize,
}

impl Limiter {
    pub(crate) fn all(plan: &Plan, workers: usize) -> Vec<Self> {
        let nodes = &plan.nodes;
        let section = |index: usize, node: &PlannedNode| -> Vec<Stage> {
            if node.in_flight.is_none() {
                return Vec::new();
            }
            let members: Vec<usize> = std::iter::once(index)
                .chain(node.descendants.iter().copied())
                .collect();
            members
                .iter()
                .map(|member| stage(plan, *member, &members))
                .collect()
        };
        let limits = |limiting: usize, node: usize| {
            limiting == node
                || nodes
                    .get(limiting)
                    .is_some_and(|limiter| limiter.descendants.contains(&node))
        };
        nodes
            .iter()
            .enumerate()
            .map(|(index, node)| Self {
                section: section(index, node),
                limited_by: (0..nodes.len())
                    .filter(|limiting| nodes.get(*limiting).is_some_and(|node| node.in_flight.is_some()))
                    .filter(|limiting| limits(*limiting, index))
                    .collect(),
                workers,
                state: Mutex::default(),
            })
            .collect()
    }

    /// Goes on with the frames that another limiter let in.
    pub(crate) fn take_over(&self, before: &Self) {
        *lock(&self.state) = std::mem::take(&mut *lock(&before.state));
    }

    fn pace(&self, usual_nanos: impl Fn(usize) -> i64) -> Pace {
        let costs: Vec<f64> = self
            .section
            .iter()
            .map(|stage| usual_nanos(stage.node) as f64)
            .collect();
        pace(&self.section, &costs, self.workers)
    }
}

fn stage(plan: &Plan, node: usize, members: &[usize]) -> Stage {
    let Some(planned) = plan.nodes.get(node) else {
        return Stage {
            node,
            parallel: 1,
            feeds: Vec::new(),
        };
    };
    let mut feeds: Vec<(usize, bool)> = planned
        .outlets
        .iter()
        .flat_map(|outlet| &outlet.readers)
        .filter_map(|(reader, _)| {
            let place = members.iter().position(|member| member == reader)?;
            let all = plan.nodes.get(*reader)?.freshness == Freshness::All;
            Some((place, all))
        })
        .collect();
    feeds.sort_unstable();
    feeds.dedup();
    Stage {
        node,
        parallel: planned.parallel.max(1),
        feeds,
    }
}

/// A stage that takes all frames holds back what feeds it. One that takes the newest drops at its own door, so what
/// feeds it goes at the pace of the quickest of those.
fn pace(section: &[Stage], costs: &[f64], workers: usize) -> Pace {
    let mut intervals = vec![0.0_f64; section.len()];
    let mut longest = vec![0.0_f64; section.len()];
    for (place, stage) in section.iter().enumerate().rev() {
        let cost = costs.get(place).copied().unwrap_or(0.0);
        let at = |list: &[f64], place: usize| list.get(place).copied().unwrap_or(0.0);
        let later = stage.feeds.iter().filter(|(fed, _)| *fed > place);
        let demand = |all: bool| later.clone().filter(move |(_, takes_all)| *takes_all == all);
        let slowest = demand(true).map(|(fed, _)| at(&intervals, *fed)).reduce(f64::max);
        let quickest = demand(false)
            .map(|(fed, _)| at(&intervals, *fed))
            .reduce(f64::min);
        let wanted = slowest.or(quickest).unwrap_or(0.0);
        let rest = later
            .clone()
            .map(|(fed, _)| at(&longest, *fed))
            .fold(0.0, f64::max);
        if let (Some(interval), Some(way)) = (intervals.get_mut(place), longest.get_mut(place)) {
            *interval = (cost / stage.parallel as f64).max(wanted);
            *way = cost + rest;
        }
    }
    let slowest = intervals.first().copied().unwrap_or(0.0);
    // A stage that drops does its work for a share of the frames only.
    let work: f64 = costs
        .iter()
        .zip(&intervals)
        .map(|(cost, interval)| cost * (slowest / interval.max(1.0)).min(1.0))
        .sum();
    let interval = slowest.max(work / workers as f64);
    let way = longest.first().copied().unwrap_or(0.0);
    let first = section.first().map_or(1, |stage| stage.parallel);
    let own = costs.first().copied().unwrap_or(0.0) / first as f64;
    let slowest = slowest_stage(section, costs, &intervals, interval);
    Pace {
        interval,
        frames: (way / interval.max(1.0) - 0.05).ceil().max(1.0) as usize,
        first_is_slowest: interval <= own * 1.001,
        slowest,
        way_there: slowest.map_or(0.0, |slowest| way_to(section, costs, slowest)),
    }
}

/// The stage whose own calls take the interval, found by following those that wait for it.
fn slowest_stage(section: &[Stage], costs: &[f64], intervals: &[f64], interval: f64) -> Option<usize> {
    let takes_it =
        |list: &[f64], place: usize| list.get(place).is_some_and(|nanos| *nanos >= interval * 0.999);
    let mut place = 0;
    loop {
        let stage = section.get(place)?;
        if takes_it(costs, place) {
            return (stage.parallel == 1).then_some(place);
        }
        let mut later = stage.feeds.iter().map(|(fed, _)| *fed).filter(|fed| *fed > place);
        place = later.find(|fed| takes_it(intervals, *fed))?;
    }
}

/// The longest way from the first stage to the beginning of another.
fn way_to(section: &[Stage], costs: &[f64], to: usize) -> f64 {
    let mut ways = vec![0.0_f64; section.len()];
    for (place, stage) in section.iter().enumerate().take(to) {
        let there = ways.get(place).copied().unwrap_or(0.0) + costs.get(place).copied().unwrap_or(0.0);
        for (fed, _) in stage.feeds.iter().filter(|(fed, _)| *fed > place) {
            if let Some(way) = ways.get_mut(*fed) {
                *way = way.max(there);
            }
        }
    }
    ways.get(to).copied().unwrap_or(0.0)
}

/// When the next frame has to enter, to be at the slowest stage a little before its turn.
fn turn(pace: &Pace, seen: Seen, now: i64) -> Admission {
    let Seen { began, ahead } = seen;
    let ends = began.map(|began| began as f64 + pace.interval);
    let free = ends.map_or(now as f64, |ends| ends.max(now as f64));
    let due = free + ahead as f64 * pace.interval - pace.way_there - AHEAD * pace.interval;
    let (due, certain) = (due as i64, free > now as f64);
    if due <= now {
        Admission::Now
    } else if certain {
        Admission::At(due)
    } else {
        Admission::At(due.min(now + (LOOK_AGAIN * pace.interval) as i64 + 1))
    }
}

impl Engine {
    /// Whether a node may begin with the set at `at`. The caller holds the node's own inbox.
    /// `running` is the first set that it works on already.
    pub(crate) fn admission(
        &self,
        index: usize,
        rule: InFlight,
        at: Timestamp,
        now: i64,
        running: Option<Timestamp>,
    ) -> Admission {
        let Some(limiter) = self.limiters.get(index) else {
            return Admission::Now;
        };
        // A section of one node takes its next frame when it is done with the last.
        if limiter.section.len() == 1 {
            return Admission::Now;
        }
        let mut state = lock(&limiter.state);
        self.forget_done(index, running, limiter, &mut state);
        let under_way = state.under_way.len();
        let answer = match rule {
            InFlight::AtMost(limit) if under_way >= limit as usize => Admission::WhenFewer,
            InFlight::AtMost(_) => Admission::Now,
            InFlight::Auto => {
                let pace = limiter.pace(|node| self.cells.get(node).map_or(0, Cell::usual_nanos));
                if pace.first_is_slowest {
                    Admission::Now
                } else if let Some(slowest) = pace.slowest {
                    let seen = self.see(limiter, slowest, &state.under_way, now);
                    turn(&pace, seen, now)
                } else if under_way >= pace.frames {
                    state.was_limited = true;
                    Admission::WhenFewer
                } else {
                    let slower = if state.was_limited { DRAINING_PACE } else { PACE };
                    let next = state
                        .entered
                        .map(|entered| entered + (pace.interval * slower) as i64);
                    next.filter(|next| *next > now)
                        .map_or(Admission::Now, Admission::At)
                }
            }
        };
        if answer == Admission::Now {
            state.entered = Some(now);
            state.was_limited = false;
            state.under_way.push_back(at);
        }
        answer
    }

    fn see(&self, limiter: &Limiter, slowest: usize, under_way: &VecDeque<Timestamp>, now: i64) -> Seen {
        let cell = limiter
            .section
            .get(slowest)
            .and_then(|stage| self.cells.get(stage.node));
        let Some(cell) = cell else {
            return Seen {
                began: None,
                ahead: 0,
            };
        };
        let inbox = lock(&cell.inbox);
        let to_come = under_way.iter().filter(|at| inbox.is_to_come(**at)).count();
        if inbox.is_at_work() {
            let (began, ahead) = (Some(inbox.since), to_come);
            return Seen { began, ahead };
        }
        // It takes the frame that waits as soon as a worker has time.
        let waits = inbox.oldest().is_some();
        Seen {
            began: waits.then_some(now),
            ahead: to_come.saturating_sub(usize::from(waits)),
        }
    }

    /// A node has finished with a set: whoever waits for fewer frames under way looks again.
    pub(crate) fn fewer_under_way(&self, index: usize, woken: &mut Woken) {
        let Some(limiter) = self.limiters.get(index) else {
            return;
        };
        for limiting in &limiter.limited_by {
            let Some(cell) = self.cells.get(*limiting) else {
                continue;
            };
            let mut inbox = lock(&cell.inbox);
            if inbox.phase == Phase::Limited {
                inbox.phase = Phase::Queued;
                woken.push(*limiting);
            }
        }
    }

    /// Frames older than everything that the section holds are done.
    fn forget_done(&self, own: usize, running: Option<Timestamp>, limiter: &Limiter, state: &mut State) {
        let oldest = |node: usize| {
            let cell = self.cells.get(node)?;
            let inbox: &Inbox = &lock(&cell.inbox);
            inbox.running.into_iter().chain(inbox.oldest()).min()
        };
        let others = limiter.section.iter().filter(|stage| stage.node != own);
        let oldest = others.filter_map(|stage| oldest(stage.node)).chain(running).min();
        state
            .under_way
            .retain(|at| oldest.is_some_and(|oldest| *at >= oldest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: usize, all: bool) -> Vec<Stage> {
        let feeds = |place: usize| {
            if place + 1 < count {
                vec![(place + 1, all)]
            } else {
                Vec::new()
            }
        };
        (0..count)
            .map(|place| Stage {
                node: place,
                parallel: 1,
                feeds: feeds(place),
            })
            .collect()
    }

    fn of(costs: &[f64], all: bool, workers: usize) -> (f64, usize, bool) {
        let pace = pace(&chain(costs.len(), all), costs, workers);
        (pace.interval, pace.frames, pace.first_is_slowest)
    }

    #[test]
    fn the_slowest_stage_or_the_threads_decide() {
        for all in [false, true] {
            assert_eq!(of(&[10.0, 50.0], all, 2), (50.0, 2, false));
            assert_eq!(of(&[50.0, 10.0], all, 2), (50.0, 2, true));
            assert_eq!(of(&[20.0, 50.0, 30.0], all, 2), (50.0, 2, false));
            assert_eq!(of(&[20.0, 20.0, 20.0, 20.0], all, 2), (40.0, 2, false));
            assert_eq!(of(&[110.0], all, 2), (110.0, 1, true));
        }
    }

    #[test]
    fn calls_that_overlap_quicken_a_stage() {
        let mut section = chain(2, false);
        section[1].parallel = 2;
        let pace = pace(&section, &[10.0, 100.0], 4);
        assert_eq!(
            (pace.interval, pace.frames, pace.first_is_slowest),
            (50.0, 3, false)
        );
    }

    #[test]
    fn a_quick_branch_is_not_held_back_by_one_that_drops() {
        let section = vec![
            Stage {
                node: 0,
                parallel: 1,
                feeds: vec![(1, false), (2, false)],
            },
            Stage {
                node: 1,
                parallel: 1,
                feeds: Vec::new(),
            },
            Stage {
                node: 2,
                parallel: 1,
                feeds: Vec::new(),
            },
        ];
        let pace = pace(&section, &[2.0, 5.0, 110.0], 4);
        assert_eq!((pace.interval, pace.first_is_slowest), (5.0, false));
    }
}
