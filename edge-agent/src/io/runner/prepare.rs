//! From what is installed to what a graph is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pipeline::backend::Model;
use pipeline::packet::SidePacket;
use pipeline::{Registry, ValidatedGraph, validate};
use protocol::id::Digest;

use super::figures::Figures;
use super::list;
use crate::agent::{Failure, Installed};

#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) run: u64,
    pub(super) installed: Installed,
    /// Where its models are.
    pub(super) files: BTreeMap<String, PathBuf>,
}

pub(super) struct Prepared {
    pub(super) graph: ValidatedGraph,
    pub(super) side_packets: BTreeMap<String, SidePacket>,
    pub(super) figures: Figures,
}

pub(super) fn open_failed(message: String) -> Failure {
    Failure::new("GraphOpenFailed", message)
}

impl Order {
    pub(super) fn prepare(&self, threads: usize) -> Result<Prepared, Failure> {
        let Self {
            run: _,
            installed,
            files,
        } = self;
        let graph = validate(&installed.graph, &Registry::standard())
            .map_err(|errors| Failure::new("GraphInvalid", list(&errors)))?;
        let mut side_packets = BTreeMap::new();
        for (name, path) in files {
            let bytes = std::fs::read(path)
                .map_err(|error| open_failed(format!("model {name}: {}: {error}", path.display())))?;
            // The bytes that run are the bytes that were checked, whatever happened to the file since.
            let wanted = installed.models.get(name).map(|model| &model.sha256);
            let found = Digest::of(&bytes);
            if wanted != Some(&found) {
                let message = format!("model {name}: {} has digest {found}", path.display());
                return Err(Failure::new("DigestMismatch", message));
            }
            let model = Model {
                name: name.clone(),
                bytes: bytes.into(),
                threads,
            };
            side_packets.insert(name.clone(), SidePacket::new(model));
        }
        Ok(Prepared {
            figures: Figures::new(&graph),
            graph,
            side_packets,
        })
    }
}
