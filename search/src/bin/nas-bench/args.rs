//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures search strategies on tables of finished networks.
///
/// One evaluation is one reading of an accuracy of the longest training; a reading of the shortest training
/// costs 0.06; latency, parameters and zero-cost scores are free. Prints one line of JSON for each question.
#[derive(Debug, Clone, Parser)]
#[command(name = "nas-bench", version)]
pub(crate) struct Args {
    /// The folder with the tables.
    pub(crate) folder: PathBuf,
    /// nb201, macro, fbnet, or the name of another .csv.gz file in the folder.
    #[arg(long, default_value = "nb201")]
    pub(crate) table: String,
    /// DATASET of the columns DATASET_test_200ep; several with commas, or `all`.
    #[arg(long, default_value = "c10")]
    pub(crate) dataset: String,
    /// NAME of the column latency_ms_NAME; several with commas, or `all`.
    #[arg(long, default_value = "all")]
    pub(crate) device: String,
    /// The bound: this quantile of the device's latency over all networks; several with commas.
    #[arg(long, default_value = "0.1,0.3,0.5", value_delimiter = ',')]
    pub(crate) quantile: Vec<f64>,
    /// random, evolution, regularisedEvolution, mnasnet, …, or a strategy's settings as JSON; several with
    /// commas, or `all`.
    #[arg(long, default_value = "evolution")]
    pub(crate) strategy: String,
    /// How many evaluations a search may spend.
    #[arg(long, default_value_t = 50)]
    pub(crate) evaluations: u32,
    /// How many searches, with seeds 0, 1, ….
    #[arg(long, default_value_t = 30)]
    pub(crate) seeds: u32,
    /// Search the front of accuracy and latency, and print the share of the true hypervolume.
    #[arg(long)]
    pub(crate) pareto: bool,
    /// Foretell the device's latencies from the other devices' and a few of its own: networks that the model
    /// chooses to be measured, and, for comparison under `random`, networks drawn evenly.
    #[arg(long, conflicts_with = "pareto")]
    pub(crate) latency_model: bool,
    /// How many of its own.
    #[arg(long, default_value_t = 10, requires = "latency_model")]
    pub(crate) samples: usize,
    /// Print a table of all strategies instead of lines: means over the devices and quantiles.
    #[arg(long, conflicts_with = "latency_model")]
    pub(crate) summary: bool,
}
