//! What holds for every fleet, however its devices behave.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::simulation::{Deed, Fleet, Nature, TICK};
use super::{Plan, Purpose, Verdict, plan};
use crate::facts::{DeviceState, Figures, Row, WaveState};
use crate::gates::GateConfig;
use crate::policy::RolloutPolicy;

#[derive(Debug, Clone)]
struct Case {
    policy: RolloutPolicy,
    /// Site and nature.
    devices: Vec<(u8, Nature)>,
    /// Tick, device, online or member.
    outages: Vec<(u64, usize, Outage)>,
}

#[derive(Debug, Clone, Copy)]
enum Outage {
    Online(bool),
    Member(bool),
    Pause(bool),
    Join,
}

/// Longer than any deadline of any case, twice.
const TICKS: u64 = 400;
/// Outages end here, so that what follows must settle.
const RESTLESS: u64 = 120;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_rollout_keeps_the_rules(case in cases()) {
        let mut run = Run::new(&case);
        for tick in 0..TICKS {
            run.outages(&case, tick);
            let plan = run.fleet.tick();
            run.check(&plan)?;
            run.fleet.advance_clock();
        }
        run.check_end()?;
    }

    #[test]
    fn a_bad_revision_reaches_the_canary_only(case in cases(), at in 1_usize..7) {
        let mut case = case;
        case.policy.canary.count = case.policy.canary.count.max(1);
        case.policy.gates = vec![GateConfig::default()];
        case.outages.retain(|(_, _, outage)| !matches!(outage, Outage::Join));
        for (_, nature) in &mut case.devices {
            *nature = Nature::Fails(STEPS[at]);
        }
        let canary = case.policy.canary.count as usize;
        let mut run = Run::new(&case);
        for tick in 0..TICKS {
            run.outages(&case, tick);
            run.fleet.tick();
            run.fleet.advance_clock();
        }
        let touched = run.fleet.facts.devices.iter().filter_map(|d| d.row.as_ref()).filter(|r| r.attempt > 0);
        prop_assert!(touched.count() <= canary);
    }
}

const STEPS: [DeviceState; 7] = [
    DeviceState::Offered,
    DeviceState::Received,
    DeviceState::Downloading,
    DeviceState::Verified,
    DeviceState::Staged,
    DeviceState::Activating,
    DeviceState::Baking,
];

struct Run {
    fleet: Fleet,
    waves: BTreeMap<String, usize>,
    joined: usize,
}

impl Run {
    fn new(case: &Case) -> Self {
        let mut fleet = Fleet::new("case", case.policy.clone());
        for (number, (site, nature)) in case.devices.iter().enumerate() {
            let deed = Deed::Join {
                site: format!("site-{site}"),
                nature: nature.clone(),
            };
            fleet.do_to(&format!("d{number}"), deed);
        }
        Self {
            fleet,
            waves: BTreeMap::new(),
            joined: case.devices.len(),
        }
    }

    fn outages(&mut self, case: &Case, tick: u64) {
        for (at, device, outage) in &case.outages {
            let id = format!("d{}", device % self.joined.max(1));
            let deed = match outage {
                _ if *at != tick || self.joined == 0 => continue,
                Outage::Online(online) => Deed::Online(*online),
                Outage::Member(member) => Deed::Member(*member),
                Outage::Pause(paused) => Deed::Pause(*paused),
                Outage::Join => {
                    self.joined += 1;
                    let nature = Nature::Good(Figures::default());
                    let deed = Deed::Join {
                        site: "site-0".into(),
                        nature,
                    };
                    self.fleet.do_to(&format!("d{}", self.joined - 1), deed);
                    continue;
                }
            };
            self.fleet.do_to(&id, deed);
        }
        if tick == RESTLESS {
            self.fleet.do_to("", Deed::Pause(false));
        }
    }

    fn check(&mut self, made: &Plan) -> Result<(), TestCaseError> {
        let Fleet {
            facts, policy, now, ..
        } = &self.fleet;
        let again = plan(facts, policy, *now);
        prop_assert!(
            again.changes_nothing(facts),
            "planning again changes something: {again:?}"
        );
        prop_assert!(again.happenings.is_empty());

        let mut changing = BTreeMap::<_, u32>::new();
        for device in &facts.devices {
            let away = !device.online && *now >= device.seen_at + policy.offline_grace.get();
            let row = device.row.as_ref();
            // A rollback's document waits for who is away, and works as soon as it is back.
            let came_back = |row: &Row| {
                row.state == DeviceState::RollingBack && row.offered_at < Some(device.since) && device.online
            };
            if row.is_some_and(|row| row.state.is_changing() && !came_back(row)) && !away {
                *changing.entry(&device.site).or_default() += 1;
            }
            if let Some(row) = row {
                let wave = *self.waves.entry(device.id.clone()).or_insert(row.wave);
                prop_assert_eq!(wave, row.wave, "{} moved to another wave", device.id);
            }
        }
        let late = *now >= facts.rollout.progress_at + policy.progress_deadline.get();
        for (site, count) in changing {
            prop_assert!(
                count <= policy.max_per_site || late,
                "{count} devices of {site} change at once"
            );
        }
        for command in made.commands.iter().filter(|c| c.purpose == Purpose::Offer) {
            let wave = self.waves[&command.device];
            let before = &facts.waves[..wave];
            prop_assert!(
                before.iter().all(|w| w.state == WaveState::Passed),
                "offered {wave} before {before:?}"
            );
        }
        let mut devices = made.commands.iter().map(|c| &c.device).collect::<Vec<_>>();
        devices.dedup();
        prop_assert_eq!(devices.len(), made.commands.len());
        Ok(())
    }

    /// Nothing is under way for ever, and a failed rollout leaves no reachable device on its revision.
    fn check_end(&self) -> Result<(), TestCaseError> {
        let Fleet { facts, .. } = &self.fleet;
        let verdict = self.fleet.last.as_ref().map(|plan| plan.verdict);
        let ended = matches!(
            verdict,
            Some(
                Verdict::Complete
                    | Verdict::RolledBack
                    | Verdict::Halted
                    | Verdict::Stalled
                    | Verdict::NoDevices
            )
        );
        prop_assert!(ended, "{verdict:?}:\n{}", self.fleet.story);
        for device in facts
            .devices
            .iter()
            .filter(|device| device.online && device.member)
        {
            let Some(row) = &device.row else { continue };
            let left = match verdict {
                Some(Verdict::RolledBack) => row.attempt > 0 && row.state != DeviceState::RolledBack,
                Some(Verdict::Complete) => row.state == DeviceState::Pending,
                _ => row.state.is_changing(),
            };
            prop_assert!(!left, "{} is {:?}:\n{}", device.id, row.state, self.fleet.story);
        }
        Ok(())
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let figures = Figures {
        fps: 10.0,
        latency_p95_ms: 80.0,
        completed: 100,
        errors: 0,
    };
    let step = || (0_usize..STEPS.len()).prop_map(|at| STEPS[at]);
    let nature = prop_oneof![
        6 => Just(Nature::Good(figures)),
        1 => step().prop_map(Nature::Fails),
        1 => step().prop_map(Nature::Hangs),
    ];
    let outage = prop_oneof![
        4 => any::<bool>().prop_map(Outage::Online),
        1 => any::<bool>().prop_map(Outage::Member),
        1 => any::<bool>().prop_map(Outage::Pause),
        1 => Just(Outage::Join),
    ];
    (
        policies(),
        prop::collection::vec((0_u8..4, nature), 0..12),
        prop::collection::vec((0..RESTLESS, 0_usize..12, outage), 0..12),
    )
        .prop_map(|(policy, devices, outages)| Case {
            policy,
            devices,
            outages,
        })
}

fn policies() -> impl Strategy<Value = RolloutPolicy> {
    let pause = any::<bool>().prop_map(|pause| if pause { "pause" } else { "rollback" });
    let waves = prop_oneof![Just("[]"), Just(r#"["100%"]"#), Just(r#"["10%", "50%", "100%"]"#)];
    let gates = prop_oneof![
        Just("[]"),
        Just(r#"[{"successRatio": {}}]"#),
        Just(r#"[{"successRatio": {"min": 0.5}}, {"latencyP95": {"max": "120ms"}}]"#),
    ];
    (0_u32..3, waves, 1_u32..4, 1_u32..3, gates, pause).prop_map(|(canary, waves, samples, site, gates, pause)| {
        let text = format!(
            r#"{{"canary": {{"count": {canary}}}, "waves": {waves}, "minSamples": {samples}, "maxPerSite": {site},
                "gates": {gates}, "onFailure": "{pause}", "bake": "2m", "offlineGrace": "10m",
                "deviceTimeout": "8m", "progressDeadline": "45m"}}"#
        );
        serde_json::from_str(&text).unwrap()
    })
}

const _: () = assert!(TICKS * TICK > 2 * 45 * 60);
