//! Judges a revision on trial by the figures of its graph.

use std::time::Duration;

use protocol::desired::Objectives;
use protocol::reported::Running;

use super::event::Failure;

/// A running trial under watch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Watch {
    since: Duration,
    bake: Duration,
    first_output: Duration,
    objectives: Objectives,
    /// Figures when the watch began: a graph that ran before is judged by what it does from here on.
    base: Option<Running>,
    /// Figures when the first result had come: rates count from here, opening a model is no lost frame.
    first: Option<Running>,
    last: Option<Running>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Healthy,
    Failed(Failure),
}

impl Watch {
    /// `base`: figures of the graph at this moment, if it ran before.
    pub(super) fn new(
        since: Duration,
        bake: Duration,
        first_output: Duration,
        objectives: Objectives,
        base: Option<Running>,
    ) -> Self {
        Self {
            since,
            bake,
            first_output,
            objectives,
            base,
            first: None,
            last: None,
        }
    }

    pub(super) fn see(&mut self, running: Running) {
        if self.first.is_none() && running.completed > self.completed_before() {
            self.first = Some(running.clone());
        }
        self.last = Some(running);
    }

    pub(super) fn judge(&self, now: Duration) -> Verdict {
        let errors_before = self.base.as_ref().map_or(0, |base| base.errors);
        if let Some(last) = self.last.as_ref().filter(|last| last.errors > errors_before) {
            let count = last.errors - errors_before;
            return failed(
                "NodeError",
                format!("{count} errors of nodes within {:.1} s", last.seconds),
            );
        }
        let watched = now.saturating_sub(self.since);
        match (&self.first, &self.last) {
            (Some(first), Some(last)) if watched >= self.bake => self.judge_objectives(first, last),
            (Some(_), _) => Verdict::Wait,
            _ if watched >= self.first_output => failed(
                "NoOutput",
                format!(
                    "no result at any sink within {:.1} s of the start",
                    watched.as_secs_f64()
                ),
            ),
            _ => Verdict::Wait,
        }
    }

    /// When `judge` may say something new without new figures.
    pub(super) fn wake_at(&self) -> Duration {
        let span = if self.first.is_some() {
            self.bake
        } else {
            self.first_output
        };
        self.since.saturating_add(span)
    }

    fn judge_objectives(&self, first: &Running, last: &Running) -> Verdict {
        let Objectives {
            fps,
            latency_p95,
            max_drop_ratio,
        } = &self.objectives;
        if let Some(wanted) = fps {
            // Few results say nothing about a rate; the graph's own figure is the best there is then.
            let seconds = last.seconds - first.seconds;
            let counted = last.completed.saturating_sub(first.completed);
            let measured = if seconds >= 1.0 {
                counted as f64 / seconds
            } else {
                last.fps
            };
            if measured < *wanted {
                return missed(format!("fps is {measured:.2}, the objective is {wanted}"));
            }
        }
        if let Some(bound) = latency_p95 {
            let measured = last.latency_p95_ms;
            if measured > bound.as_millis_f64() {
                return missed(format!("latencyP95 is {measured:.1}ms, the objective is {bound}"));
            }
        }
        if let Some(bound) = max_drop_ratio {
            let base = self.base.clone().unwrap_or_default();
            let produced = last.produced.saturating_sub(base.produced);
            let dropped = dropped(last).saturating_sub(dropped(&base));
            let ratio = dropped as f64 / produced.max(1) as f64;
            if ratio > *bound {
                return missed(format!(
                    "{dropped} of {produced} packets were dropped ({ratio:.2}), maxDropRatio is {bound}"
                ));
            }
        }
        Verdict::Healthy
    }

    fn completed_before(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.completed)
    }
}

fn dropped(running: &Running) -> u64 {
    running.drops.values().sum()
}

fn missed(message: String) -> Verdict {
    failed("ObjectiveMissed", message)
}

fn failed(code: &'static str, message: String) -> Verdict {
    Verdict::Failed(Failure { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn figures(seconds: f64, completed: u64) -> Running {
        Running {
            seconds,
            completed,
            produced: completed * 2,
            fps: 10.0,
            latency_p95_ms: 30.0,
            ..Running::default()
        }
    }

    fn judge(objectives: Objectives, base: Option<Running>, seen: &[Running], after: Duration) -> String {
        let mut watch = Watch::new(S, 5 * S, 10 * S, objectives, base);
        for running in seen {
            watch.see(running.clone());
        }
        match watch.judge(S + after) {
            Verdict::Wait => "wait".into(),
            Verdict::Healthy => "healthy".into(),
            Verdict::Failed(failure) => format!("{}: {}", failure.code, failure.message),
        }
    }

    #[test]
    fn healthy_needs_the_whole_bake_and_an_output() {
        let seen = [figures(1.0, 0), figures(2.0, 10), figures(4.9, 40)];
        let none = Objectives::default();
        assert_eq!(judge(none.clone(), None, &seen, 4 * S), "wait");
        assert_eq!(judge(none.clone(), None, &seen, 5 * S), "healthy");
        assert_eq!(judge(none.clone(), None, &seen[..1], 9 * S), "wait");
        assert_eq!(
            judge(none.clone(), None, &seen[..1], 10 * S),
            "NoOutput: no result at any sink within 10.0 s of the start"
        );
        assert_eq!(judge(none, None, &[], 10 * S).split(':').next(), Some("NoOutput"));
    }

    #[test]
    fn results_before_the_watch_prove_nothing() {
        let base = figures(100.0, 1000);
        let none = Objectives::default();
        assert_eq!(
            judge(none.clone(), Some(base.clone()), &[figures(101.0, 1000)], 5 * S),
            "wait"
        );
        assert_eq!(judge(none, Some(base), &[figures(101.0, 1001)], 5 * S), "healthy");
    }

    #[test]
    fn any_error_ends_the_trial() {
        let broken = Running {
            errors: 3,
            ..figures(2.0, 10)
        };
        let none = Objectives::default();
        assert_eq!(
            judge(none.clone(), None, std::slice::from_ref(&broken), S),
            "NodeError: 3 errors of nodes within 2.0 s"
        );
        assert_eq!(
            judge(
                none,
                Some(broken.clone()),
                &[Running {
                    completed: 11,
                    ..broken
                }],
                S
            ),
            "wait"
        );
    }

    #[test]
    fn each_objective_is_kept_or_named() {
        let seen = [figures(1.0, 10), figures(5.0, 50)];
        let fps = |fps| Objectives {
            fps: Some(fps),
            ..Objectives::default()
        };
        let p95 = |ms| Objectives {
            latency_p95: Some(units::Duration::from_millis(ms)),
            ..Objectives::default()
        };
        let drops = |ratio| Objectives {
            max_drop_ratio: Some(ratio),
            ..Objectives::default()
        };
        for kept in [fps(10.0), p95(30), drops(0.5)] {
            assert_eq!(judge(kept, None, &seen, 5 * S), "healthy");
        }
        assert_eq!(
            judge(fps(10.5), None, &seen, 5 * S),
            "ObjectiveMissed: fps is 10.00, the objective is 10.5"
        );
        assert_eq!(
            judge(p95(20), None, &seen, 5 * S),
            "ObjectiveMissed: latencyP95 is 30.0ms, the objective is 20ms"
        );
        let mut lossy = seen;
        lossy[1].drops.insert("late".into(), 60);
        assert_eq!(
            judge(drops(0.5), None, &lossy, 5 * S),
            "ObjectiveMissed: 60 of 100 packets were dropped (0.60), maxDropRatio is 0.5"
        );
    }
}
