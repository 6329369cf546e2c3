//! What changes from one graph to the next: which nodes stay as they are, and which are made anew.

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::Model;
use crate::packet::SidePacket;
use crate::run::cell::rules;
use crate::validate::plan::{Limit, Plan, PlannedNode, PlannedPort};

/// What becomes of a node of the new graph; numbers are those of the old graph's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Goes on with its object, what it sent and what waits for it.
    Kept(usize),
    /// Made anew in the place of one: what waits on its ports stays.
    Replaced(usize),
    Added,
}

#[derive(Debug)]
pub(super) struct Diff {
    /// By node number of the new graph.
    pub(super) fates: Vec<Fate>,
    /// Nodes of the old graph that have no successor.
    pub(super) removed: Vec<usize>,
}

type SidePackets = BTreeMap<String, SidePacket>;
/// Whether a node of the old graph goes on as one of the new graph.
type Rule = fn(&PlannedNode, &PlannedNode) -> bool;

impl Diff {
    /// `before` are the old graph's side packets, `given` those that the new graph starts with.
    pub(super) fn new(old: &Plan, new: &Plan, before: &SidePackets, given: &SidePackets) -> Self {
        let pairs = pairs(old, new);
        let fate = |(index, pair): (usize, &Option<usize>)| match *pair {
            None => Fate::Added,
            Some(before) if is_same_node(old.nodes.get(before), new.nodes.get(index)) => Fate::Kept(before),
            Some(before) => Fate::Replaced(before),
        };
        let mut fates: Vec<Fate> = pairs.iter().enumerate().map(fate).collect();
        // Who reads a side packet of a node that is made anew gets another one.
        loop {
            let changed = (0..fates.len()).find_map(|index| match fates.get(index) {
                Some(Fate::Kept(was)) => {
                    let side = Side {
                        old,
                        new,
                        before,
                        given,
                        fates: &fates,
                    };
                    let same = side.is_same(old.nodes.get(*was)?, new.nodes.get(index)?);
                    (!same).then_some((index, *was))
                }
                _ => None,
            });
            match changed {
                None => break,
                Some((index, was)) => {
                    if let Some(fate) = fates.get_mut(index) {
                        *fate = Fate::Replaced(was);
                    }
                }
            }
        }
        let paired: BTreeSet<usize> = pairs.into_iter().flatten().collect();
        Self {
            fates,
            removed: (0..old.nodes.len())
                .filter(|node| !paired.contains(node))
                .collect(),
        }
    }

    /// The same graph, but for some nodes that are made anew.
    pub(super) fn without(nodes: usize, anew: &[usize]) -> Self {
        let fate = |node| {
            if anew.contains(&node) {
                Fate::Replaced(node)
            } else {
                Fate::Kept(node)
            }
        };
        Self {
            fates: (0..nodes).map(fate).collect(),
            removed: Vec::new(),
        }
    }

    pub(super) fn kept(&self, index: usize) -> Option<usize> {
        match self.fates.get(index) {
            Some(Fate::Kept(before)) => Some(*before),
            _ => None,
        }
    }
}

/// For each node of the new graph the one of the old graph that it continues.
fn pairs(old: &Plan, new: &Plan) -> Vec<Option<usize>> {
    let mut pairs: Vec<Option<usize>> = vec![None; new.nodes.len()];
    let mut free: BTreeSet<usize> = (0..old.nodes.len()).collect();
    // Names given by number shift when a node is put before: such a node is known by what it is and reads.
    let rules: [Rule; 3] = [
        |one, other| has_same_name(one, other) && is_unchanged(one, other),
        |one, other| is_named_by_number(one) && is_named_by_number(other) && is_unchanged(one, other),
        has_same_name,
    ];
    for rule in rules {
        for (node, pair) in new.nodes.iter().zip(&mut pairs) {
            if pair.is_some() {
                continue;
            }
            let found = free
                .iter()
                .copied()
                .find(|before| old.nodes.get(*before).is_some_and(|before| rule(before, node)));
            if let Some(before) = found {
                free.remove(&before);
                *pair = Some(before);
            }
        }
    }
    pairs
}

fn has_same_name(one: &PlannedNode, other: &PlannedNode) -> bool {
    one.name == other.name
}

fn is_unchanged(one: &PlannedNode, other: &PlannedNode) -> bool {
    is_same_node(Some(one), Some(other)) && has_same_streams(one, other)
}

fn is_named_by_number(node: &PlannedNode) -> bool {
    let own = node.name.rsplit("__").next().unwrap_or(&node.name);
    own.strip_prefix(node.kind.name).is_some_and(|rest| {
        let number = rest.strip_prefix('_').unwrap_or(rest);
        number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The same calculator with the same options and ports, whatever the streams are called.
fn is_same_node(old: Option<&PlannedNode>, new: Option<&PlannedNode>) -> bool {
    let (Some(old), Some(new)) = (old, new) else {
        return false;
    };
    let side = |side: &[(&'static str, usize, String)]| -> Vec<(&'static str, usize)> {
        side.iter().map(|(tag, index, _)| (*tag, *index)).collect()
    };
    old.kind.name == new.kind.name
        && old.options == new.options
        && old.parallel == new.parallel
        && ports(&old.inputs).eq(ports(&new.inputs))
        && ports(&old.outputs).eq(ports(&new.outputs))
        && side(&old.side) == side(&new.side)
        && side(&old.side_outputs) == side(&new.side_outputs)
}

fn ports(ports: &[PlannedPort]) -> impl Iterator<Item = (&'static str, usize)> {
    ports.iter().map(|port| (port.tag, port.index))
}

fn has_same_streams(old: &PlannedNode, new: &PlannedNode) -> bool {
    let streams =
        |ports: &[PlannedPort]| -> Vec<String> { ports.iter().map(|port| port.stream.clone()).collect() };
    streams(&old.inputs) == streams(&new.inputs) && streams(&old.outputs) == streams(&new.outputs)
}

/// Whether a node that is kept is wired or treated otherwise than before.
pub(super) fn is_adjusted(old: &PlannedNode, new: &PlannedNode) -> bool {
    let limits = |node: &PlannedNode| -> Vec<Limit> { node.inputs.iter().map(|port| port.limit).collect() };
    let more = |node: &PlannedNode| {
        (
            (node.deadline, node.in_flight, node.class),
            (node.on_failure, node.stuck_after),
            (node.executor, node.layer),
            limits(node),
        )
    };
    !has_same_streams(old, new) || rules(old) != rules(new) || more(old) != more(new)
}

struct Side<'a> {
    old: &'a Plan,
    new: &'a Plan,
    before: &'a SidePackets,
    given: &'a SidePackets,
    fates: &'a [Fate],
}

impl Side<'_> {
    /// Whether a node gets the side packets that it has.
    fn is_same(&self, old: &PlannedNode, new: &PlannedNode) -> bool {
        let names = old.side.iter().zip(&new.side);
        names
            .map(|((_, _, before), (_, _, now))| (before, now))
            .all(|(before, now)| match maker(self.new, now) {
                Some((node, port)) => match self.fates.get(node) {
                    Some(Fate::Kept(was)) => maker(self.old, before) == Some((*was, port)),
                    _ => false,
                },
                None => match (self.before.get(before), self.given.get(now)) {
                    (Some(before), Some(now)) => is_same_value(before, now),
                    _ => false,
                },
            })
    }
}

/// The node that makes a side packet, and which of those that it makes.
pub(super) fn maker(plan: &Plan, name: &str) -> Option<(usize, usize)> {
    plan.nodes.iter().enumerate().find_map(|(index, node)| {
        let port = node.side_outputs.iter().position(|(_, _, made)| made == name)?;
        Some((index, port))
    })
}

/// One and the same value, or equal ones of a type whose values can be compared.
fn is_same_value(one: &SidePacket, other: &SidePacket) -> bool {
    fn equal<T: PartialEq + 'static>(one: &SidePacket, other: &SidePacket) -> bool {
        one.get::<T>()
            .is_some_and(|value| Some(value) == other.get::<T>())
    }
    one.payload().is_same(other.payload())
        || equal::<Model>(one, other)
        || equal::<i64>(one, other)
        || equal::<f64>(one, other)
        || equal::<bool>(one, other)
        || equal::<String>(one, other)
}
