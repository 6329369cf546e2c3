//! One row of a frame as planes of f32, whatever the frame's format: 0 to 255.

use crate::frame::{Frame, PixelFormat};
use crate::nodes::image_to_tensor::options::Channels;

/// Reads row `y` into `row`, which has one plane of the frame's width per channel.
pub(super) fn read(frame: &Frame, y: usize, channels: Channels, row: &mut [f32]) {
    let width = frame.width();
    let bytes = |start: usize, count: usize| frame.data().get(start..start + count).unwrap_or(&[]);
    match (frame.format(), channels) {
        (PixelFormat::Gray, _) => {
            for plane in row.chunks_exact_mut(width) {
                copy(bytes(y * width, width), plane);
            }
        }
        (PixelFormat::Rgb, Channels::Gray) => {
            // The brightness of BT.601, as cameras and encoders weigh it.
            for (value, pixel) in row
                .iter_mut()
                .zip(bytes(y * width * 3, width * 3).chunks_exact(3))
            {
                if let [red, green, blue] = pixel {
                    *value = 0.299 * f32::from(*red) + 0.587 * f32::from(*green) + 0.114 * f32::from(*blue);
                }
            }
        }
        (PixelFormat::Rgb, _) => {
            let [red, green, blue] = planes(row, width, channels);
            let pixels = bytes(y * width * 3, width * 3).chunks_exact(3);
            for (((pixel, red), green), blue) in pixels.zip(red).zip(green).zip(blue) {
                if let [r, g, b] = pixel {
                    (*red, *green, *blue) = (f32::from(*r), f32::from(*g), f32::from(*b));
                }
            }
        }
        (PixelFormat::Nv12, _) => {
            let luma = bytes(y * width, width);
            let chroma = bytes(frame.height() * width + y / 2 * width, width);
            nv12(luma, chroma, channels, row);
        }
    }
}

/// BT.601 from limited range (brightness 16 to 235) to 0 to 255.
fn nv12(luma: &[u8], chroma: &[u8], channels: Channels, row: &mut [f32]) {
    let width = luma.len();
    let bright = |value: &u8| (f32::from(*value) - 16.0) * (255.0 / 219.0);
    if channels == Channels::Gray {
        for (value, luma) in row.iter_mut().zip(luma) {
            *value = bright(luma).clamp(0.0, 255.0);
        }
        return;
    }
    let [red, green, blue] = planes(row, width, channels);
    let colors = red
        .chunks_exact_mut(2)
        .zip(green.chunks_exact_mut(2))
        .zip(blue.chunks_exact_mut(2));
    // Two pixels share their colour differences.
    for ((luma, pair), ((red, green), blue)) in luma.chunks_exact(2).zip(chroma.chunks_exact(2)).zip(colors) {
        let [cb, cr] = pair else { continue };
        let (cb, cr) = (f32::from(*cb) - 128.0, f32::from(*cr) - 128.0);
        let add = [1.596_027 * cr, -0.391_762 * cb - 0.812_968 * cr, 2.017_232 * cb];
        for (((luma, red), green), blue) in luma.iter().zip(red).zip(green).zip(blue) {
            let [r, g, b] = add.map(|add| (bright(luma) + add).clamp(0.0, 255.0));
            (*red, *green, *blue) = (r, g, b);
        }
    }
}

/// The planes of a row for red, green and blue, wherever they stand.
fn planes(row: &mut [f32], width: usize, channels: Channels) -> [&mut [f32]; 3] {
    let (first, rest) = row.split_at_mut(width.min(row.len()));
    let (second, third) = rest.split_at_mut(width.min(rest.len()));
    if channels == Channels::Bgr {
        [third, second, first]
    } else {
        [first, second, third]
    }
}

fn copy(bytes: &[u8], plane: &mut [f32]) {
    for (value, byte) in plane.iter_mut().zip(bytes) {
        *value = f32::from(*byte);
    }
}
