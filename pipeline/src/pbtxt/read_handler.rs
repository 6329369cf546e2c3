//! `status_handler { … }` as a status handler of ours.

use super::HANDLER_SETTINGS;
use super::json::object;
use super::read_node::{json_options, side_packets};
use super::reading::Reading;
use super::tree::Message;
use crate::spec::StatusHandlerSpec;

const FIELDS: [&str; 4] = ["status_handler", "input_side_packet", "external_input", "options"];

pub(super) fn read_handler(reading: &mut Reading, line: u64, message: &Message) -> StatusHandlerSpec {
    reading.once(message, &["status_handler"]);
    let mut handler = StatusHandlerSpec::default();
    let mut side = Vec::new();
    for field in &message.fields {
        match field.name.text() {
            "status_handler" => handler.handler = reading.text(field),
            "input_side_packet" | "external_input" => {
                let texts = reading.texts(field).into_iter();
                side.extend(texts.map(|text| (field.line, text)));
            }
            "options" => {
                for (line, kind, message) in reading.typed(field) {
                    let mut options = object(reading, message);
                    if kind == HANDLER_SETTINGS {
                        handler.options.extend(json_options(reading, line, &mut options));
                    } else {
                        handler.options.extend(options);
                    }
                }
            }
            _ => reading.unknown(field, "a status handler", &FIELDS),
        }
    }
    if handler.handler.is_empty() {
        reading.refuse(line, "a status handler has no `status_handler`");
    }
    handler.side_packets = side_packets(reading, side);
    handler
}
