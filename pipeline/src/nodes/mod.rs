//! The list of calculators. Adding one: a file beside this, and a line in `all`.

mod busy;
mod classify;
mod discard;
mod generator;
mod idx;
mod image_files;
mod image_to_tensor;
mod inference;
mod mqtt_sink;
mod pace;
mod pass_through;
mod switch_choice;
mod switch_demux;
mod switch_mux;

use crate::node::NodeType;

/// Every calculator of this crate.
pub fn all() -> Vec<NodeType> {
    vec![
        NodeType::of::<busy::Busy>(),
        NodeType::of::<classify::Classify>(),
        NodeType::of::<discard::Discard>(),
        NodeType::of::<generator::Generator>(),
        NodeType::of::<image_files::ImageFiles>(),
        NodeType::of::<image_to_tensor::ImageToTensor>(),
        NodeType::of::<inference::Inference>(),
        NodeType::of::<mqtt_sink::MqttSink>(),
        NodeType::of::<pass_through::PassThrough>(),
        NodeType::of::<switch_demux::SwitchDemux>(),
        NodeType::of::<switch_mux::SwitchMux>(),
    ]
}
