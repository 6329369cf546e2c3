//! Trainings that are killed outright end in the same file as one that was left alone.

use std::process::{Command, Stdio};

use super::*;
use crate::data::tests::folder;

const ARCHITECTURE: &str = "m1/4x1/stem-h1-o8-k3-s1-relu6/ir-h16-o8-k3-s1-relu6/head-h16-o2-k1-s1-relu6";
/// Where the child process finds its orders: folder of data, folder of results, when to die.
const ORDERS: &str = "HAIZEN_TEST_ORDERS";

fn args(data: &str, out: &Path) -> TrainArgs {
    TrainArgs {
        arch: ARCHITECTURE.into(),
        data: data.into(),
        out: out.into(),
        epochs: 3,
        seed: 5,
        validation_split: 0.2,
        limit: None,
        recipe: r#"{"batch":8}"#.into(),
    }
}

/// When a training dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// At this look at its progress, of which there is one in ten steps.
    Look(u32),
    /// Before this checkpoint is written, and after.
    BeforeCheckpoint(u32),
    AfterCheckpoint(u32),
}

struct Mortal<'a> {
    folder: Folder<'a>,
    death: Death,
    looks: u32,
    checkpoints: u32,
}

impl Mortal<'_> {
    fn reach(&self, place: Death) {
        if self.death == place {
            let id = std::process::id().to_string();
            drop(Command::new("kill").args(["-KILL", &id]).status());
        }
    }
}

impl Observer for Mortal<'_> {
    fn go_on(&mut self, at: &Moment) -> bool {
        self.looks += 1;
        self.reach(Death::Look(self.looks));
        self.folder.go_on(at)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.checkpoints += 1;
        self.reach(Death::BeforeCheckpoint(self.checkpoints));
        self.folder.checkpoint(checkpoint);
        self.reach(Death::AfterCheckpoint(self.checkpoints));
    }
}

/// The child's part; without orders there is nothing to do.
#[test]
fn dies_as_ordered() {
    let Ok(orders) = std::env::var(ORDERS) else {
        return;
    };
    let [data, out, kind, number] = orders.split('|').collect::<Vec<_>>().try_into().unwrap();
    let number = number.parse().unwrap();
    let death = match kind {
        "look" => Death::Look(number),
        "before" => Death::BeforeCheckpoint(number),
        _ => Death::AfterCheckpoint(number),
    };
    crate::model::tests::one_thread();
    let out = Path::new(out);
    let args = args(data, out);
    let recipe = serde_json::from_str(&args.recipe).unwrap();
    let mut observer = Mortal {
        folder: Folder::new(out),
        death,
        looks: 0,
        checkpoints: 0,
    };
    let task = Task {
        architecture: &ARCHITECTURE.parse().unwrap(),
        data: &Dataset::load(data).unwrap().fitted(4, 1, 2).unwrap(),
        validation_split: args.validation_split,
        limit: args.limit,
        epochs: args.epochs,
        seed: args.seed,
        recipe: &recipe,
    };
    run(&task, read_checkpoint(out).unwrap().as_ref(), &mut observer).unwrap();
}

/// A training in a process of its own, which has to end by the signal.
fn killed(data: &str, out: &Path, death: &str) {
    use std::os::unix::process::ExitStatusExt as _;
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local::tests::dies_as_ordered"])
        .env(ORDERS, format!("{data}|{}|{death}", out.display()))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "{death}: {status}");
}

#[test]
fn a_killed_training_ends_in_the_same_file() {
    crate::model::tests::one_thread();
    let data = folder(250);
    let data = data.path().display().to_string();
    let result = |out: &Path| {
        train(&args(&data, out), &Termination::default()).unwrap();
        fs::read(out.join("model.onnx")).unwrap()
    };
    let alone = tempfile::tempdir().unwrap();
    let undisturbed = result(alone.path());

    let out = tempfile::tempdir().unwrap();
    let out = out.path();
    // Each goes on from what the one before has left; counts start anew in each process.
    for death in ["look|2", "before|1", "after|1", "look|1", "before|1", "after|1"] {
        killed(&data, out, death);
    }
    // A machine that lost power may leave half a file.
    let newest = out.join(CHECKPOINT);
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    assert!(
        read_checkpoint(out).unwrap().unwrap().place.step > 0,
        "the one before is still there"
    );
    assert!(
        !newest.exists(),
        "half a file never takes the place of a whole one"
    );
    killed(&data, out, "before|1");
    killed(&data, out, "look|2");
    assert_eq!(result(out), undisturbed);
}

#[test]
fn a_training_that_is_asked_to_end_leaves_a_checkpoint_and_ends_in_the_same_file() {
    crate::model::tests::one_thread();
    let data = folder(250);
    let data = data.path().display().to_string();
    let (alone, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train(&args(&data, alone.path()), &Termination::default()).unwrap();
    let asked = Termination::default();
    asked.ask();
    let end = train(&args(&data, out.path()), &asked).unwrap_err();
    assert!(matches!(end, Exit::Terminated), "{end}");
    let place = read_checkpoint(out.path()).unwrap().unwrap().place;
    assert!(place.step > 0, "it stopped within the first epoch");
    train(&args(&data, out.path()), &Termination::default()).unwrap();
    let result = |out: &Path| fs::read(out.join(MODEL)).unwrap();
    assert_eq!(result(out.path()), result(alone.path()));
}
