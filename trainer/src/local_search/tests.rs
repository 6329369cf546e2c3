//! Whole searches on made-up data, killed and asked to end, with and without a program that measures.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::data::tests::folder;
use crate::profile::tests::document;

/// What the child process of a test is to do: folder of the test, folder of results.
const ORDERS: &str = "HAIZEN_TEST_SEARCH";

/// A job, its profile and its data in a folder.
struct Desk {
    folder: tempfile::TempDir,
    data: tempfile::TempDir,
}

fn desk(strategy: &str, budget: &str, bound: &str) -> Desk {
    crate::model::tests::one_thread();
    let desk = Desk {
        folder: tempfile::tempdir().unwrap(),
        data: folder(120),
    };
    let text = format!(
        r#"{{"task":{{"imageClassification":{{"dataset":{{"uri":"{}"}},"validationSplit":0.2}}}},
            "searchSpace":{{"mobileBlocks":{{"classes":2,"resolutions":[16],"widths":[0.5,1.0],"depths":[1,2],"kernels":[3],
              "expands":[2,4],"stages":[{{"channels":8,"stride":2}},{{"channels":16,"stride":2}}]}}}},
            "strategy":{strategy},"targets":[{{"name":"pi","constraints":{{"latency":{{"p95":"{bound}"}}}}}}],
            "budget":{budget}}}"#,
        desk.data.path().display()
    );
    fs::write(desk.path("job.json"), text).unwrap();
    let job = JobFile::read(&desk.path("job.json"))
        .unwrap()
        .check(None)
        .unwrap();
    let profile = document(&job.space, job.seed);
    fs::write(desk.path("profile.json"), serde_json::to_vec(&profile).unwrap()).unwrap();
    desk
}

impl Desk {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn args(&self, out: &str) -> SearchArgs {
        SearchArgs {
            job: self.path("job.json"),
            profile: self.path("profile.json"),
            out: self.path(out),
            target: None,
            agent: None,
        }
    }

    fn search(&self, out: &str) -> Result<(), Exit> {
        run(&self.args(out), &Termination::default())
    }

    /// All that a search leaves for its user.
    fn result(&self, out: &str) -> (String, Vec<u8>) {
        let file = |name: &str| fs::read(self.path(out).join(name)).unwrap();
        (String::from_utf8(file("front.json")).unwrap(), file("model.onnx"))
    }
}

const LEARNING: (&str, &str) = (
    r#"{"evolution":{"guide":"none"}}"#,
    r#"{"trials":6,"trialEpochs":1,"trainEpochs":2,"finalists":1,"seed":3}"#,
);

#[test]
fn every_strategy_ends_in_an_exported_model() {
    for strategy in [
        r#"{"random":{}}"#,
        r#"{"compoundScaling":{}}"#,
        r#"{"evolution":{}}"#,
        r#"{"mnasnet":{}}"#,
        r#"{"proxyless":{}}"#,
        r#"{"fbnet":{}}"#,
    ] {
        let trials = if strategy.contains("random") || strategy.contains("compound") {
            ""
        } else {
            r#""trials":4,"#
        };
        let budget =
            format!(r#"{{{trials}"candidates":10,"trialEpochs":1,"trainEpochs":2,"finalists":1,"seed":3}}"#);
        let desk = desk(strategy, &budget, "60us");
        desk.search("out").unwrap();
        let (front, model) = desk.result("out");
        let front: serde_json::Value = serde_json::from_str(&front).unwrap();
        let best = &front["best"];
        assert_eq!(
            best["sha256"].as_str().unwrap(),
            protocol::id::Digest::of(&model).as_str(),
            "{strategy}"
        );
        let at_most = best["predictedP95Us"].as_f64().unwrap() * (1.0 + front["errorBar"].as_f64().unwrap());
        assert!(
            at_most <= 60.0 && best["measuredP95Us"].is_null(),
            "{strategy}: {front}"
        );
    }
}

/// The child's part; without orders there is nothing to do.
#[test]
fn searches_as_ordered() {
    let Ok(orders) = std::env::var(ORDERS) else {
        return;
    };
    let (home, out) = orders.split_once('|').unwrap();
    crate::model::tests::one_thread();
    let home = Path::new(home);
    let args = SearchArgs {
        job: home.join("job.json"),
        profile: home.join("profile.json"),
        out: home.join(out),
        target: None,
        agent: None,
    };
    run(&args, &Termination::default()).unwrap();
}

#[test]
fn a_killed_search_ends_as_an_undisturbed_one() {
    let desk = desk(LEARNING.0, LEARNING.1, "60us");
    desk.search("alone").unwrap();
    // Killed as soon as one more training has ended than at the last time.
    for ended in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local_search::tests::searches_as_ordered"])
            .env(ORDERS, format!("{}|out", desk.folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let done = || {
            let trials = fs::read_dir(desk.path("out/trials"));
            trials
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.path().join("metrics.json").exists())
                .count()
        };
        while done() < ended && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    desk.search("out").unwrap();
    assert_eq!(desk.result("out"), desk.result("alone"));
    // Once more: nothing is left to do, and nothing changes.
    desk.search("out").unwrap();
    assert_eq!(desk.result("out"), desk.result("alone"));
}

#[test]
fn a_search_that_is_asked_to_end_goes_on_later() {
    let desk = desk(LEARNING.0, LEARNING.1, "60us");
    let asked = Termination::default();
    asked.ask();
    let end = run(&desk.args("out"), &asked).unwrap_err();
    assert!(matches!(end, Exit::Terminated), "{end}");
    desk.search("out").unwrap();
    desk.search("alone").unwrap();
    assert_eq!(desk.result("out"), desk.result("alone"));
}

#[test]
fn a_folder_of_another_search_is_left_alone() {
    let first = desk(LEARNING.0, LEARNING.1, "60us");
    let asked = Termination::default();
    asked.ask();
    run(&first.args("out"), &asked).unwrap_err();
    let text = fs::read_to_string(first.path("job.json")).unwrap();
    fs::write(first.path("job.json"), text.replace("\"seed\":3", "\"seed\":4")).unwrap();
    let error = first.search("out").unwrap_err().to_string();
    assert!(error.contains("holds another search"), "{error}");
}

#[test]
fn a_bound_below_the_fastest_network_names_the_nearest() {
    let desk = desk(LEARNING.0, LEARNING.1, "5us");
    let error = desk.search("out").unwrap_err();
    let text = error.to_string();
    let start = "even the nearest architecture of the space misses: latency p95 ";
    assert!(
        text.starts_with(start) && text.contains("is above the bound 5us"),
        "{text}"
    );
    assert!(matches!(error, Exit::BadInput(_)));
}

/// A stand-in for the edge agent: says it is the profile's machine, and gives every file the same latency.
fn agent(desk: &Desk, p95_us: &str) -> PathBuf {
    let path = desk.path("agent.sh");
    let runtime = r#"{"hash":"h","engine":"e 1","provider":"CPU","threads":1,"cpu":"Board 4"}"#;
    let script = format!(
        r#"#!/bin/sh
if [ "$1" = runtime ]; then echo '{runtime}'; exit; fi
rows=$(grep -o '{{"name".*}}' "$6" 2>/dev/null | sed 's/$/,/')
for file in "$4"/*.onnx; do
  sum=$(sha256sum "$file" | cut -d' ' -f1)
  rows="$rows
{{\"name\":\"x\",\"sha256\":\"$sum\",\"p50Us\":1,\"p95Us\":{p95_us},\"minUs\":1,\"runs\":9,\"disturbed\":false}},"
done
printf '{{"version":1,"runtime":{runtime},"rows":[%s\n]}}' "${{rows%,}}" > "$6"
"#
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn candidates_are_measured_whole_before_and_after_training() {
    let desk = desk(LEARNING.0, LEARNING.1, "60us");
    let mut args = desk.args("out");
    args.agent = Some(agent(&desk, "55.5"));
    run(&args, &Termination::default()).unwrap();
    let front: serde_json::Value = serde_json::from_str(&desk.result("out").0).unwrap();
    assert_eq!(front["best"]["measuredP95Us"], 55.5);

    // Above its bound as measured, a candidate is not trained. What is left is the network that fits best: it was
    // measured with the profile, and breaks its bound only once it is trained.
    let mut args = desk.args("slow");
    args.agent = Some(agent(&desk, "61"));
    let error = run(&args, &Termination::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("no trained model keeps every bound: architecture ")
            && error.ends_with("measured after training 61us, is 1.7 % above the bound of 60us"),
        "{error}"
    );
    let trained = fs::read_dir(desk.path("slow/trials")).unwrap();
    let trained: std::collections::BTreeSet<_> = trained
        .map(|entry| entry.unwrap().file_name().into_string().unwrap()[..16].to_owned())
        .collect();
    assert_eq!(trained.len(), 1, "{trained:?}");
    let state = fs::read_to_string(desk.path("slow/search.json")).unwrap();
    assert!(state.contains("is 1.7 % above the bound of 60us"), "{state}");
}

#[test]
fn a_disturbed_measurement_is_repeated_and_the_quickest_counts() {
    let space = search::space::Space::from_config(&search::space::SearchSpaceConfig::default()).unwrap();
    let at = |p95_us: f64| {
        let mut found = document(&space, 1);
        found.rows.truncate(1);
        found.rows[0].measured.p95_us = p95_us;
        found.rows[0].measured.min_us = 50.0;
        found
    };
    let sha256 = at(1.0).rows[0].sha256.clone();
    let is_unsettled = |found: &ProfileDocument| super::is_unsettled(found, &sha256, 60.0);
    assert!(!is_unsettled(&at(59.0)) && is_unsettled(&at(61.0)));
    assert_eq!(quickest(at(61.0), at(58.0)).rows, at(58.0).rows);
    assert_eq!(quickest(at(58.0), at(61.0)).rows, at(58.0).rows);
    // Slow in every single run: that is the network.
    let mut slow = at(61.0);
    slow.rows[0].measured.min_us = 60.5;
    assert!(!is_unsettled(&slow));
}

#[test]
fn an_agent_of_another_machine_is_refused() {
    let desk = desk(LEARNING.0, LEARNING.1, "60us");
    let mut args = desk.args("out");
    let path = agent(&desk, "1");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"hash\":\"h\"", "\"hash\":\"other\"");
    fs::write(&path, text).unwrap();
    args.agent = Some(path);
    let error = run(&args, &Termination::default()).unwrap_err().to_string();
    assert!(error.contains("the profile is of another runtime"), "{error}");
}

#[test]
fn the_time_left_counts_what_is_to_come() {
    let at = Moment {
        epoch: 1,
        epochs: 3,
        fraction: 0.0,
        loss: 0.5,
        seconds_left: 60.0,
    };
    assert_eq!(left_in_all(&at, 0), "about 1 min");
    assert_eq!(left_in_all(&at, 10), "about 6 min");
    assert_eq!(left_in_all(&Moment { epoch: 3, ..at }, 10), "a moment");
}
