//! Figures of the runtime, all of one run: `cargo bench -p pipeline --features ort --bench pipeline -- [SECTION ...]
//! [--json] [--runs N] [--long]`. `make bench-pipeline` prints them beside those of MediaPipe and GStreamer.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program that prints measurements"
)]

mod cameras;
#[cfg(feature = "ort")]
mod centerface;
mod counting_allocator;
mod figure;
mod graphs;
mod hop;
mod memory;
mod overload;
mod paced;
mod stages;
mod steady;

use crate::figure::Figure;

/// What the command line asks for beside the sections.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Short measurements are made this often, and the median counts.
    pub runs: usize,
    /// 6,000 frames where some hundred are usual.
    pub long: bool,
}

type Section = fn(Settings) -> Vec<Figure>;

const SECTIONS: [(&str, Section); 8] = [
    ("hop", hop::measure),
    ("paced", paced::measure),
    ("overload", overload::measure),
    ("stages", stages::measure),
    ("cameras", cameras::measure),
    #[cfg(feature = "ort")]
    ("centerface", centerface::measure),
    #[cfg(not(feature = "ort"))]
    ("centerface", without_runtime),
    ("memory", memory::measure),
    ("steady", steady::measure),
];

const RUNS: usize = 7;

#[cfg(not(feature = "ort"))]
fn without_runtime(_settings: Settings) -> Vec<Figure> {
    eprintln!("centerface is not measured: build with --features ort");
    Vec::new()
}

fn main() {
    let mut settings = Settings {
        runs: RUNS,
        long: false,
    };
    let (mut json, mut wanted) = (false, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Cargo's own, meant for its test harness.
            "--bench" => {}
            "--json" => json = true,
            "--long" => settings.long = true,
            "--runs" => settings.runs = args.next().unwrap().parse().unwrap(),
            section if SECTIONS.iter().any(|(name, _)| *name == section) => wanted.push(arg),
            other => {
                let known: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
                println!("{other} is no section: use some of {}", known.join(", "));
                std::process::exit(2);
            }
        }
    }
    for (name, measure) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            for figure in measure(settings) {
                if json {
                    println!("{}", figure.json());
                } else {
                    println!("{figure}");
                }
            }
        }
    }
}
