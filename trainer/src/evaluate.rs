//! The accuracy of a network that was trained before, on the test images of any data set of its form.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use crate::args::EvaluateArgs;
use crate::data::{DataError, Dataset};
use crate::exit::Exit;
use crate::local::{print, read_trained};
use crate::model::{Net, set_numbers};
use crate::training::{Evaluation, evaluate};

/// Prints one line of JSON.
pub fn run(args: &EvaluateArgs) -> Result<(), Exit> {
    let EvaluateArgs { checkpoint, data } = args;
    let evaluation = judge(checkpoint, data)?;
    let line = serde_json::to_string(&evaluation)
        .context("evaluation")
        .map_err(Exit::Temporary)?;
    print(&line)
}

fn judge(checkpoint: &Path, data: &str) -> Result<Evaluation, Exit> {
    let net = restore(checkpoint)?;
    let architecture = net.architecture();
    let (resolution, channels) = (architecture.resolution, architecture.channels);
    let data = Dataset::load(data)
        .and_then(|data| data.fitted(resolution, channels, architecture.classes()))
        .map_err(|error: DataError| Exit::BadInput(error.into()))?;
    let all: Vec<_> = (0..data.test.len()).collect();
    let found = evaluate(&net, &data.test, &all, &mut || true)
        .context("libtorch")
        .map_err(Exit::Temporary)?;
    // Nobody says no above.
    found.ok_or(Exit::Terminated)
}

/// The network of a checkpoint.
pub(crate) fn restore(checkpoint: &Path) -> Result<Net, Exit> {
    let (architecture, numbers) = read_trained(checkpoint)?;
    let mut net = Net::new(&architecture, 0)
        .context("libtorch")
        .map_err(Exit::Temporary)?;
    for named in net.tensors_mut() {
        let found = numbers.iter().find(|(name, _)| *name == named.name);
        let Some((_, found)) = found else {
            let problem = anyhow!("{}: no tensor {:?} in it", checkpoint.display(), named.name);
            return Err(Exit::BadInput(problem));
        };
        set_numbers(&mut named.tensor, found)
            .with_context(|| format!("{}: tensor {:?}", checkpoint.display(), named.name))
            .map_err(Exit::BadInput)?;
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TrainArgs;
    use crate::data::tests::folder;

    #[test]
    fn finds_the_accuracy_that_the_training_found() {
        crate::model::tests::one_thread();
        let (data, out) = (folder(250), tempfile::tempdir().unwrap());
        let data = data.path().display().to_string();
        let args = TrainArgs {
            arch: "m1/4x1/stem-h1-o8-k3-s1-relu6/head-h16-o2-k1-s1-relu6".into(),
            data: data.clone(),
            out: out.path().into(),
            epochs: 1,
            seed: 5,
            validation_split: 0.2,
            limit: None,
            // So slow that some images stay wrong.
            recipe: r#"{"peakRate":0.001}"#.into(),
        };
        crate::local::train(&args, &crate::termination::Termination::default()).unwrap();
        let metrics = std::fs::read(out.path().join("metrics.json")).unwrap();
        let metrics: protocol::trainer::Metrics = serde_json::from_slice(&metrics).unwrap();
        let found = judge(&out.path().join("checkpoint"), &data).unwrap();
        assert_eq!((found.images, found.accuracy), (250, metrics.accuracy));
        assert_eq!(found.per_class_accuracy, metrics.per_class_accuracy);
    }

    #[test]
    fn says_what_is_no_checkpoint() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = judge(file.path(), "/nowhere").unwrap_err().to_string();
        assert!(error.contains("not a checkpoint of this version"), "{error}");
    }
}
