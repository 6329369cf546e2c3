//! What one hop costs: chains of PassThrough, and the slope between two lengths.

use std::sync::Arc;
use std::time::Instant;

use pipeline::Inputs;

use crate::Settings;
use crate::figure::{Figure, median};
use crate::graphs::{chain, node, on_threads, start};

/// Packets times stages of one chain.
const HOPS: u64 = 400_000;

#[derive(Clone, Copy, Default)]
struct How {
    threads: usize,
    /// A frame is let in when the last one has left.
    one_in_flight: bool,
    traced: bool,
}

pub fn measure(settings: Settings) -> Vec<Figure> {
    let on = |threads| How {
        threads,
        ..How::default()
    };
    let one_in_flight = How {
        one_in_flight: true,
        ..on(2)
    };
    let traced = How {
        traced: true,
        ..on(1)
    };
    let mut figures = Vec::new();
    for (name, how) in [
        ("1-thread", on(1)),
        ("2-threads", on(2)),
        ("one-in-flight", one_in_flight),
        ("traced", traced),
    ] {
        for (short, long) in [(10, 50), (50, 200)] {
            let slopes = (0..settings.runs).map(|_| slope(short, long, how));
            let name = format!("hop/{name}/{short}-{long}");
            figures.push(Figure::new(name, median(slopes), "ns"));
        }
    }
    figures
}

fn slope(short: usize, long: usize, how: How) -> f64 {
    let packets = HOPS / long as u64;
    let of = |stages| nanos(stages, how, packets);
    (of(long) - of(short)) / (packets * (long - short) as u64) as f64
}

/// Nanoseconds of a whole run.
fn nanos(stages: usize, how: How, count: u64) -> f64 {
    let door = if how.one_in_flight {
        ", inFlight: 1, queueSize: 1"
    } else {
        ""
    };
    let text = format!(
        "nodes:\n- {{calculator: Generator, options: {{fps: 0, count: {count}, width: 2, height: 2}}, outputs: \
         [in]}}\n- {{calculator: PassThrough, inputs: [in], outputs: [s0]{door}}}\n{}- {{name: end, calculator: \
         Discard, inputs: [s{}]}}\n",
        chain(stages - 1),
        stages - 1
    );
    let inputs = Inputs {
        trace: how.traced.then(Arc::default),
        ..on_threads(how.threads)
    };
    let begun = Instant::now();
    let running = start(&text, inputs);
    running.wait().unwrap();
    let nanos = begun.elapsed().as_nanos() as f64;
    assert_eq!(node(&running.stats(), "end").processed, count);
    nanos
}
