//! Where a box is and how it moves, from boxes that are seen now and then and not exactly.

use crate::detection::Rect;

/// A Kalman filter of constant velocity (Kalman 1960) for each of a box's middle, width and height: they are
/// independent of each other, so each is a filter of two numbers, place and speed. How sure a place is, is measured in
/// parts of the box's height, as in DeepSORT (Wojke et al. 2017).
#[derive(Debug, Clone)]
pub(super) struct Motion {
    axes: [Axis; 4],
}

#[derive(Debug, Clone, Copy)]
struct Axis {
    place: f64,
    speed: f64,
    /// Variance of the place, of the speed, and what both share.
    place_place: f64,
    place_speed: f64,
    speed_speed: f64,
}

/// Standard deviation of what is seen, and of the change of speed in a second, in parts of the height.
const SEEN: f64 = 1.0 / 20.0;
const CHANGE: f64 = 1.0;
/// The speed that a new thing may have: its own height in a second, give or take.
const FIRST_SPEED: f64 = 2.0;

impl Motion {
    pub(super) fn new(rect: &Rect) -> Self {
        let unit = unit(rect);
        Self {
            axes: numbers(rect).map(|place| Axis {
                place,
                speed: 0.0,
                place_place: (SEEN * unit).powi(2),
                place_speed: 0.0,
                speed_speed: (FIRST_SPEED * unit).powi(2),
            }),
        }
    }

    /// Goes on by so many seconds.
    pub(super) fn advance(&mut self, seconds: f64) {
        let noise = (CHANGE * unit(&self.rect())).powi(2);
        for axis in &mut self.axes {
            axis.advance(seconds, noise);
        }
    }

    /// Takes what was seen into account.
    pub(super) fn see(&mut self, rect: &Rect) {
        let noise = (SEEN * unit(rect)).powi(2);
        for (axis, seen) in self.axes.iter_mut().zip(numbers(rect)) {
            axis.see(seen, noise);
        }
    }

    pub(super) fn rect(&self) -> Rect {
        let [x, y, width, height] = self.axes.map(|axis| axis.place as f32);
        let (width, height) = (width.max(1.0), height.max(1.0));
        Rect {
            x: x - width / 2.0,
            y: y - height / 2.0,
            width,
            height,
        }
    }
}

impl Axis {
    fn advance(&mut self, seconds: f64, noise: f64) {
        self.place += self.speed * seconds;
        // A speed that changes by chance all the time adds to all three.
        self.place_place +=
            seconds * (2.0 * self.place_speed + seconds * self.speed_speed) + noise * seconds.powi(3) / 3.0;
        self.place_speed += seconds * self.speed_speed + noise * seconds.powi(2) / 2.0;
        self.speed_speed += noise * seconds;
    }

    fn see(&mut self, seen: f64, noise: f64) {
        let sum = self.place_place + noise;
        if sum <= 0.0 {
            return;
        }
        let (gain, gain_speed) = (self.place_place / sum, self.place_speed / sum);
        let surprise = seen - self.place;
        self.place += gain * surprise;
        self.speed += gain_speed * surprise;
        self.speed_speed -= gain_speed * self.place_speed;
        self.place_speed *= 1.0 - gain;
        self.place_place *= 1.0 - gain;
    }
}

fn numbers(rect: &Rect) -> [f64; 4] {
    let center = rect.center();
    [center.x, center.y, rect.width, rect.height].map(f64::from)
}

fn unit(rect: &Rect) -> f64 {
    f64::from(rect.height.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f32) -> Rect {
        Rect {
            x,
            y: 0.0,
            width: 20.0,
            height: 20.0,
        }
    }

    #[test]
    fn learns_a_steady_speed_and_goes_on_with_it() {
        let mut motion = Motion::new(&square(0.0));
        for frame in 1_u8..=30 {
            motion.advance(0.1);
            motion.see(&square(f32::from(frame) * 3.0));
        }
        motion.advance(0.5);
        assert!((motion.rect().x - 105.0).abs() < 1.0, "{:?}", motion.rect());
        assert!((motion.rect().height - 20.0).abs() < 0.1);
    }

    #[test]
    fn smooths_what_trembles() {
        let mut motion = Motion::new(&square(0.0));
        for frame in 1..=40 {
            motion.advance(0.03);
            motion.see(&square(if frame % 2 == 0 { 1.0 } else { -1.0 }));
        }
        assert!(motion.rect().x.abs() < 0.7, "{:?}", motion.rect());
    }
}
