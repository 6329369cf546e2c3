use proptest::prelude::*;

use super::*;
use crate::detection::{Point, Rect};
use crate::timestamp::Timestamp;

fn black(width: usize, height: usize) -> Frame {
    Frame::new(width, height, PixelFormat::Rgb, vec![0; width * height * 3]).unwrap()
}

fn picture(frame: &Frame) -> String {
    let pixels: String = frame
        .data()
        .chunks_exact(3)
        .map(|pixel| if pixel == [0, 0, 0] { '.' } else { '#' })
        .collect();
    let rows = pixels
        .as_bytes()
        .chunks(frame.width())
        .map(|row| String::from_utf8_lossy(row).into_owned());
    rows.collect::<Vec<_>>().join("\n")
}

fn draw(frame: Frame, boxes: &[Detection], options: Options) -> Frame {
    let packet = Packet::new(frame, Timestamp::clamped(0));
    let payload = Overlay::new(options).drawn(packet, boxes, &[]).unwrap();
    payload.get::<Frame>().unwrap().clone()
}

fn plain() -> Options {
    Options {
        line_width: 1,
        text_scale: 1,
        labels: false,
    }
}

#[test]
fn a_box_with_a_landmark() {
    let detection = Detection {
        rect: Rect {
            x: 1.0,
            y: 1.0,
            width: 5.0,
            height: 4.0,
        },
        landmarks: vec![Point { x: 20.0, y: 0.0 }],
        ..Detection::default()
    };
    let wanted = [
        "........", ".#####..", ".#...#..", ".#...#..", ".#####..", "........",
    ];
    assert_eq!(
        picture(&draw(black(8, 6), &[detection], plain())),
        wanted.join("\n")
    );
}

#[test]
fn a_label_above() {
    let detection = Detection {
        rect: Rect {
            x: 0.0,
            y: 7.0,
            width: 0.0,
            height: 0.0,
        },
        score: 0.07,
        ..Detection::default()
    };
    let options = Options {
        labels: true,
        ..plain()
    };
    let wanted = ["###.#.#", "..#...#", ".#...#.", ".#..#..", ".#..#.#"];
    assert_eq!(
        picture(&draw(black(7, 5), &[detection], options)),
        wanted.join("\n")
    );
}

#[test]
fn a_frame_of_others_is_left_as_it_is() {
    let shared = Packet::new(black(8, 6), Timestamp::clamped(0));
    let detection = Detection {
        rect: Rect {
            x: 1.0,
            y: 1.0,
            width: 5.0,
            height: 4.0,
        },
        ..Detection::default()
    };
    let mut node = Overlay::new(plain());
    let first = node
        .drawn(shared.clone(), std::slice::from_ref(&detection), &[])
        .unwrap();
    assert!(
        shared
            .get::<Frame>()
            .unwrap()
            .data()
            .iter()
            .all(|byte| *byte == 0)
    );
    let place = first.get::<Frame>().unwrap().data().as_ptr();
    drop(first);
    let again = node.drawn(shared.clone(), &[], &[]).unwrap();
    let again = again.get::<Frame>().unwrap();
    assert_eq!(
        (again.data().as_ptr(), picture(again).contains('#')),
        (place, false)
    );
}

#[test]
fn nv12_is_refused() {
    let frame = Frame::new(2, 2, PixelFormat::Nv12, vec![0; 6]).unwrap();
    let packet = Packet::new(frame, Timestamp::clamped(0));
    let error = Overlay::new(plain()).drawn(packet, &[], &[]).unwrap_err();
    assert!(error.to_string().contains("not nv12"));
}

proptest! {
    #[test]
    fn nothing_outside_is_drawn_and_nothing_panics(
        x: f32, y: f32, width: f32, height: f32, score: f32, label in "\\PC{0,8}",
    ) {
        let detection = Detection {
            rect: Rect { x, y, width, height },
            score,
            label: Some(label),
            landmarks: vec![Point { x: y, y: x }],
            ..Detection::default()
        };
        draw(black(9, 7), &[detection], Options::default());
    }
}
