//! The new graph while the old one runs: its engine, its workers at rest, its new nodes open.

use std::mem;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::packet::SidePacket;
use crate::run::engine::{Engine, Progress};
use crate::run::inbox::Phase;
use crate::run::reload::ReloadError;
use crate::run::reload::diff::{Diff, maker};
use crate::run::{Inputs, threads};
use crate::sync::lock;
use crate::validate::plan::ValidatedGraph;

/// Unless it takes over, what was opened is closed again when this goes.
pub(super) struct Prepared {
    pub(super) engine: Arc<Engine>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Prepared {
    pub(super) fn new(
        graph: &ValidatedGraph,
        inputs: Inputs,
        progress: &Arc<Progress>,
    ) -> Result<Self, ReloadError> {
        let (engine, workers) = graph.engine(inputs, Arc::clone(progress), true)?;
        let prepared = Self {
            engine,
            threads: Mutex::default(),
        };
        let started = threads::start(&prepared.engine, &workers, false, &prepared.threads);
        started.map_err(ReloadError::Start)?;
        Ok(prepared)
    }

    /// Opens all nodes that aren't kept, writers before readers; one whose side packets are made by a call of Process
    /// opens after the switch, as it would in a graph that starts.
    pub(super) fn open(&self, old: &Engine, diff: &Diff) -> Result<(), ReloadError> {
        self.take_what_kept_nodes_said(old, diff);
        let new = &self.engine;
        let mut open = vec![false; new.cells.len()];
        for index in new.plan.open_order.iter().copied() {
            let (Some(cell), Some(planned)) = (new.cells.get(index), new.plan.nodes.get(index)) else {
                continue;
            };
            let is_open = if let Some(before) = diff.kept(index) {
                let before = old.cells.get(before);
                before.is_some_and(|cell| lock(&cell.inbox).phase != Phase::Unopened)
            } else {
                let writers_open = planned
                    .opens_after
                    .iter()
                    .all(|writer| open.get(*writer) == Some(&true));
                let side = lock(&new.opening.side);
                writers_open && planned.side.iter().all(|(_, _, name)| side.contains_key(name))
            };
            if let (true, None) = (is_open, diff.kept(index)) {
                let failed = |problem: String| ReloadError::Open {
                    node: planned.name.clone(),
                    problem,
                };
                let mut body = lock(&cell.body);
                let opened = new.call_open(cell, planned, &mut body);
                opened.map_err(|error| failed(error.to_string()))?;
                let mut side = lock(&new.opening.side);
                for (output, packet) in mem::take(&mut body.io.side) {
                    let name = planned.side_outputs.get(output).map(|(_, _, name)| name.clone());
                    let before = name.and_then(|name| side.insert(name, packet));
                    if before.is_some() {
                        return Err(failed("a side packet was made twice".to_owned()));
                    }
                }
            }
            if let Some(open) = open.get_mut(index) {
                *open = is_open;
            }
        }
        Ok(())
    }

    pub(super) fn take_threads(&self) -> Vec<JoinHandle<()>> {
        mem::take(&mut *lock(&self.threads))
    }

    /// Headers and side packets of nodes that stay open.
    fn take_what_kept_nodes_said(&self, old: &Engine, diff: &Diff) {
        let new = &self.engine;
        let headers = lock(&old.opening.headers);
        for (index, node) in new.plan.nodes.iter().enumerate() {
            let Some(before) = diff.kept(index).and_then(|before| old.plan.nodes.get(before)) else {
                continue;
            };
            for (was, now) in before.outputs.iter().zip(&node.outputs) {
                if let Some(header) = headers.get(&was.stream) {
                    lock(&new.opening.headers).insert(now.stream.clone(), header.clone());
                }
            }
        }
        drop(headers);
        let made = made_by_kept_nodes(old, new, diff);
        lock(&new.opening.side).extend(made);
    }
}

/// Side packets that nodes which stay have made, by their new names.
pub(super) fn made_by_kept_nodes(old: &Engine, new: &Engine, diff: &Diff) -> Vec<(String, SidePacket)> {
    let before = lock(&old.opening.side);
    let nodes = new.plan.nodes.iter().enumerate();
    let names = nodes.filter_map(|(index, node)| Some((old.plan.nodes.get(diff.kept(index)?)?, node)));
    names
        .flat_map(|(was, now)| was.side_outputs.iter().zip(&now.side_outputs))
        .filter(|((_, _, was), _)| maker(&old.plan, was).is_some())
        .filter_map(|((_, _, was), (_, _, now))| Some((now.clone(), before.get(was)?.clone())))
        .collect()
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let threads = self.take_threads();
        if !threads.is_empty() {
            // The last worker closes what is open.
            self.engine.services.pool.halt();
            threads::join(threads);
        }
    }
}
