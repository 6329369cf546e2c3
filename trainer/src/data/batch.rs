//! Batches as tensors: pixels from 0 to 1, channels last in memory, augmented while they are copied.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

use super::Images;

/// How training images are varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmentation {
    /// Moved by up to so many pixels in each direction; what comes in is black.
    pub shift: u32,
    /// Mirrored left to right, every second one.
    pub flip: bool,
}

/// The training images of one epoch in its order. Batch `n` depends only on (seed, epoch, n), so that a
/// training goes on anywhere as if it had never stopped.
#[derive(Debug)]
pub struct Batches<'a> {
    images: &'a Images,
    order: Vec<usize>,
    size: usize,
    augmentation: Augmentation,
    seed: u64,
    epoch: u32,
}

impl<'a> Batches<'a> {
    /// `indices` of `images`, shuffled for this epoch.
    pub fn new(
        images: &'a Images,
        indices: &[usize],
        size: usize,
        augmentation: Augmentation,
        (seed, epoch): (u64, u32),
    ) -> Self {
        let mut order = indices.to_vec();
        order.shuffle(&mut generator(seed, epoch, u64::MAX));
        Self {
            images,
            order,
            size: size.max(1),
            augmentation,
            seed,
            epoch,
        }
    }

    /// Full batches in the epoch; a rest is left out, its images come in other epochs.
    pub fn count(&self) -> usize {
        (self.order.len() / self.size).max(1)
    }

    pub fn get(&self, index: usize) -> Result<(Tensor, Tensor), TchError> {
        let start = index * self.size;
        let mut rng = generator(self.seed, self.epoch, index as u64);
        let indices: Vec<_> = self.order.iter().skip(start).take(self.size).copied().collect();
        batch(self.images, &indices, Some((self.augmentation, &mut rng)))
    }
}

/// Images as they are.
pub fn whole(images: &Images, indices: &[usize]) -> Result<(Tensor, Tensor), TchError> {
    batch(images, indices, None)
}

fn batch(
    images: &Images,
    indices: &[usize],
    mut augment: Option<(Augmentation, &mut ChaCha8Rng)>,
) -> Result<(Tensor, Tensor), TchError> {
    let (height, width, channels) = (images.height, images.width, images.channels);
    let length = height * width * channels;
    let mut pixels = vec![0.0_f32; indices.len() * length];
    let mut labels = Vec::with_capacity(indices.len());
    for (index, out) in indices.iter().zip(pixels.chunks_exact_mut(length)) {
        let image = &images.pixels[index * length..][..length];
        let (down, right, flip) = match &mut augment {
            Some((Augmentation { shift, flip }, rng)) => {
                let most = i64::from(*shift);
                (
                    rng.random_range(-most..=most),
                    rng.random_range(-most..=most),
                    *flip && rng.random(),
                )
            }
            None => (0, 0, false),
        };
        copy(image, out, (height, width, channels), (down, right), flip);
        labels.push(i64::from(images.labels[*index]));
    }
    let shape = [indices.len(), height, width, channels].map(|size| size as i64);
    // The view has the channels second while they stay last in memory: what convolutions are fastest on.
    let pixels = Tensor::f_from_slice(&pixels)?
        .f_view(shape)?
        .f_permute([0, 3, 1, 2])?;
    Ok((pixels, Tensor::f_from_slice(&labels)?))
}

fn copy(
    image: &[u8],
    out: &mut [f32],
    (height, width, channels): (usize, usize, usize),
    (down, right): (i64, i64),
    flip: bool,
) {
    for y in 0..height {
        let Some(from_y) = usize::try_from(y as i64 - down).ok().filter(|y| *y < height) else {
            continue;
        };
        for x in 0..width {
            let mirrored = if flip { width - 1 - x } else { x };
            let Some(from_x) = usize::try_from(mirrored as i64 - right)
                .ok()
                .filter(|x| *x < width)
            else {
                continue;
            };
            for channel in 0..channels {
                let value = image[(from_y * width + from_x) * channels + channel];
                out[(y * width + x) * channels + channel] = f32::from(value) / 255.0;
            }
        }
    }
}

fn generator(seed: u64, epoch: u32, stream: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&epoch.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(stream);
    rng
}
