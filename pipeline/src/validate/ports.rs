//! Reads `stream`, `TAG:stream` and `TAG:index:stream`, and holds them against a contract.

use std::collections::BTreeMap;

use crate::contract::{Arity, Contract, Port, PortType};
use crate::nearest::listed;
use crate::validate::error::{Problem, Side};

/// Full streams are kept as bits of one word.
pub(crate) const MAX_PORTS: usize = 64;
const MAX_INDEX: usize = 10_000;

/// One entry of `inputs` or `outputs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) tag: String,
    pub(crate) index: usize,
    pub(crate) stream: String,
}

impl Entry {
    pub(crate) fn port(&self) -> String {
        port_text(&self.tag, self.index)
    }
}

/// Reads all entries of one list; what can't be read is left out and reported.
pub(crate) fn read(side: Side, texts: &[String]) -> (Vec<Entry>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut untagged = 0;
    for text in texts {
        match parse(text) {
            Ok((tag, index, stream)) => {
                let index = index.unwrap_or_else(|| {
                    if tag.is_empty() {
                        untagged += 1;
                        untagged - 1
                    } else {
                        0
                    }
                });
                entries.push(Entry { tag, index, stream });
            }
            Err(why) => problems.push(Problem::Syntax {
                side,
                text: text.clone(),
                why,
            }),
        }
    }
    if texts.len() > MAX_PORTS {
        problems.push(Problem::TooManyPorts {
            side,
            count: texts.len(),
            limit: MAX_PORTS,
        });
    }
    problems.extend(numbering(side, &entries));
    (entries, problems)
}

/// Holds entries against the ports of a contract.
pub(crate) fn check(calculator: &str, side: Side, entries: &[Entry], ports: &[Port]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for entry in entries {
        if !ports.iter().any(|port| port.tag == entry.tag) {
            let known = if ports.is_empty() {
                format!("no {side}s")
            } else {
                listed(ports.iter().map(|port| {
                    if port.tag.is_empty() {
                        "one without a tag"
                    } else {
                        port.tag
                    }
                }))
            };
            let (port, calculator) = (entry.port(), calculator.to_owned());
            problems.push(Problem::UnexpectedPort {
                side,
                port,
                calculator,
                known,
            });
        }
    }
    for port in ports {
        let count = entries.iter().filter(|entry| entry.tag == port.tag).count();
        let name = port_text(port.tag, 0);
        match (port.arity, count) {
            (Arity::One | Arity::Many, 0) => {
                let doc = if port.doc.is_empty() {
                    String::new()
                } else {
                    format!(": {}", port.doc)
                };
                let calculator = calculator.to_owned();
                problems.push(Problem::MissingPort {
                    side,
                    port: name,
                    calculator,
                    doc,
                });
            }
            (Arity::One | Arity::Optional, 2..) => problems.push(Problem::OnePort {
                side,
                port: name,
                count,
            }),
            _ => {}
        }
    }
    problems
}

/// Outputs that carry an input's type need that input.
pub(crate) fn check_pairs(contract: &Contract, inputs: &[Entry], outputs: &[Entry]) -> Vec<Problem> {
    let unpaired = outputs.iter().filter(|output| {
        let port = contract.outputs.iter().find(|port| port.tag == output.tag);
        match port.map(|port| &port.carries) {
            Some(PortType::SameAs(tag)) => !inputs
                .iter()
                .any(|input| input.tag == *tag && input.index == output.index),
            _ => false,
        }
    });
    unpaired
        .map(|output| Problem::UnpairedOutput { port: output.port() })
        .collect()
}

/// Entries in the order of the contract: by its ports, then by index.
pub(crate) fn arrange<'a>(entries: &'a [Entry], ports: &[Port]) -> Vec<(&'static str, &'a Entry)> {
    let mut arranged = Vec::with_capacity(entries.len());
    for port in ports {
        let mut of_tag: Vec<&Entry> = entries.iter().filter(|entry| entry.tag == port.tag).collect();
        of_tag.sort_by_key(|entry| entry.index);
        arranged.extend(of_tag.into_iter().map(|entry| (port.tag, entry)));
    }
    arranged
}

/// Reads a port as a user names it: `TAG`, `TAG:index` or, without a tag, `index`.
pub(crate) fn read_port(text: &str) -> Option<(&str, usize)> {
    match text.rsplit_once(':') {
        Some((tag, index)) => (tag.is_empty() || is_tag(tag)).then_some((tag, parse_index(index).ok()?)),
        None if text.is_empty() => Some(("", 0)),
        None if is_tag(text) => Some((text, 0)),
        None => Some(("", parse_index(text).ok()?)),
    }
}

pub(crate) fn port_text(tag: &str, index: usize) -> String {
    match (tag.is_empty(), index) {
        (true, index) => format!("{index}"),
        (false, 0) => tag.to_owned(),
        (false, index) => format!("{tag}:{index}"),
    }
}

pub(crate) fn is_stream_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

pub(crate) fn is_tag(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn parse(text: &str) -> Result<(String, Option<usize>, String), &'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    let (tag, index, stream) = match parts.as_slice() {
        [stream] => ("", None, *stream),
        [tag, stream] => (*tag, None, *stream),
        [tag, index, stream] => (*tag, Some(*index), *stream),
        _ => return Err("it has more than two colons"),
    };
    if parts.len() == 2 && !is_tag(tag) || parts.len() == 3 && !tag.is_empty() && !is_tag(tag) {
        return Err("the tag isn't one");
    }
    if !is_stream_name(stream) {
        return Err("the stream's name isn't one");
    }
    let index = index.map(parse_index).transpose()?;
    Ok((tag.to_owned(), index, stream.to_owned()))
}

fn parse_index(text: &str) -> Result<usize, &'static str> {
    let plain = text == "0" || text.starts_with(|c: char| ('1'..='9').contains(&c));
    let index = text.parse().ok().filter(|index| plain && *index < MAX_INDEX);
    index.ok_or("the index isn't a number below 10000")
}

fn numbering(side: Side, entries: &[Entry]) -> Vec<Problem> {
    let mut by_tag: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for entry in entries {
        by_tag.entry(&entry.tag).or_default().push(entry.index);
    }
    let mut problems = Vec::new();
    for (tag, mut indices) in by_tag {
        indices.sort_unstable();
        let twice = indices.windows(2).find(|pair| pair.first() == pair.last());
        if let Some([index, ..]) = twice {
            problems.push(Problem::RepeatedPort {
                side,
                port: port_text(tag, *index),
            });
        } else if let Some(gap) = (0..indices.len()).find(|expected| indices.get(*expected) != Some(expected))
        {
            problems.push(Problem::MissingIndex {
                side,
                port: port_text(tag, gap),
            });
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(texts: &[&str]) -> Result<Vec<(String, usize, String)>, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        match read(Side::Input, &texts) {
            (entries, problems) if problems.is_empty() => Ok(entries
                .into_iter()
                .map(|entry| (entry.tag, entry.index, entry.stream))
                .collect()),
            (_, problems) => Err(problems[0].to_string()),
        }
    }

    fn entry(tag: &str, index: usize, stream: &str) -> (String, usize, String) {
        (tag.to_owned(), index, stream.to_owned())
    }

    #[test]
    fn accepts() {
        assert_eq!(
            read_all(&["a", "b"]),
            Ok(vec![entry("", 0, "a"), entry("", 1, "b")])
        );
        assert_eq!(read_all(&["TAG:a"]), Ok(vec![entry("TAG", 0, "a")]));
        assert_eq!(
            read_all(&["T:1:b", "T:0:a"]),
            Ok(vec![entry("T", 1, "b"), entry("T", 0, "a")])
        );
        assert_eq!(
            read_all(&["T:a", "T:1:b"]),
            Ok(vec![entry("T", 0, "a"), entry("T", 1, "b")])
        );
        assert_eq!(
            read_all(&["_x9", "_T:y"]),
            Ok(vec![entry("", 0, "_x9"), entry("_T", 0, "y")])
        );
    }

    #[test]
    fn refuses() {
        let table = [
            ("A", "the stream's name isn't one"),
            ("tag:a", "the tag isn't one"),
            ("T:x:a", "the index isn't a number"),
            ("T:01:a", "the index isn't a number"),
            ("T:10000:a", "the index isn't a number"),
            ("T:0:a:b", "more than two colons"),
            ("9a", "the stream's name isn't one"),
            ("", "the stream's name isn't one"),
            (":a", "the tag isn't one"),
        ];
        for (text, why) in table {
            let error = read_all(&[text]).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(
            read_all(&["T:a", "T:b"])
                .unwrap_err()
                .contains("T is given twice")
        );
        assert!(
            read_all(&["T:a", "T:2:b"])
                .unwrap_err()
                .contains("T:1 is missing")
        );
    }
}
