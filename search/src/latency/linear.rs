//! A straight line through measurements.

/// y = scale · x + offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub scale: f64,
    pub offset: f64,
}

impl Line {
    pub const IDENTITY: Self = Self {
        scale: 1.0,
        offset: 0.0,
    };

    pub fn at(&self, x: f64) -> f64 {
        self.scale * x + self.offset
    }
}

/// The line of least squares; a constant when all `x` are the same.
pub fn fit(pairs: &[(f64, f64)]) -> Line {
    let n = pairs.len().max(1) as f64;
    let (x, y) = pairs
        .iter()
        .fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / n, y + pair.1 / n));
    let (mut xx, mut xy) = (0.0, 0.0);
    for pair in pairs {
        xx += (pair.0 - x) * (pair.0 - x);
        xy += (pair.0 - x) * (pair.1 - y);
    }
    let scale = if xx > 0.0 { xy / xx } else { 0.0 };
    Line {
        scale,
        offset: y - scale * x,
    }
}
