//! A face detector on a camera of 640×480 at 30 frames a second, beside the same model alone in a loop: one process,
//! the same runtime, the same session options, in turn.

use std::env;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pipeline::Inputs;
use pipeline::backend::any_size::with_any_size;
use pipeline::backend::ort::OrtBackend;
use pipeline::backend::{Backend, Model};
use pipeline::packet::SidePacket;
use pipeline::run::{Observed, Observer};
use pipeline::tensor::{ElementType, Tensor};

use crate::Settings;
use crate::figure::{Figure, median};
use crate::graphs::{camera, let_run, node, start};

const CAMERA_FPS: f64 = 30.0;
/// Each measurement of either; a rate is taken between the first and the last result within it.
const TIME: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(3);
/// Rounds even if fewer runs are asked for: one round says little where 3 % count.
const FEWEST: usize = 3;
/// The graph may be slower by this share.
const ALLOWED: f64 = 0.03;
const INPUT: [usize; 4] = [1, 3, 480, 640];

/// Where frames are let go that come too soon: at the model, so that one always waits there, or before they are made
/// into tensors, at the model's pace.
const HOW: [(&str, &str, &str); 2] = [
    ("newest", "", ", freshness: newest"),
    ("paced", ", freshness: newest", ""),
];

/// One number of threads for the model's run.
struct Case {
    threads: usize,
    alone: Vec<Rate>,
    /// As in `HOW`, in turn with those alone.
    graphs: [Vec<Rate>; HOW.len()],
}

pub fn measure(settings: Settings) -> Vec<Figure> {
    let Some(bytes) = model() else {
        return Vec::new();
    };
    let cases = [1, 2].map(|threads| {
        let model = Model {
            name: "centerface".to_owned(),
            bytes: Arc::clone(&bytes),
            threads,
        };
        let mut case = Case {
            threads,
            alone: Vec::new(),
            graphs: Default::default(),
        };
        for _ in 0..settings.runs.max(FEWEST) {
            case.alone.push(alone(&model).told(threads, "alone"));
            for (rates, (how, prepare, infer)) in case.graphs.iter_mut().zip(HOW) {
                rates.push(in_graph(&model, prepare, infer).told(threads, how));
            }
        }
        case
    });
    let mut figures: Vec<Figure> = cases.iter().flat_map(Case::figures).collect();
    // Held against the number of threads that is best without a graph.
    let best = cases
        .iter()
        .max_by(|one, other| one.alone_fps().total_cmp(&other.alone_fps()));
    let shares = best.unwrap().shares();
    let share = shares.iter().copied().fold(0.0, f64::max);
    figures.push(Figure::new("centerface/share", share * 100.0, "%"));
    if share < 1.0 - ALLOWED {
        best.unwrap().say_what_limits();
    }
    figures
}

impl Case {
    fn alone_fps(&self) -> f64 {
        median(self.alone.iter().map(|rate| rate.fps))
    }

    /// Of the loop's rate, or of the camera's where that is lower: in the middle of all pairs.
    fn shares(&self) -> [f64; HOW.len()] {
        self.graphs.each_ref().map(|graph| {
            let pairs = graph.iter().zip(&self.alone);
            median(pairs.map(|(graph, alone)| graph.fps / alone.fps.min(CAMERA_FPS)))
        })
    }

    fn figures(&self) -> Vec<Figure> {
        let name = |what: &str| format!("centerface/{}-thread/{what}", self.threads);
        let rates = |how: &str, rates: &[Rate]| {
            [
                Figure::new(
                    name(&format!("{how}/rate")),
                    median(rates.iter().map(|rate| rate.fps)),
                    "fps",
                ),
                Figure::new(
                    name(&format!("{how}/run")),
                    median(rates.iter().map(|rate| rate.run_ms)),
                    "ms",
                ),
            ]
        };
        let mut figures = rates("alone", &self.alone).to_vec();
        for (((how, ..), graph), share) in HOW.iter().zip(&self.graphs).zip(self.shares()) {
            figures.extend(rates(how, graph));
            figures.push(Figure::new(name(&format!("{how}/share")), share * 100.0, "%"));
        }
        figures
    }

    fn say_what_limits(&self) {
        let run_alone = median(self.alone.iter().map(|rate| rate.run_ms));
        for (((how, ..), graph), share) in HOW.iter().zip(&self.graphs).zip(self.shares()) {
            let fps = median(graph.iter().map(|rate| rate.fps));
            let run = median(graph.iter().map(|rate| rate.run_ms));
            eprintln!(
                "centerface, {} threads, {how}: {:.1} % below the loop; a run takes {:+.1} % beside the other nodes, \
                 and the model waits for frames {:.1} % of the time",
                self.threads,
                (1.0 - share) * 100.0,
                (run / run_alone - 1.0) * 100.0,
                (1.0 - fps * run / 1e3) * 100.0,
            );
        }
    }
}

/// The model's file, as `images/fetch-models.sh` leaves it.
fn model() -> Option<Arc<[u8]>> {
    let Some(models) = env::var_os("HAIZEN_MODELS") else {
        eprintln!("centerface is not measured: HAIZEN_MODELS is not set (source e2e/env.sh)");
        return None;
    };
    let file = PathBuf::from(models).join("centerface-1.5.0/centerface.onnx");
    match std::fs::read(&file) {
        Ok(bytes) => Some(bytes.into()),
        Err(error) => {
            eprintln!(
                "centerface is not measured: {}: {error}; run `make native`",
                file.display()
            );
            None
        }
    }
}

/// How fast, and how long the model's run took in the middle.
struct Rate {
    fps: f64,
    run_ms: f64,
}

impl Rate {
    /// All of them take minutes.
    fn told(self, threads: usize, how: &str) -> Self {
        eprintln!(
            "centerface, {threads} threads, {how}: {:.2} fps, a run takes {:.1} ms",
            self.fps, self.run_ms
        );
        self
    }
}

fn alone(model: &Model) -> Rate {
    let model = Model {
        bytes: with_any_size(&model.bytes).unwrap().into(),
        ..model.clone()
    };
    let mut session = OrtBackend::new(None).unwrap().load(&model).unwrap();
    let input = Tensor::zeros(INPUT.to_vec(), ElementType::F32);
    let mut outputs = Vec::new();
    session.run(&[&input], &mut outputs).unwrap();
    let (began, mut runs) = (Instant::now(), Vec::new());
    while began.elapsed() < TIME {
        let run = Instant::now();
        session.run(&[&input], &mut outputs).unwrap();
        runs.push(run.elapsed().as_secs_f64() * 1e3);
    }
    Rate {
        fps: runs.len() as f64 / began.elapsed().as_secs_f64(),
        run_ms: median(runs),
    }
}

/// When results came, once it is looked at.
#[derive(Default)]
struct Results {
    counts: AtomicBool,
    times: Mutex<Vec<Instant>>,
}

impl Observer for Results {
    fn seen(&self, _stream: &str, what: Observed<'_>) {
        if let Observed::Packet(_) = what
            && self.counts.load(Ordering::Relaxed)
        {
            self.times.lock().unwrap().push(Instant::now());
        }
    }
}

fn in_graph(model: &Model, prepare: &str, infer: &str) -> Rate {
    let text = format!(
        "outputStreams: [faces]\nnodes:\n{}\
         - {{calculator: ImageToTensor, inputs: [frames], outputs: [pixels, 'MAPPING:place'], options: {{white: 255}}{prepare}}}\n\
         - {{name: face, calculator: Inference, inputs: [pixels], outputs: [heat, scale, offset, marks], \
         sidePackets: {{MODEL: face}}, options: {{anySize: true}}{infer}}}\n\
         - {{calculator: DetectionDecode, inputs: ['HEATMAP:heat', 'SCALE:scale', 'OFFSET:offset', 'LANDMARKS:marks', \
         'MAPPING:place'], outputs: [all], options: {{labels: [face]}}}}\n\
         - {{calculator: NonMaxSuppression, inputs: [all], outputs: [faces]}}\n",
        camera("camera", "frames")
    );
    let results = Arc::new(Results::default());
    let running = start(
        &text,
        Inputs {
            side_packets: [("face".to_owned(), SidePacket::new(model.clone()))].into(),
            backend: Arc::new(OrtBackend::new(None).unwrap()),
            observer: Some(results.clone()),
            ..Inputs::default()
        },
    );
    running.wait_open(Duration::from_mins(1)).unwrap();
    let_run(&running, SETTLE);
    running.take_window();
    results.counts.store(true, Ordering::Relaxed);
    let_run(&running, TIME);
    let run_ms = node(&running.take_window(), "face").process_ms.p50;
    running.stop();
    running.wait().unwrap();
    let times = results.times.lock().unwrap();
    let span = *times.last().unwrap() - *times.first().unwrap();
    Rate {
        fps: (times.len() - 1) as f64 / span.as_secs_f64(),
        run_ms,
    }
}
