//! A picture of a graph, as SVG: time runs from top to bottom.
//!
//! Layers by the longest way from the sources, order in a layer by the middle of the neighbours (Sugiyama, Tagawa and
//! Toda 1981). Needs no calculator to be known: what can't run can still be looked at.

mod layers;
mod scene;
mod svg;
#[cfg(test)]
mod tests;

use crate::load::LoadedGraph;
use crate::spec::GraphSpec;
use crate::subgraph::expand;
use crate::validate::GraphError;

/// Draws a graph with its subgraphs in their places.
pub fn draw(graph: &GraphSpec) -> Result<String, Vec<GraphError>> {
    let flat =
        expand(graph).map_err(|faults| faults.into_iter().map(|fault| fault.error).collect::<Vec<_>>())?;
    let scene = scene::scene(&flat.graph);
    let layout = layers::arrange(&scene);
    Ok(svg::render(&scene, &layout))
}

impl LoadedGraph {
    pub fn draw(&self) -> Result<String, Vec<GraphError>> {
        draw(&self.graph)
    }
}
