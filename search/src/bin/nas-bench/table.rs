//! A folder's table: networks, readings of their accuracy, latencies on devices.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use search::space::Choices;

use super::blocks;
use super::columns::{self, Readings};
use super::csv::Csv;
use super::network::Networks;

/// Short names of tables whose files are called otherwise.
const ALIASES: [(&str, &str); 2] = [("macro", "nasbench_macro"), ("fbnet", "fbnet_latency")];
const ENDINGS: [&str; 2] = [".csv.gz", ".csv"];

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) csv: Csv,
    pub(crate) networks: Networks,
    /// Row of each network.
    pub(crate) rows: HashMap<Choices, usize>,
    pub(crate) devices: Vec<Device>,
}

/// One device's latency of every network in milliseconds; NaN where it is not known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) latency_ms: Vec<f64>,
}

/// One data set's accuracies in percent, by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Accuracies {
    pub(crate) full: Vec<f64>,
    pub(crate) short: Option<Vec<f64>>,
    pub(crate) scores: Vec<Vec<f64>>,
}

impl Table {
    pub(crate) fn open(folder: &Path, table: &str) -> Result<Self> {
        let stem = ALIASES
            .iter()
            .find(|(alias, _)| *alias == table)
            .map_or(table, |(_, stem)| stem);
        let path = ENDINGS
            .iter()
            .map(|ending| folder.join(format!("{stem}{ending}")))
            .find(|path| path.is_file());
        let Some(path) = path else {
            bail!(
                "no table {table:?}: {} is not in {}; there are {}",
                format_args!("{stem}.csv.gz"),
                folder.display(),
                tables(folder)?
            );
        };
        let csv = Csv::read(&path)?;
        let network = columns::network(&csv)?;
        let texts: Vec<&str> = csv.text(network).collect();
        let networks = Networks::of(&texts).with_context(|| format!("networks of {}", path.display()))?;
        let mut devices = Vec::new();
        for (name, column) in columns::devices(&csv) {
            devices.push(Device {
                name,
                latency_ms: csv.numbers(column)?,
            });
        }
        for (name, path) in block_tables(folder, stem)? {
            devices.push(Device {
                latency_ms: blocks::latency(&path, &texts)?,
                name,
            });
        }
        let rows: HashMap<Choices, usize> = networks.points.iter().cloned().zip(0..).collect();
        if rows.len() < networks.points.len() {
            bail!(
                "{}: {} networks stand there more than once",
                path.display(),
                networks.points.len() - rows.len()
            );
        }
        Ok(Self {
            csv,
            networks,
            rows,
            devices,
        })
    }

    pub(crate) fn device(&self, name: &str) -> Result<&Device> {
        self.devices.iter().find(|device| device.name == name).with_context(|| {
            let names: Vec<_> = self.devices.iter().map(|device| device.name.as_str()).collect();
            let path = self.csv.path.display();
            if names.is_empty() {
                format!("{path} has no latencies: no column is named like latency_ms_NAME, and no file beside it like TABLE_latency_NAME.json")
            } else {
                format!("{path} has no device {name:?} (no column latency_ms_{name}); it has {}", names.join(", "))
            }
        })
    }

    pub(crate) fn accuracies(&self, dataset: &str) -> Result<Accuracies> {
        let Readings { full, short, scores } = columns::readings(&self.csv, dataset)?;
        Ok(Accuracies {
            full: self.csv.numbers(full)?,
            short: short.map(|column| self.csv.numbers(column)).transpose()?,
            scores: scores
                .into_iter()
                .map(|column| self.csv.numbers(column))
                .collect::<Result<_>>()?,
        })
    }
}

/// Files `STEM_latency_NAME.json` with their NAME.
fn block_tables(folder: &Path, stem: &str) -> Result<Vec<(String, PathBuf)>> {
    let prefix = format!("{stem}_latency_");
    let of = |name: String| {
        let device = name.strip_prefix(&prefix)?.strip_suffix(".json")?.to_owned();
        Some((device, folder.join(name)))
    };
    Ok(files(folder)?.into_iter().filter_map(of).collect())
}

fn tables(folder: &Path) -> Result<String> {
    let is_table = |name: &String| ENDINGS.iter().any(|ending| name.ends_with(ending));
    let names: Vec<_> = files(folder)?.into_iter().filter(is_table).collect();
    Ok(if names.is_empty() {
        "no .csv.gz files".to_owned()
    } else {
        names.join(", ")
    })
}

fn files(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("read folder {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}
