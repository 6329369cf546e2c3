//! Packets that wait, oldest first. In a graph that keeps up there is at most one, which is held in place: taking it
//! reads no other memory.

use std::collections::VecDeque;

use crate::packet::Packet;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    head: Option<Packet>,
    /// Those after the head; empty where there is no head.
    rest: VecDeque<Packet>,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        usize::from(self.head.is_some()) + self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    pub(super) fn front(&self) -> Option<&Packet> {
        self.head.as_ref()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Packet> {
        self.head.iter().chain(&self.rest)
    }

    /// Of those from the newest on, the one at this place; the newest is the first.
    pub(super) fn nth_newest(&self, place: usize) -> Option<&Packet> {
        self.iter().rev().nth(place)
    }

    #[inline]
    pub(super) fn push_back(&mut self, packet: Packet) {
        if self.head.is_none() {
            self.head = Some(packet);
        } else {
            self.rest.push_back(packet);
        }
    }

    pub(super) fn push_front(&mut self, packet: Packet) {
        if let Some(second) = self.head.replace(packet) {
            self.rest.push_front(second);
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<Packet> {
        let first = self.head.take();
        if !self.rest.is_empty() {
            self.head = self.rest.pop_front();
        }
        first
    }

    /// Takes the oldest out until `count` are left.
    pub(super) fn shrink_to(&mut self, count: usize) -> impl Iterator<Item = Packet> {
        let surplus = self.len().saturating_sub(count);
        std::iter::from_fn(|| self.pop_front()).take(surplus)
    }

    /// Takes the newest out until `count` are left; they come oldest first.
    pub(super) fn split_off(&mut self, count: usize) -> impl Iterator<Item = Packet> {
        let head = if count == 0 { self.head.take() } else { None };
        let kept = count.saturating_sub(1).min(self.rest.len());
        head.into_iter().chain(self.rest.drain(kept..))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::Waiting;
    use crate::packet::Packet;
    use crate::timestamp::Timestamp;

    fn packet(micros: i64) -> Packet {
        Packet::new(micros, Timestamp::from_micros(micros).unwrap())
    }

    fn times<'a>(packets: impl Iterator<Item = &'a Packet>) -> Vec<i64> {
        packets.map(|packet| *packet.get::<i64>().unwrap()).collect()
    }

    proptest! {
        /// Whatever is done to it, it holds what a plain queue would.
        #[test]
        fn is_a_queue(steps in proptest::collection::vec((0..5_u8, 0..6_usize), 0..60)) {
            let (mut waiting, mut plain) = (Waiting::default(), VecDeque::new());
            for (time, (step, count)) in steps.into_iter().enumerate() {
                let time = time as i64;
                match step {
                    0 | 1 => {
                        waiting.push_back(packet(time));
                        plain.push_back(packet(time));
                    }
                    2 => {
                        waiting.push_front(packet(time));
                        plain.push_front(packet(time));
                    }
                    3 => {
                        let surplus = plain.len().saturating_sub(count);
                        let gone: Vec<Packet> = waiting.shrink_to(count).collect();
                        prop_assert_eq!(times(gone.iter()), times(plain.drain(..surplus).collect::<Vec<_>>().iter()));
                    }
                    _ => {
                        let kept = count.min(plain.len());
                        let gone: Vec<Packet> = waiting.split_off(count).collect();
                        prop_assert_eq!(times(gone.iter()), times(plain.drain(kept..).collect::<Vec<_>>().iter()));
                    }
                }
                prop_assert_eq!(times(waiting.iter()), times(plain.iter()));
                prop_assert_eq!(waiting.len(), plain.len());
                prop_assert_eq!(waiting.is_empty(), plain.is_empty());
                prop_assert_eq!(times(waiting.front().into_iter()), times(plain.front().into_iter()));
                prop_assert_eq!(times(waiting.nth_newest(1).into_iter()), times(plain.iter().rev().nth(1).into_iter()));
            }
        }
    }
}
