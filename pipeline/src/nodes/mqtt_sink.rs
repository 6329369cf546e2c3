//! Hands results to the program that runs the graph, which sends them on: over MQTT on a device.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::label::{json_types, to_json};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::options::OptionError;
use crate::sink::Delivery;
use crate::stats::DropReason;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Name of the telemetry stream: small letters, digits and -, at most 63.
    stream: String,
}

#[derive(Debug)]
pub(crate) struct MqttSink {
    stream: String,
}

impl Calculator for MqttSink {
    const NAME: &'static str = "MqttSink";
    const DOC: &'static str = "Sends results to the operator as telemetry, kept on the device while it is offline. \
                               What finds no room there is dropped as full.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default().input(Port::one_of("", json_types()).doc("what shall be sent"))
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        let stream = &options.stream;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=63).contains(&stream.len()) && stream.chars().all(plain) {
            return Ok(());
        }
        let problem = format!("`{stream}` isn't possible; use 1 to 63 small letters, digits and -");
        Err(OptionError::value("stream", problem))
    }

    fn new(options: Options) -> Self {
        Self {
            stream: options.stream,
        }
    }
}

impl Node for MqttSink {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let packet = ctx.take(0);
        let Some(payload) = packet.payload() else {
            return Ok(Flow::Continue);
        };
        let value = to_json(payload)
            .ok_or_else(|| NodeError::Failed(format!("a {} can't be sent as JSON", payload.type_info())))?;
        if ctx.sink().publish(&self.stream, packet.timestamp(), value) == Delivery::Refused {
            ctx.dropped(DropReason::Full, packet.timestamp());
        }
        Ok(Flow::Continue)
    }
}
