//! `freshness: newest`: of the sets that are complete, the newest; among inputs from different sources in turn, so
//! that one camera can't push out the others.

use crate::packet::Packet;
use crate::run::drops::Dropped;
use crate::run::inbox::Stream;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(super) struct Newest {
    /// Per input the number of its group; inputs of one group come from the same sources.
    origins: Vec<usize>,
    /// Per group the number of its last set.
    served: Vec<u64>,
    sets: u64,
}

impl Newest {
    pub(super) fn new(origins: &[usize]) -> Self {
        let groups = origins.iter().max().map_or(0, |last| last + 1);
        Self {
            origins: origins.to_vec(),
            served: vec![0; groups],
            sets: 0,
        }
    }

    /// Lets go of complete packets that a newer complete one of the same input has overtaken.
    pub(super) fn keep_each(&self, streams: &mut [Stream], dropped: &mut Dropped) {
        let settled = settled(streams);
        let one_origin = self.served.len() <= 1;
        let newest_of_all = streams
            .iter()
            .filter_map(|stream| newest_before(stream, settled))
            .max();
        for stream in streams {
            let limit = if one_origin {
                newest_of_all
            } else {
                newest_before(stream, settled)
            };
            if let Some(limit) = limit {
                stream.erase_before(limit, DropReason::Late, dropped);
            }
        }
    }

    /// The time of the set to process next, of those that are complete.
    pub(super) fn choose(&self, streams: &[Stream]) -> Option<Timestamp> {
        let settled = settled(streams);
        let mut best: Option<(u64, std::cmp::Reverse<Timestamp>)> = None;
        for (stream, origin) in streams.iter().zip(&self.origins) {
            let Some(newest) = newest_before(stream, settled) else {
                continue;
            };
            let served = self.served.get(*origin).copied().unwrap_or(0);
            let candidate = (served, std::cmp::Reverse(newest));
            best = Some(best.map_or(candidate, |best| best.min(candidate)));
        }
        best.map(|(_, std::cmp::Reverse(at))| at)
    }

    pub(super) fn served(&mut self, set: &[Packet]) {
        self.sets += 1;
        for (packet, origin) in set.iter().zip(&self.origins) {
            if let (false, Some(served)) = (packet.is_empty(), self.served.get_mut(*origin)) {
                *served = self.sets;
            }
        }
    }
}

/// Sets before this time can't change any more.
fn settled(streams: &[Stream]) -> Timestamp {
    streams.iter().map(Stream::bound).min().unwrap_or(Timestamp::DONE)
}

fn newest_before(stream: &Stream, limit: Timestamp) -> Option<Timestamp> {
    stream.times().rev().find(|time| *time < limit)
}
