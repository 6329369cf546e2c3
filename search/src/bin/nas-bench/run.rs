//! One search over an instance, answered from the table.

use search::session::{Budget, Next, Session, Setting};
use search::strategies::StrategyConfig;
use search::strategy::Goal;
use search::trial::Feedback;

use super::instance::Instance;

/// What the shortest reading costs, in full ones.
const SHORT: f64 = 0.06;

/// What one search found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    /// Rows whose full accuracy was read.
    pub(crate) read: Vec<usize>,
    pub(crate) violations: usize,
}

pub(crate) fn run(
    instance: &Instance<'_>,
    strategy: &StrategyConfig,
    goal: Goal,
    evaluations: u32,
    seed: u64,
) -> Run {
    let mut prices = vec![1.0];
    prices.extend(instance.accuracies.short.as_ref().map(|_| SHORT));
    let budget = Budget {
        evaluations: f64::from(evaluations),
        prices,
    };
    let feasible = |choices: &_| instance.feasible(choices);
    let setting = Setting {
        landscape: instance,
        goal,
        start: &instance.start,
        feasible: &feasible,
    };
    let mut session = Session::new(strategy.build(), budget, seed);
    let mut run = Run {
        read: Vec::new(),
        violations: 0,
    };
    while let Next::Trial(id) = session.next(&setting) {
        let record = &session.records()[id.0 as usize];
        let row = instance.rows.get(&record.choices).copied().unwrap_or(0);
        run.violations += usize::from(!instance.is_inside(row));
        let percent = if record.fidelity.is_full() {
            run.read.push(row);
            instance.accuracies.full[row]
        } else {
            instance
                .accuracies
                .short
                .as_ref()
                .map_or(f64::NAN, |short| short[row])
        };
        let feedback = if percent.is_finite() {
            Feedback::Evaluated {
                accuracy: percent / 100.0,
            }
        } else {
            Feedback::Failed {
                reason: "the table has no reading".to_owned(),
            }
        };
        session.tell(id, feedback);
    }
    run
}
