//! The models of the command line, as the graph's side packets.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use pipeline::ValidatedGraph;
use pipeline::backend::Model;
use pipeline::packet::{SidePacket, TypeInfo};

use crate::args::RunArgs;
use crate::profiler::machine;

/// Reads them all; whatever the graph needs besides is named before anything is started.
pub(super) fn models(args: &RunArgs, graph: &ValidatedGraph) -> Result<BTreeMap<String, SidePacket>> {
    check(args, graph)?;
    let threads = args.threads.unwrap_or_else(machine::default_threads).max(1);
    let mut models = BTreeMap::new();
    for (name, path) in &args.models {
        let bytes =
            std::fs::read(path).with_context(|| format!("read model {name} from {}", path.display()))?;
        let model = Model {
            name: name.clone(),
            bytes: bytes.into(),
            threads,
        };
        if models.insert(name.clone(), SidePacket::new(model)).is_some() {
            bail!("model {name} is given twice");
        }
    }
    Ok(models)
}

fn check(args: &RunArgs, graph: &ValidatedGraph) -> Result<()> {
    let given = || args.models.iter().map(|(name, _)| name);
    let wanted = graph.given_side_packets();
    for side in wanted.iter().filter(|side| !side.optional) {
        let (name, node) = (&side.name, &side.node);
        if given().any(|given| given == name) {
            continue;
        }
        if !side.takes(TypeInfo::of::<Model>()) {
            bail!(
                "node {node} needs side packet {name}, and only models can be given here: make it in the graph, with \
                 ConstantSidePacket"
            );
        }
        let unused = given().find(|given| wanted.iter().all(|side| side.name != **given));
        let unused = unused.map_or(String::new(), |other| {
            format!(" (the graph names no model {other})")
        });
        bail!("node {node} needs model {name}: give it with --model {name}=FILE{unused}");
    }
    Ok(())
}
