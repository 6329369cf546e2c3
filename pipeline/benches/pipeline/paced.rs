//! A frame through ten empty stages at 30 frames a second, from when it is stamped to when the last stage has sent it.

use std::sync::{Arc, Mutex};

use pipeline::Inputs;
use pipeline::clock::{Clock, RealClock};
use pipeline::run::{Observed, Observer};

use crate::Settings;
use crate::figure::{Figure, quantile, sorted};
use crate::graphs::{chain, start};

const STAGES: usize = 10;
const FRAMES: usize = 600;
const LONG: usize = 6_000;

/// The probe at the end of the chain.
struct Ages {
    clock: Arc<RealClock>,
    micros: Mutex<Vec<f64>>,
}

impl Observer for Ages {
    fn seen(&self, _stream: &str, what: Observed<'_>) {
        if let Observed::Packet(packet) = what {
            let age = self.clock.nanos() as f64 / 1e3 - packet.timestamp().micros() as f64;
            self.micros.lock().unwrap().push(age);
        }
    }
}

pub fn measure(settings: Settings) -> Vec<Figure> {
    let (section, frames) = if settings.long {
        ("paced-long", LONG)
    } else {
        ("paced", FRAMES)
    };
    let text = format!(
        "outputStreams: [s{STAGES}]\nnodes:\n- {{calculator: Generator, options: {{fps: 30, count: {frames}, width: \
         640, height: 480}}, outputs: [s0]}}\n{}",
        chain(STAGES)
    );
    let clock = Arc::new(RealClock::new());
    let ages = Arc::new(Ages {
        clock: Arc::clone(&clock),
        micros: Mutex::new(Vec::with_capacity(frames)),
    });
    let running = start(
        &text,
        Inputs {
            clock,
            observer: Some(ages.clone()),
            ..Inputs::default()
        },
    );
    running.wait().unwrap();
    let micros = sorted(ages.micros.lock().unwrap().iter().copied());
    assert_eq!(micros.len(), frames);
    [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
        .into_iter()
        // A thousandth of some hundred frames is the largest.
        .filter(|(name, _)| settings.long || *name != "p99.9")
        .map(|(name, share)| Figure::new(format!("{section}/{name}"), quantile(&micros, share), "µs"))
        .collect()
}
