use super::options::{Channels, Crop, Element, Fit, Layout};
use super::*;
use crate::detection::Point;
use crate::frame::PixelFormat;

fn tensor(options: Options, frame: &Frame) -> (Arc<Tensor>, Arc<Mapping>) {
    ImageToTensor::check(&options).unwrap();
    ImageToTensor::new(options).convert(frame).unwrap()
}

fn convert(options: Options, frame: &Frame) -> Vec<f32> {
    tensor(options, frame).0.as_f32().unwrap().to_vec()
}

fn close(found: &[f32], wanted: &[f32]) {
    let near = found
        .iter()
        .zip(wanted)
        .all(|(found, wanted)| (found - wanted).abs() < 1e-5);
    assert!(near && found.len() == wanted.len(), "{found:?} is not {wanted:?}");
}

fn gray(width: usize, height: usize, data: &[u8]) -> Frame {
    Frame::new(width, height, PixelFormat::Gray, data.to_vec()).unwrap()
}

fn sized(width: usize, height: usize) -> Options {
    Options {
        width: Some(width),
        height: Some(height),
        channels: Channels::Gray,
        white: 255.0,
        ..Options::default()
    }
}

#[test]
fn planes_one_after_the_other_and_normalised() {
    let frame = Frame::new(2, 1, PixelFormat::Rgb, vec![255, 0, 51, 0, 255, 102]).unwrap();
    let options = Options {
        mean: vec![0.0, 0.5, 0.0],
        std: vec![1.0, 0.5, 1.0],
        ..Options::default()
    };
    close(&convert(options, &frame), &[1.0, 0.0, -1.0, 1.0, 0.2, 0.4]);
}

#[test]
fn pixel_after_pixel_and_blue_first() {
    let frame = Frame::new(2, 1, PixelFormat::Rgb, vec![255, 0, 51, 0, 255, 102]).unwrap();
    let options = Options {
        layout: Layout::Nhwc,
        channels: Channels::Bgr,
        ..Options::default()
    };
    let (tensor, _) = tensor(options, &frame);
    assert_eq!(tensor.shape(), [1, 1, 2, 3]);
    close(tensor.as_f32().unwrap(), &[0.2, 0.0, 1.0, 0.4, 1.0, 0.0]);
}

#[test]
fn gray_of_a_colour_and_colour_of_a_gray() {
    let rgb = Frame::new(1, 1, PixelFormat::Rgb, vec![255, 0, 0]).unwrap();
    let options = Options {
        channels: Channels::Gray,
        ..Options::default()
    };
    close(&convert(options, &rgb), &[0.299]);
    close(&convert(Options::default(), &gray(1, 1, &[51])), &[0.2, 0.2, 0.2]);
}

#[test]
fn nv12_gives_the_colours_it_was_made_of() {
    // White, black, red and blue by BT.601, two by two pixels each.
    for (y, cb, cr, rgb) in [
        (235, 128, 128, [1.0, 1.0, 1.0]),
        (16, 128, 128, [0.0, 0.0, 0.0]),
        (82, 90, 240, [1.0, 0.0, 0.0]),
        (41, 240, 110, [0.0, 0.0, 1.0]),
    ] {
        let frame = Frame::new(2, 2, PixelFormat::Nv12, vec![y, y, y, y, cb, cr]).unwrap();
        let found = convert(Options::default(), &frame);
        for (plane, wanted) in found.chunks_exact(4).zip(rgb) {
            assert!(
                plane.iter().all(|value| (value - wanted).abs() < 0.01),
                "{found:?}"
            );
        }
    }
}

#[test]
fn resizes_between_neighbours() {
    let frame = gray(2, 2, &[0, 255, 0, 255]);
    close(&convert(sized(4, 1), &frame), &[0.0, 63.75, 191.25, 255.0]);
    close(&convert(sized(1, 1), &frame), &[127.5]);
    let tall = gray(1, 2, &[0, 100]);
    close(&convert(sized(1, 4), &tall), &[0.0, 25.0, 75.0, 100.0]);
}

#[test]
fn crops() {
    let frame = gray(4, 2, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let options = Options {
        crop: Some(Crop {
            x: 0.5,
            y: 0.5,
            width: 0.5,
            height: 0.5,
        }),
        width: None,
        height: None,
        ..sized(1, 1)
    };
    let (tensor, mapping) = tensor(options, &frame);
    assert_eq!(
        (tensor.shape(), tensor.as_f32().unwrap()),
        (&[1, 1, 1, 2][..], &[7.0, 8.0][..])
    );
    assert_eq!(mapping.point(Point { x: 1.0, y: 0.0 }), Point { x: 3.0, y: 1.0 });
}

#[test]
fn covers_and_letterboxes() {
    let frame = gray(4, 2, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let cover = Options {
        fit: Fit::Cover,
        ..sized(2, 2)
    };
    close(&convert(cover, &frame), &[2.0, 3.0, 6.0, 7.0]);
    let letterbox = Options {
        fit: Fit::Letterbox,
        border: 9,
        ..sized(4, 4)
    };
    let (tensor, mapping) = tensor(letterbox, &frame);
    close(
        tensor.as_f32().unwrap(),
        &[
            9.0, 9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.0, 9.0, 9.0,
        ],
    );
    assert_eq!(mapping.point(Point { x: 2.0, y: 1.0 }), Point { x: 2.0, y: 0.0 });
}

#[test]
fn bytes_are_rounded_and_kept_in_range() {
    let frame = gray(2, 1, &[0, 255]);
    let (bytes, _) = tensor(
        Options {
            element: Element::U8,
            ..sized(2, 1)
        },
        &frame,
    );
    assert_eq!(bytes.data(), &TensorData::U8(vec![0, 255]));
    let signed = Options {
        element: Element::I8,
        mean: vec![128.0],
        ..sized(2, 1)
    };
    assert_eq!(tensor(signed, &frame).0.data(), &TensorData::I8(vec![-128, 127]));
}

#[test]
fn memory_is_used_again() {
    let mut node = ImageToTensor::new(sized(2, 1));
    let frame = gray(2, 1, &[3, 4]);
    let place = Arc::as_ptr(&node.convert(&frame).unwrap().0);
    assert_eq!(Arc::as_ptr(&node.convert(&frame).unwrap().0), place);
    let other = gray(4, 1, &[1, 1, 1, 1]);
    close(node.convert(&other).unwrap().0.as_f32().unwrap(), &[1.0, 1.0]);
}

#[test]
fn refuses_what_makes_no_sense() {
    let wrong = [
        Options {
            width: Some(0),
            ..Options::default()
        },
        Options {
            mean: vec![0.5, 0.5],
            ..Options::default()
        },
        Options {
            std: vec![0.0],
            ..Options::default()
        },
        Options {
            white: f32::NAN,
            ..Options::default()
        },
        Options {
            crop: Some(Crop {
                x: 0.6,
                y: 0.0,
                width: 0.5,
                height: 1.0,
            }),
            ..Options::default()
        },
    ];
    for options in wrong {
        assert!(ImageToTensor::check(&options).is_err(), "{options:?}");
    }
}
