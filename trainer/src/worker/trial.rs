//! One trial from its document to its result.

use protocol::id::Digest;
use protocol::trainer::{JobDocument, Metrics, Task as TaskDocument, TrialFailure, TrialResult};
use search::space::Architecture;
use tokio::sync::watch;

use crate::data::{DataError, Dataset};
use crate::training::{Checkpoint, Outcome, Recipe, Task, TrainingError, train};
use crate::worker::client::{Client, ClientError};
use crate::worker::pulse::{Reporter, pair};

/// How a trial ended here.
#[derive(Debug, PartialEq)]
pub(super) enum Done {
    HandedIn {
        accuracy: f64,
    },
    /// The operator was told why.
    GivenUp {
        code: &'static str,
        message: String,
    },
    /// Another worker has it now.
    Lost,
    /// The pod has to end; the checkpoint is with the operator.
    Stopped,
}

/// Why a trial can't be trained; the variant's name is the code the operator gets.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    JobDocumentInvalid(String),
    #[error(transparent)]
    DatasetInvalid(#[from] DataError),
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error("the trained network can't be exported: {0}")]
    Export(#[from] export::ExportError),
    #[error("the training ended unexpectedly")]
    Crashed,
}

impl Problem {
    fn code(&self) -> &'static str {
        match self {
            Self::JobDocumentInvalid(_) => "JobDocumentInvalid",
            Self::DatasetInvalid(_) | Self::Training(TrainingError::NothingLeft { .. }) => "DatasetInvalid",
            Self::Training(TrainingError::LossNotFinite { .. }) => "LossNotFinite",
            Self::Training(TrainingError::Checkpoint(_)) => "CheckpointInvalid",
            Self::Training(TrainingError::Torch(_)) => "TrainingFailed",
            Self::Export(_) => "ExportFailed",
            Self::Crashed => "TrainingCrashed",
        }
    }

    /// Another try, or another machine, may succeed.
    fn is_temporary(&self) -> bool {
        match self {
            Self::DatasetInvalid(DataError::Read { .. })
            | Self::Training(TrainingError::Torch(_))
            | Self::Crashed => true,
            Self::JobDocumentInvalid(_) | Self::DatasetInvalid(_) | Self::Training(_) | Self::Export(_) => {
                false
            }
        }
    }
}

pub(super) async fn run(
    client: &Client,
    document: JobDocument,
    stop: watch::Receiver<bool>,
) -> Result<Done, ClientError> {
    let trial = document.trial.clone();
    let done = match carry_out(client, document, stop).await {
        Ok(Ok(Finished::Model { model, metrics })) => hand_in(client, &trial, model, metrics).await,
        Ok(Ok(Finished::Stopped(checkpoint))) => client
            .put_checkpoint(&trial, checkpoint.to_bytes())
            .await
            .map(|()| Done::Stopped),
        Ok(Err(problem)) => give_up(client, &trial, &problem).await,
        Err(error) => Err(error),
    };
    match done {
        Err(error) if error.is_lost() => Ok(Done::Lost),
        other => other,
    }
}

enum Finished {
    Model {
        model: export::OnnxFile,
        metrics: Metrics,
    },
    Stopped(Box<Checkpoint>),
}

/// Trains in a thread of its own while the lease is kept here.
async fn carry_out(
    client: &Client,
    document: JobDocument,
    stop: watch::Receiver<bool>,
) -> Result<Result<Finished, Problem>, ClientError> {
    let trial = document.trial.clone();
    let checkpoint = if document.checkpoint {
        client.checkpoint(&trial).await?
    } else {
        None
    };
    let (reporter, pulse) = pair(document.epochs, document.lease_seconds);
    let training = tokio::task::spawn_blocking(move || work(&document, checkpoint.as_deref(), reporter));
    let beat = pulse.beat(client, &trial, stop).await;
    // Also after a lost lease: two trainings at once would only hinder each other.
    let finished = training.await.unwrap_or(Err(Problem::Crashed));
    beat.map(|()| finished)
}

fn work(
    document: &JobDocument,
    checkpoint: Option<&[u8]>,
    mut reporter: Reporter,
) -> Result<Finished, Problem> {
    let JobDocument {
        version,
        architecture,
        epochs,
        seed,
        ..
    } = document;
    if *version != protocol::VERSION {
        let message = format!("version {version}: this trainer speaks {}", protocol::VERSION);
        return Err(Problem::JobDocumentInvalid(message));
    }
    let TaskDocument::ImageClassification {
        dataset_uri,
        validation_split,
        limit,
    } = &document.task;
    let architecture: Architecture = serde_json::from_value(architecture.clone())
        .map_err(|error| Problem::JobDocumentInvalid(format!("architecture: {error}")))?;
    let data = Dataset::load(dataset_uri)?.fitted(
        architecture.resolution,
        architecture.channels,
        architecture.classes(),
    )?;
    let task = Task {
        architecture: &architecture,
        data: &data,
        validation_split: *validation_split,
        limit: *limit,
        epochs: *epochs,
        seed: *seed,
        recipe: &Recipe::default(),
    };
    // One that can't be used costs time, not the trial.
    let checkpoint = checkpoint.and_then(|bytes| {
        Checkpoint::from_bytes(bytes)
            .inspect_err(|error| tracing::warn!("starting over: {error}"))
            .ok()
    });
    let outcome = match train(&task, checkpoint.as_ref(), &mut reporter) {
        Err(TrainingError::Checkpoint(error)) => {
            tracing::warn!("starting over: {error}");
            train(&task, None, &mut reporter)?
        }
        other => other?,
    };
    match outcome {
        Outcome::Finished { net, metrics } => {
            let weights = net.weights().map_err(TrainingError::from)?;
            Ok(Finished::Model {
                model: export::trained_net(&architecture, &weights)?,
                metrics,
            })
        }
        Outcome::Stopped(checkpoint) => Ok(Finished::Stopped(Box::new(checkpoint))),
    }
}

async fn hand_in(
    client: &Client,
    trial: &str,
    model: export::OnnxFile,
    metrics: Metrics,
) -> Result<Done, ClientError> {
    let (digest, size) = (Digest::of(&model.bytes), model.bytes.len() as u64);
    client.put_model(trial, digest.as_str(), model.bytes).await?;
    let accuracy = metrics.accuracy;
    let result = TrialResult {
        worker: client.worker().to_owned(),
        model: digest,
        size,
        metrics,
    };
    client.result(trial, &result).await?;
    Ok(Done::HandedIn { accuracy })
}

async fn give_up(client: &Client, trial: &str, problem: &Problem) -> Result<Done, ClientError> {
    let failure = TrialFailure {
        worker: client.worker().to_owned(),
        code: problem.code().to_owned(),
        message: problem.to_string(),
        retryable: problem.is_temporary(),
    };
    client.failure(trial, &failure).await?;
    Ok(Done::GivenUp {
        code: problem.code(),
        message: failure.message,
    })
}
