//! A camera in front of a stage that takes longer than a frame lasts.

use pipeline::Inputs;

use crate::Settings;
use crate::figure::Figure;
use crate::graphs::{camera, node, run_for};

const SECONDS: u64 = 10;

pub fn measure(_settings: Settings) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (section, declared) in [("overload", ""), ("overload/max-age-20", ", maxAge: 20ms")] {
        let text = format!(
            "nodes:\n{}- {{name: slow, calculator: Busy, options: {{forMs: 110}}, inputs: [a], outputs: [b], \
             freshness: newest{declared}}}\n- {{calculator: Discard, inputs: [b]}}\n",
            camera("camera", "a")
        );
        let stats = run_for(&text, SECONDS, Inputs::default());
        let slow = node(&stats, "slow");
        for (name, value, unit) in [
            ("rate", slow.fps, "fps"),
            ("start-age-p50", slow.start_age_ms.p50, "ms"),
            ("start-age-max", slow.start_age_ms.max, "ms"),
            ("end-age-max", slow.end_age_ms.max, "ms"),
            ("source-late-max", stats.sources[0].lateness_ms.max, "ms"),
        ] {
            figures.push(Figure::new(format!("{section}/{name}"), value, unit));
        }
    }
    figures
}
