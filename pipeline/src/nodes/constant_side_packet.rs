//! Side packets written into the graph.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port, PortType};
use crate::given::{GivenPorts, PortsError, count};
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::packet::{SidePacket, TypeInfo};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// One value for each side packet, in order.
    packet: OneOrMore,
}

/// A list with one entry may be written as the entry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be values like {intValue: 1}")]
enum OneOrMore {
    More(Vec<Constant>),
    One(Constant),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
enum Constant {
    #[serde(rename = "intValue", alias = "uint64Value")]
    Integer(i64),
    #[serde(rename = "doubleValue", alias = "floatValue")]
    Number(f64),
    #[serde(rename = "boolValue")]
    Boolean(bool),
    #[serde(rename = "stringValue")]
    Text(String),
}

#[derive(Debug)]
pub(crate) struct ConstantSidePacket {
    values: Vec<Constant>,
}

impl Calculator for ConstantSidePacket {
    const NAME: &'static str = "ConstantSidePacket";
    const DOC: &'static str =
        "Gives out side packets with values from its options: numbers, booleans, texts.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .side_output(Port::any("").arity(Arity::Any).doc("the values, in order"))
            .side_output(Port::any("PACKET").arity(Arity::Any).doc("the same, with a tag"))
    }

    fn contract_for(options: &Options, given: &GivenPorts) -> Result<Contract, PortsError> {
        let values = options.values().len();
        let ports = ["", "PACKET"].map(|tag| count(&given.side_outputs, tag));
        if ports.iter().sum::<usize>() == values && ports.contains(&0) {
            let mut contract = Self::contract(options);
            let mut kinds = options.values().iter().map(Constant::kind);
            if let Some(kind) = kinds.next().filter(|first| kinds.all(|kind| kind == *first)) {
                for port in &mut contract.side_outputs {
                    port.carries = PortType::Is(kind);
                }
            }
            return Ok(contract);
        }
        let given = given.side_outputs.len();
        Err(PortsError::new(format!(
            "has {values} values but {given} side packets; write one for each, all with a tag or none"
        )))
    }

    fn new(options: Options) -> Self {
        Self {
            values: options.values().to_vec(),
        }
    }
}

impl Constant {
    fn kind(&self) -> TypeInfo {
        match self {
            Self::Integer(_) => TypeInfo::of::<i64>(),
            Self::Number(_) => TypeInfo::of::<f64>(),
            Self::Boolean(_) => TypeInfo::of::<bool>(),
            Self::Text(_) => TypeInfo::of::<String>(),
        }
    }
}

impl Options {
    fn values(&self) -> &[Constant] {
        match &self.packet {
            OneOrMore::More(values) => values,
            OneOrMore::One(value) => std::slice::from_ref(value),
        }
    }
}

impl Node for ConstantSidePacket {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        for (index, value) in self.values.iter().enumerate() {
            let packet = match value {
                Constant::Integer(value) => SidePacket::new(*value),
                Constant::Number(value) => SidePacket::new(*value),
                Constant::Boolean(value) => SidePacket::new(*value),
                Constant::Text(value) => SidePacket::new(value.clone()),
            };
            // Of the two tags the graph uses one; what isn't used takes everything.
            ctx.send_side("", index, packet.clone())?;
            ctx.send_side("PACKET", index, packet)?;
        }
        Ok(())
    }

    fn process(&mut self, _ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        Ok(Flow::Stop)
    }
}

#[cfg(test)]
mod tests {
    use crate::nodes::testing::{play, problem};

    const GRAPH: &str = "inputStreams: [a]\noutputStreams: [out]\nnodes:\n- {calculator: ConstantSidePacket, \
                         outputSidePackets: {'PACKET': pass}, options: {packet: [{boolValue: true}]}}\n- {calculator: \
                         Gate, inputs: [a], outputs: [out], sidePackets: {ALLOW: pass}}\n";

    #[test]
    fn reaches_the_node_that_takes_it() {
        assert_eq!(play(GRAPH, "a@1=1"), "out: 1=1 |\n");
        let single = GRAPH.replace("[{boolValue: true}]", "{boolValue: false}");
        assert_eq!(play(&single, "a@1=1"), "out: |\n");
    }

    #[test]
    fn one_value_for_each() {
        let graph = GRAPH.replace("[{boolValue: true}]", "[{boolValue: true}, {intValue: 2}]");
        assert!(problem(&graph).contains("has 2 values but 1 side packets"));
    }
}
