//! Measures ONNX files: how long one run takes on this device, alone, and whether something disturbed it.
//!
//! Knows files and digests, nothing of what they are for. A file that can't be loaded or run is an outcome.

mod disturbance;
pub mod machine;

use std::time::{Duration, Instant};

use pipeline::backend::{Backend, BackendError, Model, Session, TensorPort};
use pipeline::tensor::Tensor;
use protocol::profile::{MeasurePlan, Measured};

use disturbance::{Reference, Witness};

/// Measures one file after another on a thread of its own.
#[derive(Debug)]
pub struct Profiler<'a> {
    backend: &'a dyn Backend,
    threads: usize,
    /// Share of the time that a run may take, where a quota would else stop it half-way.
    duty: Option<f64>,
    reference: Reference,
}

/// No file is measured for longer, however slow.
const LONGEST: Duration = Duration::from_secs(20);
/// Most runs of one try; a quick file has long shown what it takes.
const MOST_RUNS: usize = 20_000;

impl<'a> Profiler<'a> {
    pub fn new(backend: &'a dyn Backend, threads: usize) -> Self {
        let quota = machine::cpu_quota();
        // A little below the quota: the runtime and this loop need some of it, too.
        let duty = quota
            .map(|cores| 0.8 * cores / threads.max(1) as f64)
            .filter(|duty| *duty < 1.0);
        Self {
            backend,
            threads,
            duty,
            reference: Reference::new(),
        }
    }

    pub fn measure(&mut self, name: &str, bytes: &[u8], plan: MeasurePlan) -> Result<Measured, BackendError> {
        let model = Model {
            name: name.to_owned(),
            bytes: bytes.into(),
            threads: self.threads,
        };
        let mut session = self.backend.load(&model)?;
        let inputs: Vec<Tensor> = session.io().inputs.iter().map(TensorPort::example).collect();
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let mut outputs = Vec::new();
        for _ in 0..plan.warmup_runs.min(1000) {
            session.run(&inputs, &mut outputs)?;
        }
        let mut best: Option<Measured> = None;
        for _ in 0..=plan.repeats.min(10) {
            let measured = self.attempt(session.as_mut(), &inputs, &mut outputs, plan)?;
            if !measured.disturbed {
                return Ok(measured);
            }
            // Of disturbed ones the quickest was disturbed least.
            if best.as_ref().is_none_or(|best| measured.p50_us < best.p50_us) {
                best = Some(measured);
            }
        }
        best.ok_or_else(|| BackendError::Run {
            model: name.to_owned(),
            problem: "no run was asked for".into(),
        })
    }

    fn attempt(
        &mut self,
        session: &mut dyn Session,
        inputs: &[&Tensor],
        outputs: &mut Vec<Tensor>,
        plan: MeasurePlan,
    ) -> Result<Measured, BackendError> {
        let witness = Witness::begin(&mut self.reference);
        let begin = Instant::now();
        let mut micros: Vec<f64> = Vec::with_capacity(plan.min_runs.min(4096) as usize);
        loop {
            let start = Instant::now();
            session.run(inputs, outputs)?;
            let took = start.elapsed();
            micros.push(took.as_secs_f64() * 1e6);
            let enough = micros.len() >= plan.min_runs.max(1) as usize
                && begin.elapsed() >= Duration::from_millis(plan.min_millis.into());
            if enough || begin.elapsed() >= LONGEST || micros.len() >= MOST_RUNS {
                break;
            }
            if let Some(duty) = self.duty {
                std::thread::park_timeout(took.mul_f64(1.0 / duty - 1.0));
            }
        }
        let disturbed = witness.saw_disturbance(&mut self.reference, &micros);
        micros.sort_by(f64::total_cmp);
        Ok(Measured {
            p50_us: quantile(&micros, 0.5),
            p95_us: quantile(&micros, 0.95),
            min_us: quantile(&micros, 0.0),
            runs: micros.len() as u32,
            disturbed,
        })
    }
}

/// Of sorted values the smallest that at least this share doesn't exceed.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .or(sorted.first())
        .copied()
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::onnx::elementwise;
    use crate::io::inference::LazyRuntime;

    #[test]
    fn measures_a_real_file_on_the_real_runtime() {
        let mut profiler = Profiler::new(&LazyRuntime, 1);
        let plan = MeasurePlan {
            warmup_runs: 2,
            min_runs: 50,
            min_millis: 0,
            repeats: 0,
        };
        let measured = profiler
            .measure("relu", &elementwise("Relu", &[1, 3]), plan)
            .unwrap();
        assert_eq!(measured.runs, 50);
        assert!(
            0.0 < measured.min_us && measured.min_us <= measured.p50_us && measured.p50_us <= measured.p95_us
        );
        let error = profiler.measure("junk", b"junk", plan).unwrap_err();
        assert!(
            error.to_string().starts_with("model junk can't be loaded"),
            "{error}"
        );
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let whole = |values: &[f64], share| quantile(values, share) as u32;
        assert_eq!(
            [0.0, 0.5, 0.95, 1.0].map(|share| whole(&values, share)),
            [1, 50, 95, 100]
        );
        assert_eq!((whole(&[7.0], 0.95), whole(&[], 0.5)), (7, 0));
    }
}
