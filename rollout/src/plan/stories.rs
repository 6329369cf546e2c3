//! Whole rollouts as text: each file of `tests/stories` holds a fleet and what becomes of it.
//!
//! `UPDATE_STORIES=1 cargo test -p rollout` writes what is told now; read the difference before keeping it.

use std::fmt::Write as _;

use units::Duration;

use super::simulation::{Deed, Fleet, Nature, TICK};
use crate::facts::{DeviceState, Figures};

macro_rules! stories {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), include_str!(concat!("../../tests/stories/", stringify!($name), ".txt")));
        })*

        #[test]
        fn every_story_is_told() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories");
            let mut names: Vec<_> = std::fs::read_dir(folder).unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            names.sort();
            let mut told = vec![$(stringify!($name)),*];
            told.sort_unstable();
            assert_eq!(names, told);
        }
    };
}

stories!(
    happy_path,
    canary_fails,
    late_failure_rolls_everybody_back,
    failure_pauses,
    one_of_a_site_at_a_time,
    offline_device_comes_back,
    offline_canary_is_no_success,
    hanging_device_times_out,
    paused_and_resumed,
    late_joiner_and_leaver,
    slow_model_fails_the_latency_gate,
    rollback_of_a_device_that_is_away,
);

const RULE: &str = "----\n";

fn check(name: &str, file: &str) {
    let (given, expected) = file.split_once(RULE).unwrap_or((file, ""));
    let told = tell(name, given);
    if std::env::var_os("UPDATE_STORIES").is_some() {
        let path = format!("{}/tests/stories/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, format!("{given}{RULE}{told}")).unwrap();
        return;
    }
    assert!(told == expected, "{name} is told differently now:\n{told}");
}

fn tell(name: &str, given: &str) -> String {
    let mut lines = given
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let policy = lines
        .next()
        .and_then(|line| line.strip_prefix("policy "))
        .expect("first line: policy {…}");
    let mut fleet = Fleet::new(name, serde_json::from_str(policy).unwrap());
    let (mut deeds, mut until) = (Vec::new(), 0);
    for line in lines {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["device", id, site, ref nature @ ..] => fleet.do_to(id, join(site, nature)),
            ["at", time, "pause"] => deeds.push((seconds(time), String::new(), Deed::Pause(true))),
            ["at", time, "resume"] => deeds.push((seconds(time), String::new(), Deed::Pause(false))),
            ["at", time, id, "offline"] => deeds.push((seconds(time), id.into(), Deed::Online(false))),
            ["at", time, id, "online"] => deeds.push((seconds(time), id.into(), Deed::Online(true))),
            ["at", time, id, "leaves"] => deeds.push((seconds(time), id.into(), Deed::Member(false))),
            ["at", time, id, "joins", site, ref nature @ ..] => {
                deeds.push((seconds(time), id.into(), join(site, nature)));
            }
            ["until", time] => until = seconds(time),
            _ => panic!("not understood: {line}"),
        }
    }
    for _ in 0..=until / TICK {
        let now = fleet.now.as_second() as u64;
        let (due, later): (Vec<_>, Vec<_>) = deeds.into_iter().partition(|(at, ..)| *at <= now);
        deeds = later;
        for (_, id, deed) in due {
            fleet.do_to(&id, deed);
        }
        fleet.tick();
        fleet.advance_clock();
    }
    let verdict = fleet.last.as_ref().map(|plan| plan.verdict);
    let mut story = fleet.story;
    writeln!(story, "end: {:?}", verdict.unwrap()).unwrap();
    for device in &fleet.facts.devices {
        if let Some(row) = &device.row {
            let code = row
                .code
                .as_deref()
                .map(|code| format!(" ({code})"))
                .unwrap_or_default();
            writeln!(
                story,
                "  {} wave {} {}{code}",
                device.id,
                row.wave + 1,
                row.state.as_str()
            )
            .unwrap();
        }
    }
    story
}

fn join(site: &str, nature: &[&str]) -> Deed {
    let figures = Figures {
        fps: 10.0,
        latency_p95_ms: 80.0,
        completed: 1000,
        errors: 0,
    };
    let state = |name: &str| DeviceState::parse(name).unwrap();
    let nature = match nature {
        ["good"] => Nature::Good(figures),
        ["slow"] => Nature::Good(Figures {
            latency_p95_ms: 300.0,
            ..figures
        }),
        ["fails", at] => Nature::Fails(state(at)),
        ["hangs", at] => Nature::Hangs(state(at)),
        _ => panic!("no such nature: {nature:?}"),
    };
    Deed::Join {
        site: site.into(),
        nature,
    }
}

fn seconds(text: &str) -> u64 {
    text.parse::<Duration>().unwrap().get().as_secs()
}
