//! The last input, SELECT, chooses by number which of the others gives the packet of its time.

use crate::packet::Packet;
use crate::run::drops::Dropped;
use crate::run::inbox::Stream;
use crate::run::policy::Offer;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

pub(super) fn offer(streams: &[Stream]) -> Offer {
    let Some((select, data)) = streams.split_last() else {
        return Offer::Done;
    };
    let Some(packet) = select.head() else {
        return if select.is_done() {
            Offer::Done
        } else {
            Offer::Wait(select.bound())
        };
    };
    let at = packet.timestamp();
    // What was chosen may still hold packets of times at which others were.
    let settled = chosen(packet)
        .and_then(|chosen| data.get(chosen))
        .is_none_or(|stream| stream.times().any(|time| time >= at) || stream.bound() > at);
    if settled { Offer::Set(at) } else { Offer::Wait(at) }
}

/// SELECT while data waits for it, then the input that it chose.
pub(super) fn awaited(streams: &[Stream]) -> Option<usize> {
    let (select, data) = streams.split_last()?;
    match select.head() {
        None => (data.iter().any(|stream| !stream.is_empty())).then_some(data.len()),
        Some(packet) => chosen(packet).filter(|chosen| *chosen < data.len()),
    }
}

/// What wasn't chosen is let go of.
pub(super) fn take(at: Timestamp, streams: &mut [Stream], set: &mut [Packet], dropped: &mut Dropped) {
    let Some((select, data)) = streams.split_last_mut() else {
        return;
    };
    let packet = select.pop_at(at);
    let chosen = chosen(&packet);
    for (index, (stream, place)) in data.iter_mut().zip(set.iter_mut()).enumerate() {
        if Some(index) == chosen {
            stream.erase_before(at, DropReason::Late, dropped);
            *place = stream.pop_at(at);
        } else {
            stream.erase_before(at.next_allowed_in_stream(), DropReason::Late, dropped);
            *place = stream.settled();
        }
    }
    if let Some(place) = set.last_mut() {
        *place = packet;
    }
}

/// None for what isn't the number of an input: the node says so when it is called.
fn chosen(packet: &Packet) -> Option<usize> {
    usize::try_from(*packet.get::<i64>().ok()?).ok()
}
