//! A profile in a file (`protocol::profile::ProfileDocument`) as a latency model: files are found by their digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use protocol::profile::ProfileDocument;
use protocol::reported::Runtime;
use search::latency::{CALIBRATION_NETS, Fit, Latency, LatencyModel, calibration_nets};
use search::space::{Architecture, BlockKey, Space};

use crate::exit::Exit;

/// What was measured on one machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    path: PathBuf,
    pub runtime: Runtime,
    /// By the digest of the file, or why it can't be measured.
    pub files: BTreeMap<String, Result<Latency, String>>,
}

impl Profile {
    pub(crate) fn read(path: &Path) -> Result<Self, Exit> {
        Self::of(path, Self::document(path)?)
    }

    pub(crate) fn document(path: &Path) -> Result<ProfileDocument, Exit> {
        let bytes = std::fs::read(path)
            .with_context(|| {
                format!(
                    "can't read {}: write it with `edge-agent measure BLOCKS --out {}`",
                    path.display(),
                    path.display()
                )
            })
            .map_err(Exit::BadInput)?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is no profile", path.display()))
            .map_err(Exit::BadInput)
    }

    pub(crate) fn of(path: &Path, document: ProfileDocument) -> Result<Self, Exit> {
        let ProfileDocument {
            version: _,
            runtime,
            rows,
            failures,
        } = document;
        let mut files = BTreeMap::new();
        for row in rows {
            let latency = Latency {
                p50_us: row.measured.p50_us,
                p95_us: row.measured.p95_us,
            };
            for value in [latency.p50_us, latency.p95_us] {
                if !(value.is_finite() && value > 0.0) {
                    let problem = anyhow!(
                        "{}: row {} has the latency {value}: measurements are finite and above zero",
                        path.display(),
                        row.name
                    );
                    return Err(Exit::BadInput(problem));
                }
            }
            files.insert(row.sha256.as_str().to_owned(), Ok(latency));
        }
        for failed in failures {
            files.insert(failed.sha256.as_str().to_owned(), Err(failed.reason));
        }
        Ok(Self {
            path: path.to_owned(),
            runtime,
            files,
        })
    }

    /// The latency model of a space, and how well it meets the whole networks it is calibrated on.
    pub(crate) fn model(
        &self,
        space: &Space,
        seed: u64,
        job: &Path,
    ) -> Result<(LatencyModel, Option<Fit>), Exit> {
        let keys = space.block_keys();
        let mut rows = Vec::with_capacity(keys.len());
        let mut missing: Vec<(BlockKey, Option<&str>)> = Vec::new();
        for key in &keys {
            match self.files.get(&export::profile_block(key).sha256) {
                Some(Ok(latency)) => rows.push((*key, *latency)),
                Some(Err(reason)) => missing.push((*key, Some(reason))),
                None => missing.push((*key, None)),
            }
        }
        if let Some((key, reason)) = missing.first() {
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let (count, all) = (missing.len(), keys.len());
            let (profile, job) = (self.path.display(), job.display());
            return Err(Exit::BadInput(anyhow!(
                "{profile} lacks {count} of the search space's {all} blocks, the first is {key}{reason}: run `trainer \
                 blocks {job} --out blocks`, then on the device `edge-agent measure blocks --out {profile}`"
            )));
        }
        let mut model = LatencyModel::new(rows);
        let whole = |net: Architecture| {
            let latency = self.net(&net)?.as_ref().ok()?;
            Some((net, *latency))
        };
        let nets: Vec<_> = calibration_nets(space, CALIBRATION_NETS, seed)
            .into_iter()
            .filter_map(whole)
            .collect();
        if nets.is_empty() {
            return Ok((model, None));
        }
        let fit = model
            .calibrate(&nets)
            .context("calibration")
            .map_err(Exit::BadInput)?;
        Ok((model, Some(fit)))
    }

    /// A network measured whole, without weights.
    pub(crate) fn net(&self, net: &Architecture) -> Option<&Result<Latency, String>> {
        self.files.get(&export::profile_net(net).sha256)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::profile::{Measured, ProfileOutcome};
    use search::space::SearchSpaceConfig;

    use super::*;

    /// Of a made-up machine: 8 µs and 0.3 ns for each multiply-accumulate, whole networks as the sum of their work.
    pub(crate) fn document(space: &Space, seed: u64) -> ProfileDocument {
        let text = r#"{"version":1,"runtime":{"hash":"h","engine":"e 1","provider":"CPU","threads":1,"cpu":"Board 4"}}"#;
        let mut document: ProfileDocument = serde_json::from_str(text).unwrap();
        let mut put = |name: String, sha256: String, macs: u64| {
            let p50_us = 8.0 + macs as f64 * 3e-4;
            let measured = Measured {
                p50_us,
                p95_us: p50_us * 1.1,
                min_us: p50_us,
                runs: 100,
                disturbed: false,
            };
            document.put(
                &name,
                &sha256.parse().unwrap(),
                ProfileOutcome::Measured(measured),
            );
        };
        for key in space.block_keys() {
            put(
                key.to_string(),
                export::profile_block(&key).sha256,
                key.cost().macs,
            );
        }
        for net in calibration_nets(space, CALIBRATION_NETS, seed) {
            put(
                format!("net-{}", net.id()),
                export::profile_net(&net).sha256,
                net.cost().macs,
            );
        }
        document
    }

    #[test]
    fn a_profile_is_a_model_or_says_what_to_run() {
        let space = Space::from_config(&SearchSpaceConfig::default()).unwrap();
        let path = Path::new("profile.json");
        let whole = document(&space, 1);
        let profile = Profile::of(path, whole.clone()).unwrap();
        let (model, fit) = profile.model(&space, 1, Path::new("job.json")).unwrap();
        assert_eq!(fit.unwrap().nets, 10);
        assert!(model.error_bar() < 0.05, "{}", model.error_bar());
        // Another seed has other networks to calibrate on, and these were not measured.
        let (model, fit) = profile.model(&space, 2, Path::new("job.json")).unwrap();
        assert!(fit.is_none() && model.error_bar() > 0.09);

        let mut lacking = whole.clone();
        lacking.rows.drain(..3);
        let said = Profile::of(path, lacking).unwrap();
        let said = said.model(&space, 1, Path::new("job.json")).unwrap_err();
        let first = space.block_keys()[0];
        assert_eq!(
            said.to_string(),
            format!(
                "profile.json lacks 3 of the search space's 101 blocks, the first is {first}: run `trainer blocks \
                 job.json --out blocks`, then on the device `edge-agent measure blocks --out profile.json`"
            )
        );
        let mut broken = whole;
        broken.rows[0].measured.p95_us = 0.0;
        let said = Profile::of(path, broken).unwrap_err().to_string();
        assert!(said.contains("has the latency 0"), "{said}");
    }
}
