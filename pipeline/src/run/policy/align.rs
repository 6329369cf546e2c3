//! Inputs whose clocks differ: each is shifted so that its first packet meets the base's time, then kept in step.
//! Until every input has brought a packet, the base passes alone.

use crate::packet::Packet;
use crate::run::inbox::Stream;
use crate::run::policy::Offer;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(crate) struct Align {
    base: usize,
    inputs: usize,
    /// Per input, what is added to its times; none until all are known.
    shifts: Option<Vec<i64>>,
}

impl Align {
    pub(super) fn new(base: usize, inputs: usize) -> Self {
        Self {
            base,
            inputs,
            shifts: None,
        }
    }

    pub(super) fn offer(&mut self, streams: &[Stream]) -> Offer {
        if self.shifts.is_none() {
            self.shifts = self.find_shifts(streams);
        }
        let Some(shifts) = &self.shifts else {
            let Some(base) = streams.get(self.base) else {
                return Offer::Done;
            };
            return match base.head() {
                _ if streams.iter().all(Stream::is_done) => Offer::Done,
                Some(packet) => Offer::Set(packet.timestamp()),
                None => Offer::Wait(base.bound()),
            };
        };
        let mut head = Timestamp::DONE;
        let mut empty_bound = Timestamp::DONE;
        for (stream, shift) in streams.iter().zip(shifts) {
            let next = shifted(stream.next(), *shift);
            if stream.is_empty() {
                empty_bound = empty_bound.min(next);
            } else {
                head = head.min(next);
            }
        }
        let next = head.min(empty_bound);
        if next >= Timestamp::ONE_OVER_POST_STREAM {
            Offer::Done
        } else if head < empty_bound {
            Offer::Set(head)
        } else {
            Offer::Wait(next)
        }
    }

    /// The base until all have brought a packet; then the empty input furthest behind on the base's clock.
    pub(super) fn awaited(&self, streams: &[Stream]) -> Option<usize> {
        streams.iter().find(|stream| !stream.is_empty())?;
        let empty = streams.iter().enumerate().filter(|(_, stream)| stream.is_empty());
        let Some(shifts) = &self.shifts else {
            return empty.map(|(input, _)| input).find(|input| *input == self.base);
        };
        let shift = |input: usize| shifts.get(input).copied().unwrap_or(0);
        empty
            .min_by_key(|(input, stream)| shifted(stream.bound(), shift(*input)))
            .map(|(input, _)| input)
    }

    pub(super) fn take(&mut self, at: Timestamp, streams: &mut [Stream], set: &mut [Packet]) {
        for (input, (stream, place)) in streams.iter_mut().zip(set).enumerate() {
            *place = match &self.shifts {
                None if input == self.base => stream.pop_at(at),
                None => Packet::empty(Timestamp::UNSTARTED),
                Some(shifts) => {
                    let shift = shifts.get(input).copied().unwrap_or(0);
                    match stream.head() {
                        Some(packet) if shifted(packet.timestamp(), shift) == at => stream
                            .pop()
                            .map_or_else(|| stream.settled(), |packet| packet.at(at)),
                        _ => Packet::empty(shifted(stream.next(), shift).previous_allowed_in_stream()),
                    }
                }
            };
        }
    }

    fn find_shifts(&self, streams: &[Stream]) -> Option<Vec<i64>> {
        let base = streams.get(self.base)?.head()?.timestamp();
        let shifts: Vec<i64> = streams
            .iter()
            .filter_map(|stream| base.since(stream.head()?.timestamp()))
            .collect();
        (shifts.len() == self.inputs).then_some(shifts)
    }
}

fn shifted(time: Timestamp, shift: i64) -> Timestamp {
    time.shifted(shift).unwrap_or(time)
}
