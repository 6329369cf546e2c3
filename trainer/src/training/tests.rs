use super::*;
use crate::data::tests::folder;

const SMALL: &str = "m1/4x1/stem-h1-o8-k3-s1-relu6/ir-h16-o8-k3-s1-relu6/head-h16-o2-k1-s1-relu6";

/// Stops at the given call; keeps the checkpoints.
#[derive(Default)]
struct Watcher {
    calls: usize,
    stop_at: Option<usize>,
    moments: Vec<Moment>,
    checkpoints: Vec<Checkpoint>,
}

impl Observer for Watcher {
    fn go_on(&mut self, at: &Moment) -> bool {
        self.calls += 1;
        self.moments.push(*at);
        self.stop_at != Some(self.calls)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.checkpoints.push(checkpoint);
    }
}

fn with_task<T>(recipe: &Recipe, body: impl FnOnce(&Task<'_>) -> T) -> T {
    crate::model::tests::one_thread();
    let folder = folder(250);
    let data = Dataset::load(&folder.path().display().to_string())
        .unwrap()
        .fitted(4, 1, 2)
        .unwrap();
    let architecture = SMALL.parse().unwrap();
    body(&Task {
        architecture: &architecture,
        data: &data,
        validation_split: 0.2,
        limit: None,
        epochs: 3,
        seed: 5,
        recipe,
    })
}

fn small() -> Recipe {
    // No shift: which half is bright is all there is to see.
    Recipe {
        batch: 8,
        shift: 0,
        ..Recipe::default()
    }
}

fn finished(outcome: Outcome) -> (Net, Metrics) {
    match outcome {
        Outcome::Finished { net, metrics } => (net, metrics),
        Outcome::Stopped(_) => panic!("stopped"),
    }
}

#[test]
fn learns_what_can_be_learned() {
    with_task(&small(), |task| {
        let mut watcher = Watcher::default();
        let (_, metrics) = finished(train(task, None, &mut watcher).unwrap());
        assert_eq!((metrics.accuracy, metrics.validation_accuracy), (1.0, 1.0));
        assert_eq!(
            (
                metrics.test_images,
                metrics.per_class_accuracy.len(),
                watcher.checkpoints.len()
            ),
            (250, 2, 3)
        );
        let (first, last) = (watcher.moments[0], watcher.moments[watcher.moments.len() - 1]);
        assert!(
            first.loss > last.loss && last.epoch == 3 && last.seconds_left == 0.0,
            "{first:?} {last:?}"
        );
    });
}

fn averaging() -> Recipe {
    Recipe {
        ema: Some(0.95),
        ..small()
    }
}

#[test]
fn an_interrupted_training_ends_in_the_same_network() {
    for recipe in [small(), averaging()] {
        is_the_same_when_interrupted(&recipe);
    }
}

fn is_the_same_when_interrupted(recipe: &Recipe) {
    with_task(recipe, |task| {
        let (undisturbed, _) = finished(train(task, None, &mut Watcher::default()).unwrap());
        let mut checkpoint = None;
        // In the middle of an epoch, right after one, and in the evaluation.
        for stop_at in [3, 5, 1, 6] {
            let mut watcher = Watcher {
                stop_at: Some(stop_at),
                ..Watcher::default()
            };
            match train(task, checkpoint.as_ref(), &mut watcher).unwrap() {
                Outcome::Stopped(stopped) => {
                    checkpoint = Some(Checkpoint::from_bytes(&stopped.to_bytes()).unwrap());
                }
                Outcome::Finished { .. } => break,
            }
        }
        assert!(checkpoint.is_some());
        let (resumed, _) = finished(train(task, checkpoint.as_ref(), &mut Watcher::default()).unwrap());
        assert_eq!(resumed.weights().unwrap(), undisturbed.weights().unwrap());
    });
}

/// The mean, not the last step, is judged, handed out, and what others find in the checkpoint.
#[test]
fn an_average_of_the_weights_takes_their_place() {
    with_task(&averaging(), |task| {
        let mut watcher = Watcher::default();
        let (net, metrics) = finished(train(task, None, &mut watcher).unwrap());
        assert!(metrics.accuracy > 0.99);
        let checkpoint = watcher.checkpoints.pop().unwrap();
        let find = |name: &str| {
            let found = checkpoint.tensors.iter().find(|(found, _)| found == name);
            found.map(|(_, tensor)| tensor.clone()).unwrap()
        };
        let weights = net.weights().unwrap();
        let network = checkpoint.clone().into_network();
        assert_eq!(weights.0.len(), network.len());
        for (name, tensor) in network {
            assert_eq!(
                (&weights.0[&name], &find(&format!("average:{name}"))),
                (&tensor, &tensor)
            );
            assert_ne!(find(&name), tensor, "{name}");
        }
    });
    // What is learned does not depend on who keeps a mean of it.
    let last = |recipe: &Recipe| {
        with_task(recipe, |task| {
            let mut watcher = Watcher::default();
            train(task, None, &mut watcher).unwrap();
            let tensors = watcher.checkpoints.pop().unwrap().tensors;
            tensors
                .into_iter()
                .filter(|(name, _)| !name.starts_with("average:"))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(last(&averaging()), last(&small()));
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    with_task(&small(), |task| {
        let mut watcher = Watcher {
            stop_at: Some(1),
            ..Watcher::default()
        };
        let Outcome::Stopped(mut checkpoint) = train(task, None, &mut watcher).unwrap() else {
            panic!()
        };
        checkpoint.place.seed = 6;
        let error = train(task, Some(&checkpoint), &mut Watcher::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("(seed 6, 3 epochs), not of") && error.contains("(seed 5, 3 epochs)"),
            "{error}"
        );
    });
}

#[test]
fn a_loss_that_is_not_finite_is_an_error() {
    with_task(
        &Recipe {
            peak_rate: 1e30,
            ..small()
        },
        |task| {
            let error = train(task, None, &mut Watcher::default()).unwrap_err();
            assert!(
                matches!(error, TrainingError::LossNotFinite { epoch: 1, .. }),
                "{error}"
            );
        },
    );
}

#[test]
fn a_split_that_leaves_nothing_is_an_error() {
    with_task(&small(), |task| {
        let task = Task {
            limit: Some(3),
            validation_split: 0.1,
            data: task.data,
            architecture: task.architecture,
            recipe: task.recipe,
            ..*task
        };
        let error = train(&task, None, &mut Watcher::default())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "3 training images are too few for a validation split of 0.1"
        );
    });
}
