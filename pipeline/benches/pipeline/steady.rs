//! Memory per frame once a graph has settled: allocations of all threads, and frames whose pixels were moved.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use pipeline::Inputs;
use pipeline::frame::Frame;
use pipeline::run::{Observed, Observer};

use crate::Settings;
use crate::counting_allocator::{Count, so_far};
use crate::figure::Figure;
use crate::graphs::{chain, start};

const FPS: usize = 240;
const FRAMES: usize = 1_440;
/// From the fourth second on: pools are full then, and queues have their room.
const FROM: usize = 720;
const TO: usize = 1_400;
/// Of the pictures in a file.
const SIDE: u32 = 96;

pub fn measure(_settings: Settings) -> Vec<Figure> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frames-idx4-ubyte");
    write_pictures(&file).unwrap();
    let generator = |format: &str| {
        format!(
            "- {{calculator: Generator, options: {{fps: {FPS}, count: {FRAMES}, width: 640, height: 480, format: \
             {format}}}, outputs: [s0]}}\n"
        )
    };
    let files = format!(
        "- {{calculator: ImageFiles, options: {{fps: {FPS}, path: {}}}, outputs: [s0]}}\n",
        file.display()
    );
    let tensor =
        "- {calculator: ImageToTensor, options: {width: 320, height: 320, fit: letterbox}, inputs: [s0], \
                  outputs: [tensor]}\n- {calculator: Discard, inputs: [tensor]}\n"
            .to_owned();
    let pass = chain(50) + "- {calculator: Discard, inputs: [s50]}\n";
    [
        ("camera-pass", generator("rgb") + &pass, "s50"),
        ("file-pass", files + &pass, "s50"),
        ("camera-tensor", generator("nv12") + &tensor, "tensor"),
    ]
    .into_iter()
    .flat_map(|(name, nodes, end)| of_graph(name, &nodes, end))
    .collect()
}

fn of_graph(name: &str, nodes: &str, end: &'static str) -> Vec<Figure> {
    let window = Arc::new(Window {
        end,
        places: (0..FRAMES).map(|_| AtomicUsize::new(0)).collect(),
        begun: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
        moved_bytes: AtomicU64::new(0),
        first: OnceLock::new(),
        last: OnceLock::new(),
    });
    let running = start(
        &format!("outputStreams: [s0, {end}]\nnodes:\n{nodes}"),
        Inputs {
            observer: Some(window.clone()),
            ..Inputs::default()
        },
    );
    running.wait().unwrap();
    let (first, last) = (window.first.get().unwrap(), window.last.get().unwrap());
    let per_frame = |total: u64| total as f64 / (TO - FROM) as f64;
    [
        ("allocations", last.allocations - first.allocations, "a frame"),
        ("allocated", last.bytes - first.bytes, "bytes a frame"),
        (
            "copied",
            window.moved_bytes.load(Ordering::Relaxed),
            "bytes a frame",
        ),
    ]
    .into_iter()
    // A tensor is made of a frame, not copied from it.
    .filter(|(what, ..)| end != "tensor" || *what != "copied")
    .map(|(what, total, unit)| Figure::new(format!("steady/{name}/{what}"), per_frame(total), unit))
    .collect()
}

/// Looks at frames when they enter and leave the graph; allocates nothing itself.
struct Window {
    end: &'static str,
    /// Where the pixels of each frame lay at the source.
    places: Vec<AtomicUsize>,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Bytes of frames that lie elsewhere at the end.
    moved_bytes: AtomicU64,
    first: OnceLock<Count>,
    last: OnceLock<Count>,
}

impl Observer for Window {
    fn seen(&self, stream: &str, what: Observed<'_>) {
        let Observed::Packet(packet) = what else { return };
        let frame = packet.payload().and_then(|payload| payload.get::<Frame>());
        let place = frame.map_or(0, |frame| frame.data().as_ptr().addr());
        if stream != self.end {
            let number = self.begun.fetch_add(1, Ordering::AcqRel);
            self.places[number].store(place, Ordering::Release);
            return;
        }
        let number = self.ended.fetch_add(1, Ordering::AcqRel);
        let cell = match number {
            FROM => &self.first,
            TO => &self.last,
            _ if (FROM..TO).contains(&number) => {
                if let Some(frame) = frame
                    && self.places[number].load(Ordering::Acquire) != place
                {
                    let bytes = frame.data().len() as u64;
                    self.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
                }
                return;
            }
            _ => return,
        };
        cell.set(so_far()).unwrap();
    }
}

/// Colour pictures in the IDX format.
fn write_pictures(path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&[0, 0, 8, 4])?;
    for side in [FRAMES as u32, SIDE, SIDE, 3] {
        file.write_all(&side.to_be_bytes())?;
    }
    let picture: Vec<u8> = (0..SIDE * SIDE * 3).map(|byte| byte as u8).collect();
    for _ in 0..FRAMES {
        file.write_all(&picture)?;
    }
    file.flush()
}
