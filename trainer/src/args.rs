//! All arguments and environment variables.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::exit::Exit;
use crate::termination::Termination;
use crate::{bench, evaluate, local, local_search, quantize, supernet, worker};

/// Trains networks that a search chose.
#[derive(Debug, Parser)]
#[command(name = "trainer", version)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Threads that train; the machine's (or the pod's limit of) cores when not given.
    #[arg(long, env = "OMP_NUM_THREADS", global = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Claims trials of a job from the operator, one after the other, until none is left.
    Run(RunArgs),
    /// Trains one architecture from a folder of data.
    Train(TrainArgs),
    /// Searches a network inside a bound by training all networks of a space at once.
    Supernet(SupernetArgs),
    /// Searches a model within a device's bounds, trains it and exports it: a NasJob without a cluster.
    Search(SearchArgs),
    /// Writes the ONNX files without weights that a profile is measured on: each block of a search space, and whole
    /// networks to calibrate on.
    Blocks(BlocksArgs),
    /// Writes the ONNX file of a checkpoint.
    Export(ExportArgs),
    /// Writes the ONNX file of a checkpoint with 8-bit numbers, if it is still good enough; prints one line of JSON.
    Quantize(QuantizeArgs),
    /// Says how accurate the network of a checkpoint is on test images; prints one line of JSON.
    Evaluate(EvaluateArgs),
    /// Times the training step alone on random data; prints one line of JSON.
    BenchStep(BenchStepArgs),
}

#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// Address of the operator, for instance http://haizen-operator.haizen:8080.
    #[arg(long, env = "HAIZEN_URL")]
    pub url: String,
    /// Token of this job.
    #[arg(long, env = "HAIZEN_TOKEN", hide_env_values = true)]
    pub token: String,
    /// Id of the job.
    #[arg(long, env = "HAIZEN_JOB")]
    pub job: String,
    /// Name of this worker, different from every other's.
    #[arg(long, env = "HAIZEN_WORKER")]
    pub worker: String,
}

#[derive(Debug, ClapArgs)]
pub struct TrainArgs {
    /// The architecture's text, or a file that holds it.
    #[arg(long)]
    pub arch: String,
    /// Folder or file:// address of the data.
    #[arg(long)]
    pub data: String,
    /// Folder for model.onnx, metrics.json and the checkpoint; a checkpoint there is gone on from.
    #[arg(long)]
    pub out: PathBuf,
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub epochs: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Share of the training images held out.
    #[arg(long, default_value_t = 0.1)]
    pub validation_split: f64,
    /// Use only so many training images.
    #[arg(long)]
    pub limit: Option<u32>,
    /// Settings of the training as JSON, over the defaults; for instance {"batch": 64, "peakRate": 0.1}.
    #[arg(long, default_value = "{}")]
    pub recipe: String,
}

#[derive(Debug, ClapArgs)]
pub struct SupernetArgs {
    /// A NasJob, or its spec, with one target, as JSON.
    pub job: PathBuf,
    /// Latencies of the space's blocks on the device, as JSON.
    #[arg(long)]
    pub profile: PathBuf,
    /// Folder for result.json, architecture.txt and the checkpoint; a checkpoint there is gone on from.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct SearchArgs {
    /// A NasJob, or its spec, as JSON.
    pub job: PathBuf,
    /// What `edge-agent measure blocks/ --out FILE` wrote on the device.
    #[arg(long, value_name = "FILE")]
    pub profile: PathBuf,
    /// Folder for model.onnx, metrics.json and front.json; a search that was ended there is gone on with.
    #[arg(long)]
    pub out: PathBuf,
    /// The target to search for, where the job names several.
    #[arg(long)]
    pub target: Option<String>,
    /// The edge-agent that measures candidates whole, if this machine is the device; the one beside this program when
    /// not given.
    #[arg(long, value_name = "PROGRAM")]
    pub agent: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct BlocksArgs {
    /// A NasJob, or its spec, as JSON; the preset mobile-small when not given.
    #[arg(conflicts_with = "space")]
    pub job: Option<PathBuf>,
    /// File with a `searchSpace` alone as JSON.
    #[arg(long)]
    pub space: Option<PathBuf>,
    /// Folder for the files, named by block.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct ExportArgs {
    /// A checkpoint that `train` left.
    #[arg(long)]
    pub checkpoint: PathBuf,
    /// The ONNX file to write.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct QuantizeArgs {
    /// A checkpoint that `train` left.
    #[arg(long)]
    pub checkpoint: PathBuf,
    /// Folder or file:// address of the data: training images show the ranges, test images judge.
    #[arg(long)]
    pub data: String,
    /// The ONNX file to write.
    #[arg(long)]
    pub out: PathBuf,
    /// Training images whose values are looked at.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub images: u32,
    /// Percent of the numbers between two layers that lie inside their range.
    #[arg(long, default_value_t = 99.999, value_parser = percent)]
    pub percentile: f64,
    /// Percent points of accuracy that may be lost.
    #[arg(long, default_value_t = 1.0, value_parser = percent)]
    pub most_lost: f64,
    /// Percent of the labels that have to be those of the float file.
    #[arg(long, default_value_t = 97.0, value_parser = percent)]
    pub least_agreement: f64,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err("must be 0 to 100".to_owned())
    }
}

#[derive(Debug, ClapArgs)]
pub struct EvaluateArgs {
    /// A checkpoint that `train` left.
    #[arg(long)]
    pub checkpoint: PathBuf,
    /// Folder or file:// address of the data.
    #[arg(long)]
    pub data: String,
}

#[derive(Debug, ClapArgs)]
pub struct BenchStepArgs {
    /// The architecture's text, or a file that holds it; a MobileNetV2 of half width when not given.
    #[arg(long, default_value = bench::MOBILENET, hide_default_value = true)]
    pub arch: String,
    /// Images in a step.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch: u32,
    /// Steps before the first that counts.
    #[arg(long, default_value_t = 5)]
    pub warm_up: u32,
    /// Steps that count.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: u32,
}

impl Args {
    pub fn run(self) -> ExitCode {
        let Self { command, threads } = self;
        log();
        tch::set_num_threads(i32::from(threads.unwrap_or_else(cores)));
        let result = match command {
            Command::Run(args) => worker::run(args),
            Command::Train(args) => Termination::listen().and_then(|asked| local::train(&args, &asked)),
            Command::Search(args) => Termination::listen().and_then(|asked| local_search::run(&args, &asked)),
            Command::Supernet(args) => supernet::supernet(&args),
            Command::Blocks(args) => local::blocks(&args),
            Command::Export(args) => local::export(&args),
            Command::Quantize(args) => quantize::run(&args),
            Command::Evaluate(args) => evaluate::run(&args),
            Command::BenchStep(args) => bench::step(&args),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(exit) => {
                match exit {
                    Exit::Terminated => tracing::info!("{exit}"),
                    Exit::BadInput(_) | Exit::Temporary(_) => tracing::error!("{exit}"),
                }
                exit.code()
            }
        }
    }
}

/// Respects a pod's CPU limit, which libtorch by itself does not.
fn cores() -> u16 {
    std::thread::available_parallelism().map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(u16::MAX))
}

fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
