//! How small and how quick a whole graph of 50 nodes starts: the real agent where it is built, else this process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use pipeline::Inputs;
use pipeline::report::{Report, rss_mib};
use pipeline::run::{Observed, Observer};

use crate::Settings;
use crate::figure::{Figure, median};
use crate::graphs::{chain, start};

/// Beside the source, the node that tells of a frame, and the sink.
const STAGES: usize = 47;
const PICTURES: u32 = 60;

pub fn measure(settings: Settings) -> Vec<Figure> {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("frames-idx3-ubyte");
    fs::write(&pictures, idx(640, 480)).unwrap();
    let graph = folder.path().join("graph.yaml");
    let text = format!(
        "outputStreams: [there]\nnodes:\n- {{calculator: ImageFiles, options: {{fps: 30, path: {}}}, outputs: \
         [s0]}}\n{}- {{calculator: PacketPresence, inputs: [\"PACKET:s{STAGES}\"], outputs: \
         [\"PRESENCE:there\"]}}\n- {{calculator: MqttSink, options: {{stream: there}}, inputs: [there]}}\n",
        pictures.display(),
        chain(STAGES)
    );
    fs::write(&graph, &text).unwrap();
    let agent = agent();
    let (section, starts): (_, Vec<(f64, f64)>) = if agent.exists() {
        let run = |_| with_agent(&agent, &graph);
        ("memory", (0..settings.runs).map(run).collect())
    } else {
        (
            "memory/in-process",
            (0..settings.runs).map(|_| in_process(&text)).collect(),
        )
    };
    vec![
        Figure::new(
            format!("{section}/first-frame"),
            median(starts.iter().map(|(millis, _)| *millis)),
            "ms",
        ),
        Figure::new(
            format!("{section}/resident"),
            median(starts.iter().map(|(_, mib)| *mib)),
            "MiB",
        ),
    ]
}

/// `HAIZEN_EDGE_AGENT`, else the one that `make programs` builds.
fn agent() -> PathBuf {
    std::env::var_os("HAIZEN_EDGE_AGENT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fast/edge-agent"),
        PathBuf::from,
    )
}

/// Milliseconds from the start of the process to the first result on its standard output, and MiB at its end.
fn with_agent(agent: &Path, graph: &Path) -> (f64, f64) {
    let report = graph.with_extension("json");
    let begun = Instant::now();
    let mut child = Command::new(agent)
        .args([
            "run".as_ref(),
            graph.as_os_str(),
            "--report".as_ref(),
            report.as_os_str(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut frames = lines.filter(|line| line.as_ref().unwrap().contains("\"value\":true"));
    frames.next().unwrap().unwrap();
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    // All are read: an agent whose output is closed would end early.
    assert_eq!(frames.count() as u32, PICTURES - 1);
    assert!(child.wait().unwrap().success());
    let report: Report = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    (millis, report.rss_mib)
}

fn in_process(text: &str) -> (f64, f64) {
    let (sender, receiver) = mpsc::channel();
    let begun = Instant::now();
    let running = start(
        text,
        Inputs {
            observer: Some(Arc::new(First(Mutex::new(Some(sender))))),
            ..Inputs::default()
        },
    );
    receiver.recv().unwrap();
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    running.wait().unwrap();
    (millis, rss_mib())
}

/// Tells of the first packet.
struct First(Mutex<Option<mpsc::Sender<()>>>);

impl Observer for First {
    fn seen(&self, _stream: &str, what: Observed<'_>) {
        if let (Observed::Packet(_), Some(sender)) = (what, self.0.lock().unwrap().take()) {
            sender.send(()).unwrap();
        }
    }
}

/// Gray pictures in the IDX format.
fn idx(width: u32, height: u32) -> Vec<u8> {
    let sides = [PICTURES, height, width];
    let mut bytes = vec![0, 0, 8, 3];
    bytes.extend(sides.iter().flat_map(|side| side.to_be_bytes()));
    bytes.resize(bytes.len() + (PICTURES * width * height) as usize, 128);
    bytes
}
