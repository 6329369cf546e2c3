//! Which share of a fleet a model serves within the bounds.

/// Devices of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Devices {
    pub count: u32,
    /// The bound that holds for them.
    pub latency_p95_us: f64,
}

/// The share of the devices on which a model keeps its bound. `latencies`: one for each class; a class on which
/// the model was neither measured nor foretold is not served.
pub fn coverage(fleet: &[Devices], latencies: &[Option<f64>]) -> f64 {
    let all: f64 = fleet.iter().map(|class| f64::from(class.count)).sum();
    let served = fleet
        .iter()
        .zip(latencies)
        .filter(|(class, latency)| latency.is_some_and(|us| us <= class.latency_p95_us));
    let served: f64 = served.map(|(class, _)| f64::from(class.count)).sum();
    if all > 0.0 { served / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_devices_not_classes() {
        let class = |count, latency_p95_us| Devices {
            count,
            latency_p95_us,
        };
        let fleet = [class(60, 100.0), class(30, 200.0), class(10, 50.0)];
        let share = coverage(&fleet, &[Some(90.0), Some(201.0), None]);
        assert!((share - 0.6).abs() < 1e-12);
        assert!(coverage(&[], &[]).abs() < 1e-12);
    }
}
