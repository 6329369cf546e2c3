//! In step, on the newest sets only: an input that has grown to `trigger` packets is cut down to `target`, and the
//! others with it, to the same time.

use crate::packet::Packet;
use crate::run::drops::Dropped;
use crate::run::inbox::Stream;
use crate::run::policy::Offer;
use crate::run::policy::group::Group;
use crate::spec::policy;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(crate) struct FixedSize {
    trigger: usize,
    target: usize,
    fixed_min_size: bool,
    group: Group,
    /// Nothing before this is kept: late packets go too.
    kept: Timestamp,
    /// A set that was offered is not cut away.
    promised: Option<Timestamp>,
}

impl FixedSize {
    pub(super) fn new(settings: policy::FixedSize, group: Group) -> Self {
        Self {
            trigger: settings.trigger_queue_size as usize,
            target: settings.target_queue_size as usize,
            fixed_min_size: settings.fixed_min_size,
            group,
            kept: Timestamp::UNSET,
            promised: None,
        }
    }

    pub(super) fn offer(&mut self, streams: &mut [Stream], dropped: &mut Dropped) -> Offer {
        if let Some(at) = self.promised {
            return Offer::Set(at);
        }
        self.cut(streams, false, dropped);
        let mut offer = self.group.offer(streams);
        while let Offer::Set(at) = offer {
            if at >= self.kept {
                self.promised = Some(at);
                break;
            }
            // A packet came below the cut. Cutting it away must leave the others a time they can meet at.
            if !self.cut(streams, true, dropped) {
                self.promised = Some(at);
                break;
            }
            offer = self.group.offer(streams);
        }
        offer
    }

    pub(super) fn awaited(&self, streams: &[Stream]) -> Option<usize> {
        self.group.awaited(streams)
    }

    pub(super) fn take(
        &mut self,
        at: Timestamp,
        streams: &mut [Stream],
        set: &mut [Packet],
        dropped: &mut Dropped,
    ) {
        self.group.take(at, streams, set);
        self.promised = None;
        self.cut(streams, false, dropped);
    }

    /// True if something was let go of.
    fn cut(&mut self, streams: &mut [Stream], leave_one: bool, dropped: &mut Dropped) -> bool {
        let limit = if self.fixed_min_size {
            self.cut_of_all(streams)
        } else {
            Some(self.cut_of_any(streams, leave_one))
        };
        let Some(limit) = limit else { return false };
        let mut erased = false;
        for stream in streams {
            erased |= stream.erase_before(limit, DropReason::Late, dropped);
        }
        erased
    }

    fn cut_of_any(&mut self, streams: &[Stream], leave_one: bool) -> Timestamp {
        for stream in streams {
            let keep = if stream.len() >= self.trigger {
                self.target
            } else {
                self.trigger - 1
            };
            if let (true, Some(first_surplus)) = (stream.len() > keep, stream.nth_newest(keep + 1)) {
                self.kept = self.kept.max(first_surplus.next_allowed_in_stream());
            }
        }
        if leave_one {
            let bound = streams.iter().map(Stream::bound).min().unwrap_or(Timestamp::DONE);
            self.kept = self.kept.min(bound.previous_allowed_in_stream());
        }
        self.kept
    }

    fn cut_of_all(&self, streams: &[Stream]) -> Option<Timestamp> {
        let grown = streams.iter().all(|stream| stream.len() >= self.trigger);
        let oldest_kept = streams
            .iter()
            .filter_map(|stream| stream.nth_newest(self.target))
            .min();
        oldest_kept.filter(|_| grown)
    }
}
