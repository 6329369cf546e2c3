//! From the text of a network to slots and parts, whatever the space.
//!
//! A text with `|op~from|` is a cell: a graph whose edges are the slots. Any other text is a chain: split at
//! what is neither letter nor digit, and words of digits that take many values into their digits.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use search::space::Choices;

/// The networks of a table as points.
#[derive(Debug, Clone, Default)]
pub(crate) struct Networks {
    pub(crate) points: Vec<Choices>,
    /// Number of options of each slot.
    pub(crate) options: Vec<usize>,
    /// Sorted parts of each point.
    pub(crate) parts: Vec<Vec<u32>>,
    /// How often each operation stands anywhere in each point.
    pub(crate) counts: Vec<Vec<f64>>,
    /// Numbers of the parts.
    numbers: BTreeMap<String, u32>,
}

/// Words of one length that take more values than this are no single choice.
const MOST_WORDS: usize = 12;
/// Words that stand for no operation, and for passing the input on.
const NOTHING: &str = "none";
const PASS: &str = "skip";

impl Networks {
    pub(crate) fn of(texts: &[&str]) -> Result<Self> {
        let first = texts.first().context("no networks")?;
        let is_cell = first.contains('|');
        let slots: Vec<Vec<String>> = if is_cell {
            texts.iter().map(|text| cell(text)).collect::<Result<_>>()?
        } else {
            chains(texts)
        };
        let count = slots.first().map_or(0, Vec::len);
        if let Some((row, text)) = (2..)
            .zip(texts)
            .zip(&slots)
            .find_map(|(row, slots)| (slots.len() != count).then_some(row))
        {
            bail!("line {row}: network {text:?} has not {count} slots as the first one has");
        }
        let mut networks = Self::default();
        let mut names: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); count];
        for slots in &slots {
            for (names, word) in names.iter_mut().zip(slots) {
                names.insert(word);
            }
        }
        if names.iter().any(|names| names.len() > 256) {
            bail!("a slot of the networks takes more than 256 values, for instance in {first:?}");
        }
        let lists: Vec<Vec<&str>> = names.into_iter().map(|n| n.into_iter().collect()).collect();
        networks.counts = counts(&slots);
        networks.options = lists.iter().map(Vec::len).collect();
        for slots in &slots {
            let option = |(list, word): (&Vec<&str>, &String)| list.binary_search(&word.as_str()).ok();
            let choices = lists.iter().zip(slots).filter_map(option);
            networks
                .points
                .push(Choices(choices.map(|option| option as u8).collect()));
            let parts = if is_cell {
                cell_parts(slots)
            } else {
                chain_parts(slots)
            };
            let mut numbered: Vec<u32> = parts.into_iter().map(|part| networks.number(part)).collect();
            numbered.sort_unstable();
            networks.parts.push(numbered);
        }
        Ok(networks)
    }

    fn number(&mut self, part: String) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(part).or_insert(next)
    }
}

/// One column for each operation.
fn counts(slots: &[Vec<String>]) -> Vec<Vec<f64>> {
    // The operation of an edge comes after its ends.
    let operation = |word: &str| word.rsplit(':').next().map(str::to_owned);
    let operations: BTreeSet<String> = slots
        .iter()
        .flatten()
        .filter_map(|word| operation(word))
        .collect();
    let count = |name: &String| {
        let is_it = |word: &&String| operation(word).as_ref() == Some(name);
        slots
            .iter()
            .map(|words| words.iter().filter(is_it).count() as f64)
            .collect()
    };
    operations.iter().map(count).collect()
}

/// Edges `from>to:op` in order.
fn cell(text: &str) -> Result<Vec<String>> {
    let mut edges = Vec::new();
    for (node, inputs) in text.split('+').enumerate() {
        for edge in inputs.split('|').filter(|edge| !edge.is_empty()) {
            let (op, from) = edge
                .split_once('~')
                .with_context(|| format!("network {text:?}: edge {edge:?} names no source"))?;
            let from: usize = from
                .parse()
                .with_context(|| format!("network {text:?}: source {from:?}"))?;
            if from > node {
                bail!(
                    "network {text:?}: edge {edge:?} of node {} comes from a later node",
                    node + 1
                );
            }
            edges.push(format!("{from}>{}:{op}", node + 1));
        }
    }
    Ok(edges)
}

/// Each edge, and each way from input to output as the operations on it: a pass is no operation, and a way
/// with nothing on it is none. So cells that compute the same share their parts.
fn cell_parts(edges: &[String]) -> Vec<String> {
    let parsed: Vec<(usize, usize, &str)> = edges
        .iter()
        .filter_map(|edge| {
            let (ends, op) = edge.split_once(':')?;
            let (from, to) = ends.split_once('>')?;
            Some((from.parse().ok()?, to.parse().ok()?, op))
        })
        .collect();
    let last = parsed.iter().map(|(_, to, _)| *to).max().unwrap_or(0);
    let mut ways: Vec<Vec<String>> = vec![Vec::new(); last + 1];
    ways[0].push(String::new());
    for node in 1..=last {
        let mut reached = Vec::new();
        for (from, _, op) in parsed.iter().filter(|(_, to, _)| *to == node) {
            if op.starts_with(NOTHING) {
                continue;
            }
            let step = if op.starts_with(PASS) {
                String::new()
            } else {
                format!("/{op}")
            };
            reached.extend(ways[*from].iter().map(|way| format!("{way}{step}")));
        }
        ways[node] = reached;
    }
    let mut ways = ways.pop().unwrap_or_default();
    ways.sort();
    let mut parts: Vec<String> = edges.to_vec();
    // The same way twice is two parts.
    for (index, way) in ways.iter().enumerate() {
        let times = ways[..index].iter().filter(|earlier| *earlier == way).count();
        parts.push(format!("way{times}:{way}"));
    }
    parts
}

/// Each slot's choice, and how often each word stands anywhere: a word n times has the parts 1 to n of it.
fn chain_parts(slots: &[String]) -> Vec<String> {
    let mut parts = Vec::with_capacity(2 * slots.len());
    for (slot, word) in slots.iter().enumerate() {
        let times = slots[..=slot].iter().filter(|other| *other == word).count();
        parts.push(format!("{slot}:{word}"));
        parts.push(format!("{word} x{times}"));
    }
    parts
}

fn chains(texts: &[&str]) -> Vec<Vec<String>> {
    let words: Vec<Vec<&str>> = texts
        .iter()
        .map(|text| {
            text.split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect()
        })
        .collect();
    let count = words.first().map_or(0, Vec::len);
    let is_split: Vec<bool> = (0..count)
        .map(|slot| {
            let column: BTreeSet<&str> = words
                .iter()
                .filter_map(|words| words.get(slot).copied())
                .collect();
            let length = column.first().map_or(0, |word| word.len());
            let digits = |word: &&str| word.len() == length && word.bytes().all(|b| b.is_ascii_digit());
            length > 1 && column.len() > MOST_WORDS && column.iter().all(digits)
        })
        .collect();
    let split = |words: &Vec<&str>| {
        let one = |(slot, word): (usize, &&str)| {
            if is_split.get(slot) == Some(&true) {
                word.chars().map(String::from).collect()
            } else {
                vec![(*word).to_owned()]
            }
        };
        words.iter().enumerate().flat_map(one).collect()
    };
    words.iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_compute_the_same_share_their_ways() {
        let texts = [
            "|conv~0|+|none~0|skip~1|+|none~0|none~1|skip~2|",
            "|none~0|+|conv~0|none~1|+|none~0|none~1|skip~2|",
            "|skip~0|+|none~0|conv~1|+|none~0|none~1|none~2|",
        ];
        let networks = Networks::of(&texts).unwrap();
        assert_eq!(networks.options, [3, 2, 3, 1, 1, 2]);
        let way = networks.numbers["way0:/conv"];
        assert!(networks.parts[0].contains(&way) && networks.parts[1].contains(&way));
        assert!(!networks.parts[2].contains(&way));
    }

    #[test]
    fn chains_are_split_into_their_choices() {
        for (texts, slots) in [
            (["7-8-1", "5-3-5"].as_slice(), 3),
            (["8:16:64", "64:8:8"].as_slice(), 3),
        ] {
            assert_eq!(Networks::of(texts).unwrap().options.len(), slots);
        }
        let all: Vec<String> = (0..27)
            .map(|n| format!("{}{}{}", n / 9, n / 3 % 3, n % 3))
            .collect();
        let texts: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(Networks::of(&texts).unwrap().options, [3, 3, 3]);
    }

    #[test]
    fn a_network_of_another_shape_is_named() {
        let error = Networks::of(&["1-2", "1-2-3"]).unwrap_err().to_string();
        assert!(error.starts_with("line 3: network \"1-2-3\""), "{error}");
        assert!(Networks::of(&["|a~0|+|a~9|"]).is_err());
    }
}
