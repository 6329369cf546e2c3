//! What the columns of a table mean, by their names alone.
//!
//! `latency_ms_NAME` is a device; `DATASET_val_Nep` and `DATASET_test_Nep` are accuracies in percent after N
//! epochs; any other `DATASET_score` is a zero-cost score of that data set. `mean_acc` is an accuracy without a
//! data set in its name; parameters and operations are scores of every data set.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::csv::Csv;

const LATENCY: &str = "latency_ms_";
/// Columns that hold the network itself, the first that exists.
const NETWORK: [&str; 3] = ["arch_str", "arch", "ops"];
/// Beginnings of columns that say how large a network is.
const SIZES: [&str; 4] = ["param", "flop", "mac", "size"];
/// The accuracy of a table with one data set, and that data set.
const ONLY: (&str, &str) = ("mean_acc", "c10");

/// Where the readings of one data set stand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Readings {
    /// Test accuracy of the longest training.
    pub(crate) full: usize,
    /// Validation accuracy of the shortest training.
    pub(crate) short: Option<usize>,
    pub(crate) scores: Vec<usize>,
}

pub(crate) fn network(csv: &Csv) -> Result<usize> {
    let found = NETWORK.iter().find_map(|name| csv.column(name));
    found.map_or_else(
        || {
            bail!(
                "{} has no column {} with the networks; it has {}",
                csv.path.display(),
                NETWORK.join(", "),
                csv.header.join(", ")
            )
        },
        Ok,
    )
}

pub(crate) fn devices(csv: &Csv) -> Vec<(String, usize)> {
    let device = |(index, name): (usize, &String)| Some((name.strip_prefix(LATENCY)?.to_owned(), index));
    csv.header.iter().enumerate().filter_map(device).collect()
}

pub(crate) fn datasets(csv: &Csv) -> Vec<String> {
    let of = |name: &String| {
        let accuracy = Accuracy::of(name)?;
        accuracy.is_test.then(|| accuracy.dataset.to_owned())
    };
    let mut names: BTreeSet<String> = csv.header.iter().filter_map(of).collect();
    if csv.column(ONLY.0).is_some() {
        names.insert(ONLY.1.to_owned());
    }
    names.into_iter().collect()
}

pub(crate) fn readings(csv: &Csv, dataset: &str) -> Result<Readings> {
    let accuracies: Vec<(usize, Accuracy<'_>)> = csv
        .header
        .iter()
        .enumerate()
        .filter_map(|(index, name)| Some((index, Accuracy::of(name)?)))
        .filter(|(_, accuracy)| accuracy.dataset == dataset)
        .collect();
    let tests = accuracies.iter().filter(|(_, accuracy)| accuracy.is_test);
    let longest = tests.max_by_key(|(_, accuracy)| accuracy.epochs);
    let only = csv.column(ONLY.0).filter(|_| dataset == ONLY.1);
    let Some(full) = longest.map(|(index, _)| *index).or(only) else {
        let names = datasets(csv);
        if names.is_empty() {
            bail!(
                "{} has no accuracies: no column is named like c10_test_200ep or {}; it has {}",
                csv.path.display(),
                ONLY.0,
                csv.header.join(", ")
            );
        }
        bail!(
            "{} has no dataset {dataset:?} (no column {dataset}_test_200ep); it has {}",
            csv.path.display(),
            names.join(", ")
        );
    };
    let validations = accuracies.iter().filter(|(_, accuracy)| !accuracy.is_test);
    let short = validations.min_by_key(|(_, accuracy)| accuracy.epochs);
    Ok(Readings {
        full,
        short: short.map(|(index, _)| *index),
        scores: scores(csv, dataset),
    })
}

fn scores(csv: &Csv, dataset: &str) -> Vec<usize> {
    let is_score = |name: &str| {
        let own = name
            .strip_prefix(dataset)
            .is_some_and(|rest| rest.starts_with('_'));
        let size = SIZES.iter().any(|size| name.starts_with(size));
        size || (own && Accuracy::of(name).is_none())
    };
    (0..csv.header.len())
        .filter(|index| is_score(&csv.header[*index]))
        .collect()
}

/// A column named `DATASET_val_12ep` or `DATASET_test_200ep`.
struct Accuracy<'a> {
    dataset: &'a str,
    is_test: bool,
    epochs: u32,
}

impl<'a> Accuracy<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (rest, epochs) = name.strip_suffix("ep")?.rsplit_once('_')?;
        let (dataset, split) = rest.rsplit_once('_')?;
        Some(Self {
            dataset,
            is_test: match split {
                "test" => true,
                "val" => false,
                _ => return None,
            },
            epochs: epochs.parse().ok()?,
        })
    }
}
