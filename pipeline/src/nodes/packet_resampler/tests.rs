use proptest::prelude::*;

use super::grid::Grid;
use super::jitter::{Jitter, Kind};
use crate::nodes::testing::{play, problem};
use crate::packet::Packet;
use crate::timestamp::Timestamp;

fn graph(options: &str) -> String {
    format!(
        "inputStreams: [a]\noutputStreams: [out]\nnodes:\n- {{calculator: PacketResampler, inputs: [a], outputs: [out], \
         options: {{{options}}}}}\n"
    )
}

fn feed(times: &[i64]) -> String {
    let entries: Vec<String> = times.iter().map(|time| format!("a@{time}={time}")).collect();
    entries.join(" ")
}

#[test]
fn keeps_a_rate_that_fits_and_thins_a_higher_one() {
    let at_rate = play(&graph("frameRate: 100"), &feed(&[0, 10_000, 20_000]));
    assert_eq!(at_rate, "out: 0=0 10000=10000 20000=20000 |\n");
    let higher = play(
        &graph("frameRate: 100"),
        &feed(&[0, 4_000, 9_000, 12_000, 19_000, 21_000]),
    );
    assert_eq!(higher, "out: 0=0 10000=9000 20000=21000 |\n");
}

#[test]
fn fills_gaps_with_the_newest_before() {
    let seen = play(&graph("frameRate: 100"), &feed(&[0, 35_000]));
    assert_eq!(seen, "out: 0=0 10000=0 20000=0 30000=0 40000=35000 |\n");
}

#[test]
fn the_last_packet_may_be_flushed_or_not() {
    let times = feed(&[0, 10_000, 17_000]);
    assert_eq!(
        play(&graph("frameRate: 100"), &times),
        "out: 0=0 10000=10000 20000=17000 |\n"
    );
    let kept = graph("frameRate: 100, flushLastPacket: false");
    assert_eq!(play(&kept, &times), "out: 0=0 10000=10000 |\n");
}

#[test]
fn ticks_lie_on_a_base_and_within_limits() {
    let based = play(
        &graph("frameRate: 100, baseTimestamp: 2000"),
        &feed(&[900, 11_000, 21_000]),
    );
    assert_eq!(based, "out: 2000=900 12000=11000 22000=21000 |\n");
    let limited = graph("frameRate: 100, startTime: 5000, endTime: 20000");
    assert_eq!(
        play(&limited, &feed(&[0, 10_000, 20_000])),
        "out: 10000=10000 |\n"
    );
    let rounded = graph("frameRate: 100, startTime: 5000, endTime: 20000, roundLimits: true");
    assert_eq!(
        play(&rounded, &feed(&[0, 10_000, 20_000])),
        "out: 0=0 10000=10000 20000=20000 |\n"
    );
}

#[test]
fn chance_needs_a_seed_and_repeats_itself() {
    let shaken = graph("frameRate: 100, jitter: 0.5");
    assert!(problem(&shaken).contains("SEED"));
    let seeded = shaken.replace("outputs: [out]", "sidePackets: {SEED: seed}, outputs: [out]");
    let times = feed(&(0..20).map(|n| n * 5_000).collect::<Vec<_>>());
    let [first, again, other] =
        ["one", "one", "two"].map(|seed| play(&seeded, &format!("side:seed={seed} {times}")));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn a_rate_is_needed() {
    assert!(problem(&graph("")).contains("frameRate: -1 isn't possible"));
}

fn packets(gaps: &[i64]) -> Vec<Packet> {
    let times = gaps.iter().scan(0, |time, gap| {
        *time += gap;
        Some(*time)
    });
    times
        .map(|time| Packet::new(time, Timestamp::clamped(time)))
        .collect()
}

fn times(sent: &[Packet]) -> Vec<i64> {
    sent.iter().map(|packet| packet.timestamp().micros()).collect()
}

proptest! {
    #[test]
    fn a_grid_has_no_holes(gaps in prop::collection::vec(1_i64..50_000, 1..60), rate in 5.0_f64..500.0) {
        let mut grid = Grid::new(rate, None);
        let (mut sent, mut last) = (Vec::new(), None);
        let packets = packets(&gaps);
        for packet in &packets {
            let bound = grid.take(packet, last, &mut sent);
            prop_assert!(bound.is_none_or(|bound| times(&sent).iter().all(|time| *time < bound.micros())));
            last = Some(packet);
        }
        sent.extend(grid.end(last));
        let first = packets[0].timestamp().micros();
        let wanted: Vec<i64> = (0..sent.len()).map(|tick| first + (tick as f64 / rate * 1e6).round() as i64).collect();
        prop_assert_eq!(times(&sent), wanted);
    }

    #[test]
    fn jitter_goes_forward(
        gaps in prop::collection::vec(1_i64..50_000, 1..60),
        rate in 5.0_f64..500.0,
        jitter in 0.01_f64..1.0,
        reflect: bool,
        from_zero: bool,
    ) {
        let kind = Kind { jitter, reflect: reflect || from_zero, from_zero };
        let mut jitter = Jitter::new(kind, rate, "seed");
        let (mut sent, mut last, mut bound) = (Vec::new(), None, Timestamp::MIN);
        let packets = packets(&gaps);
        for packet in &packets {
            bound = bound.max(jitter.take(packet, last, &mut sent).unwrap_or(bound));
            last = Some(packet);
        }
        let found = times(&sent);
        prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", found);
        prop_assert!(jitter.end().is_none_or(|left| left.timestamp() >= bound));
    }

    #[test]
    fn periods_from_zero_are_the_same_wherever_a_stream_begins(skipped in 1_usize..3_000) {
        let kind = Kind { jitter: 0.7, reflect: true, from_zero: true };
        let packets = packets(&vec![1_000; 4_000]);
        let ticks = |packets: &[Packet]| {
            let (mut jitter, mut sent) = (Jitter::new(kind, 400.0, "seed"), Vec::new());
            let mut last = None;
            for packet in packets {
                jitter.take(packet, last, &mut sent);
                last = Some(packet);
            }
            times(&sent)
        };
        let (whole, part) = (ticks(&packets), ticks(&packets[skipped..]));
        prop_assert!(whole.ends_with(&part[1.min(part.len())..]));
    }
}
