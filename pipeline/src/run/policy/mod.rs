//! Input policies: when the packets of a node's inputs make a set, and which set that is.
//!
//! Asking what is offered changes nothing that asking again would miss; only `take` moves on.

mod align;
mod fixed_size;
mod group;
mod immediate;
mod mux;
mod sync_set;

use crate::packet::Packet;
use crate::run::drops::Dropped;
use crate::run::inbox::Stream;
use crate::run::policy::align::Align;
use crate::run::policy::fixed_size::FixedSize;
use crate::run::policy::group::Group;
use crate::run::policy::immediate::Immediate;
use crate::run::policy::sync_set::SyncSets;
use crate::timestamp::Timestamp;
use crate::validate::plan::PlannedPolicy;

/// What the inputs offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Nothing yet; no set comes before this time.
    Wait(Timestamp),
    /// A set at this time.
    Set(Timestamp),
    /// No set will come any more.
    Done,
}

#[derive(Debug)]
pub(crate) enum Policy {
    Default(Group),
    Immediate(Immediate),
    SyncSet(SyncSets),
    FixedSize(FixedSize),
    EarlyClose(Group),
    Barrier,
    Align(Align),
    Mux,
}

impl Policy {
    pub(crate) fn new(planned: &PlannedPolicy, inputs: usize, process_bounds: bool) -> Self {
        let all = || Group::of((0..inputs).collect(), process_bounds);
        match planned {
            PlannedPolicy::Default { .. } => Self::Default(all()),
            PlannedPolicy::Immediate => Self::Immediate(Immediate::new(inputs, process_bounds)),
            PlannedPolicy::SyncSet(sets) => Self::SyncSet(SyncSets::new(sets, process_bounds)),
            PlannedPolicy::FixedSize(size) => Self::FixedSize(FixedSize::new(*size, all())),
            PlannedPolicy::EarlyClose => Self::EarlyClose(all()),
            PlannedPolicy::Barrier => Self::Barrier,
            PlannedPolicy::Align { base } => Self::Align(Align::new(*base, inputs)),
            PlannedPolicy::Mux => Self::Mux,
        }
    }

    /// What the inputs offer now. Some policies let go of packets before.
    pub(crate) fn offer(&mut self, streams: &mut [Stream], dropped: &mut Dropped) -> Offer {
        match self {
            Self::Default(group) => group.offer(streams),
            Self::Immediate(immediate) => immediate.offer(streams),
            Self::SyncSet(sets) => sets.offer(streams),
            Self::FixedSize(size) => size.offer(streams, dropped),
            Self::EarlyClose(group) => {
                if streams.iter().any(Stream::is_done) {
                    Offer::Done
                } else {
                    group.offer(streams)
                }
            }
            Self::Barrier => barrier(streams),
            Self::Align(align) => align.offer(streams),
            Self::Mux => mux::offer(streams),
        }
    }

    /// The input whose bound has to move before what waits can be processed; none where nothing waits for one.
    pub(crate) fn awaited(&self, streams: &[Stream]) -> Option<usize> {
        match self {
            Self::Default(group) | Self::EarlyClose(group) => group.awaited(streams),
            Self::Immediate(_) => None,
            Self::SyncSet(sets) => sets.awaited(streams),
            Self::FixedSize(size) => size.awaited(streams),
            Self::Barrier => (streams.iter().any(|stream| !stream.is_empty()))
                .then(|| streams.iter().position(Stream::is_empty))
                .flatten(),
            Self::Align(align) => align.awaited(streams),
            Self::Mux => mux::awaited(streams),
        }
    }

    /// Moves the set offered at `at` to `set`, which has one place per stream.
    pub(crate) fn take(
        &mut self,
        at: Timestamp,
        streams: &mut [Stream],
        set: &mut [Packet],
        dropped: &mut Dropped,
    ) {
        match self {
            Self::Default(group) | Self::EarlyClose(group) => group.take(at, streams, set),
            Self::Immediate(immediate) => immediate.take(at, streams, set),
            Self::SyncSet(sets) => sets.take(at, streams, set),
            Self::FixedSize(size) => size.take(at, streams, set, dropped),
            Self::Barrier => {
                for (stream, place) in streams.iter_mut().zip(set) {
                    *place = stream.pop().unwrap_or_else(|| stream.settled());
                }
            }
            Self::Align(align) => align.take(at, streams, set),
            Self::Mux => mux::take(at, streams, set, dropped),
        }
    }

    /// What was offered may have been dropped.
    pub(crate) fn forget_offer(&mut self) {
        if let Self::Immediate(immediate) = self {
            immediate.forget_offer();
        }
    }

    /// Serves the inputs in turn, where several offer something at once.
    pub(crate) fn fair(mut self) -> Self {
        if let Self::Immediate(immediate) = &mut self {
            immediate.fair();
        }
        self
    }
}

/// One packet of each, whatever their times.
fn barrier(streams: &[Stream]) -> Offer {
    let next = streams.iter().map(Stream::next).min().unwrap_or(Timestamp::DONE);
    if streams.iter().any(Stream::is_done) {
        Offer::Done
    } else if streams.iter().any(Stream::is_empty) {
        Offer::Wait(next)
    } else {
        Offer::Set(next)
    }
}
