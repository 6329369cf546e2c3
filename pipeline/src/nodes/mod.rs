//! The list of calculators. Adding one: a file beside this, and a line in `all`.

mod busy;
mod classify;
mod discard;
mod flow_limiter;
mod gate;
mod generator;
mod idx;
mod image_files;
mod image_to_tensor;
mod inference;
mod merge;
mod mqtt_sink;
mod pace;
mod packet_presence;
mod pass_through;
mod previous_loopback;
#[cfg(test)]
pub(crate) mod testing;

use crate::node::NodeType;

/// Every calculator of this crate.
pub fn all() -> Vec<NodeType> {
    vec![
        NodeType::of::<busy::Busy>(),
        NodeType::of::<classify::Classify>(),
        NodeType::of::<discard::Discard>(),
        NodeType::of::<flow_limiter::FlowLimiter>(),
        NodeType::of::<gate::Gate>(),
        NodeType::of::<generator::Generator>(),
        NodeType::of::<image_files::ImageFiles>(),
        NodeType::of::<image_to_tensor::ImageToTensor>(),
        NodeType::of::<inference::Inference>(),
        NodeType::of::<merge::Merge>(),
        NodeType::of::<mqtt_sink::MqttSink>(),
        NodeType::of::<packet_presence::PacketPresence>(),
        NodeType::of::<pass_through::PassThrough>(),
        NodeType::of::<previous_loopback::PreviousLoopback>(),
    ]
}
