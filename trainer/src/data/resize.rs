use super::Images;

/// Square images of this size, bilinear with pixel centres at .5 as image libraries do it.
pub(super) fn resize(images: &Images, size: usize) -> Images {
    let (height, width, channels) = (images.height, images.width, images.channels);
    let rows = taps(height, size);
    let columns = taps(width, size);
    let mut pixels = Vec::with_capacity(images.len() * size * size * channels);
    for image in images.pixels.chunks_exact(height * width * channels) {
        for (y0, y1, fy) in &rows {
            for (x0, x1, fx) in &columns {
                for channel in 0..channels {
                    let at = |y: usize, x: usize| f32::from(image[(y * width + x) * channels + channel]);
                    let top = at(*y0, *x0) * (1.0 - fx) + at(*y0, *x1) * fx;
                    let bottom = at(*y1, *x0) * (1.0 - fx) + at(*y1, *x1) * fx;
                    pixels.push((top * (1.0 - fy) + bottom * fy).round() as u8);
                }
            }
        }
    }
    Images {
        height: size,
        width: size,
        pixels,
        ..images.clone()
    }
}

/// For each new pixel: the two old ones it lies between, and the share of the second.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let scale = from as f32 / to as f32;
    let tap = |index: usize| {
        let centre = ((index as f32 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f32);
        let low = centre as usize;
        (low, (low + 1).min(from - 1), centre - low as f32)
    };
    (0..to).map(tap).collect()
}
