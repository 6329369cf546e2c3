//! `input_stream_handler` and our input policies.

use std::fmt::Write as _;

use super::reading::Reading;
use super::tree::{Field, Message};
use super::write::quoted;
use crate::nearest::{listed, suggestion};
use crate::spec::InputPolicy;
use crate::spec::policy::{Batch, FixedSize, NoSettings, SyncSet, TimestampAlign};
use crate::validate::ports::{port_text, read_port};

const SUFFIX: &str = "InputStreamHandler";
const NAMES: [&str; 8] = [
    "DefaultInputStreamHandler",
    "ImmediateInputStreamHandler",
    "SyncSetInputStreamHandler",
    "FixedSizeInputStreamHandler",
    "EarlyCloseInputStreamHandler",
    "BarrierInputStreamHandler",
    "TimestampAlignInputStreamHandler",
    "MuxInputStreamHandler",
];

/// Reads one `input_stream_handler { … }`.
pub(super) fn read_policy(reading: &mut Reading, field: &Field) -> Option<InputPolicy> {
    let message = *reading.messages(field).first()?;
    reading.once(message, &["input_stream_handler", "options"]);
    let mut name = "DefaultInputStreamHandler".to_owned();
    let mut options = Vec::new();
    for inner in &message.fields {
        match inner.name.text() {
            "input_stream_handler" => name = reading.text(inner),
            "options" => options.extend(reading.typed(inner)),
            _ => reading.unknown(
                inner,
                "input_stream_handler",
                &["input_stream_handler", "options"],
            ),
        }
    }
    let Some(mut policy) = by_name(&name) else {
        let hint = suggestion(&name, NAMES.into_iter()).map_or_else(
            || format!("known are {}", listed(NAMES.into_iter())),
            |near| format!("did you mean {near}?"),
        );
        reading.refuse(
            field.line,
            format!("input stream handler `{name}` is unknown; {hint}"),
        );
        return None;
    };
    for (line, kind, settings) in options {
        if kind
            .rsplit('.')
            .next()
            .and_then(|kind| kind.strip_suffix("Options"))
            == Some(name.as_str())
        {
            apply(reading, &mut policy, settings);
        } else {
            reading.refuse(line, format!("{name} takes {name}Options, not {kind}"));
        }
    }
    Some(policy)
}

fn by_name(name: &str) -> Option<InputPolicy> {
    Some(match name.strip_suffix(SUFFIX)? {
        "Default" => InputPolicy::Default(Batch::default()),
        "Immediate" => InputPolicy::Immediate(NoSettings {}),
        "SyncSet" => InputPolicy::SyncSet(SyncSet::default()),
        "FixedSize" => InputPolicy::FixedSize(FixedSize::default()),
        "EarlyClose" => InputPolicy::EarlyClose(NoSettings {}),
        "Barrier" => InputPolicy::Barrier(NoSettings {}),
        "TimestampAlign" => InputPolicy::TimestampAlign(TimestampAlign::default()),
        "Mux" => InputPolicy::Mux(NoSettings {}),
        _ => return None,
    })
}

fn apply(reading: &mut Reading, policy: &mut InputPolicy, settings: &Message) {
    for field in &settings.fields {
        let name = field.name.text();
        match policy {
            InputPolicy::Default(batch) if name == "batch_size" => {
                batch.batch_size = reading.count(field).unwrap_or(1);
            }
            InputPolicy::SyncSet(sync) if name == "sync_set" => {
                for set in reading.messages(field) {
                    sync.sets.push(tag_indexes(reading, set));
                }
            }
            InputPolicy::FixedSize(fixed) if name == "trigger_queue_size" => {
                fixed.trigger_queue_size = reading.count(field).unwrap_or(1);
            }
            InputPolicy::FixedSize(fixed) if name == "target_queue_size" => {
                fixed.target_queue_size = reading.count(field).unwrap_or(1);
            }
            InputPolicy::FixedSize(fixed) if name == "fixed_min_size" => {
                fixed.fixed_min_size = reading.flag(field);
            }
            InputPolicy::TimestampAlign(align) if name == "timestamp_base_tag_index" => {
                let text = reading.text(field);
                align.timestamp_base = port(reading, field, &text).unwrap_or_default();
            }
            _ => reading.unknown(field, "the handler's options", known(policy)),
        }
    }
}

fn known(policy: &InputPolicy) -> &'static [&'static str] {
    match policy {
        InputPolicy::Default(_) => &["batch_size"],
        InputPolicy::SyncSet(_) => &["sync_set"],
        InputPolicy::FixedSize(_) => &["trigger_queue_size", "target_queue_size", "fixed_min_size"],
        InputPolicy::TimestampAlign(_) => &["timestamp_base_tag_index"],
        InputPolicy::Immediate(_)
        | InputPolicy::EarlyClose(_)
        | InputPolicy::Barrier(_)
        | InputPolicy::Mux(_) => &[],
    }
}

fn tag_indexes(reading: &mut Reading, set: &Message) -> Vec<String> {
    let mut ports = Vec::new();
    for field in &set.fields {
        if field.name.text() == "tag_index" {
            for text in reading.texts(field) {
                ports.extend(port(reading, field, &text));
            }
        } else {
            reading.unknown(field, "sync_set", &["tag_index"]);
        }
    }
    ports
}

/// A `tag_index` (`TAG`, `TAG:1`, `:1` or nothing) as we write ports.
pub(super) fn port(reading: &mut Reading, field: &Field, text: &str) -> Option<String> {
    let port = read_port(text).map(|(tag, index)| port_text(tag, index));
    if port.is_none() {
        reading.refuse(
            field.line,
            format!("`{text}` names no port; write `TAG`, `TAG:index` or `:index`"),
        );
    }
    port
}

/// The other way round: without a tag, the colon stays.
pub(super) fn tag_index(port: &str) -> String {
    if port.starts_with(|c: char| c.is_ascii_digit()) {
        format!(":{port}")
    } else {
        port.to_owned()
    }
}

/// The fields inside `input_stream_handler { … }`, on one line.
pub(super) fn write_policy(policy: &InputPolicy) -> String {
    let (name, settings) = match policy {
        InputPolicy::Default(Batch { batch_size: 1 }) => ("Default", String::new()),
        InputPolicy::Default(batch) => ("Default", format!("batch_size: {}", batch.batch_size)),
        InputPolicy::Immediate(NoSettings {}) => ("Immediate", String::new()),
        InputPolicy::SyncSet(sync) => ("SyncSet", sync_sets(sync)),
        InputPolicy::FixedSize(fixed) => (
            "FixedSize",
            format!(
                "trigger_queue_size: {} target_queue_size: {} fixed_min_size: {}",
                fixed.trigger_queue_size, fixed.target_queue_size, fixed.fixed_min_size
            ),
        ),
        InputPolicy::EarlyClose(NoSettings {}) => ("EarlyClose", String::new()),
        InputPolicy::Barrier(NoSettings {}) => ("Barrier", String::new()),
        InputPolicy::TimestampAlign(align) if align.timestamp_base.is_empty() => {
            ("TimestampAlign", String::new())
        }
        InputPolicy::TimestampAlign(align) => (
            "TimestampAlign",
            format!(
                "timestamp_base_tag_index: {}",
                quoted(&tag_index(&align.timestamp_base))
            ),
        ),
        InputPolicy::Mux(NoSettings {}) => ("Mux", String::new()),
    };
    let mut text = format!("input_stream_handler: \"{name}{SUFFIX}\"");
    if !settings.is_empty() {
        // Writing to a String can't fail.
        let _ = write!(
            text,
            " options {{ [mediapipe.{name}{SUFFIX}Options.ext] {{ {settings} }} }}"
        );
    }
    text
}

fn sync_sets(sync: &SyncSet) -> String {
    let sets = sync.sets.iter().map(|set| {
        let ports = set
            .iter()
            .map(|port| format!("tag_index: {}", quoted(&tag_index(port))));
        format!("sync_set {{ {} }}", ports.collect::<Vec<_>>().join(" "))
    });
    sets.collect::<Vec<_>>().join(" ")
}
