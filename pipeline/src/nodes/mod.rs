//! The list of calculators. Adding one: a file beside this, and a line in `all`.

mod anchor;
mod begin_loop;
mod busy;
mod changed_options;
mod classify;
mod constant_side_packet;
mod detection_decode;
mod discard;
mod end_loop;
mod flow_limiter;
mod gate;
mod generator;
mod idx;
mod image_files;
mod image_to_tensor;
mod immediate_mux;
mod inference;
mod line_counter;
mod list;
mod merge;
mod mqtt_sink;
mod mux;
mod non_max_suppression;
mod overlay;
mod pace;
mod packet_cloner;
mod packet_presence;
mod packet_resampler;
mod packet_thinner;
mod pass_through;
mod previous_loopback;
mod real_time_flow_limiter;
mod round_robin_demux;
mod side_packet_to_stream;
mod stream_to_side_packet;
mod switch_choice;
mod switch_demux;
mod switch_mux;
#[cfg(test)]
pub(crate) mod testing;
mod tracker;
mod zone_counter;

use crate::node::NodeType;

/// Every calculator of this crate.
pub fn all() -> Vec<NodeType> {
    vec![
        NodeType::of::<begin_loop::BeginLoop>(),
        NodeType::of::<busy::Busy>(),
        NodeType::of::<classify::Classify>(),
        NodeType::of::<constant_side_packet::ConstantSidePacket>(),
        NodeType::of::<detection_decode::DetectionDecode>(),
        NodeType::of::<discard::Discard>(),
        NodeType::of::<end_loop::EndLoop>(),
        NodeType::of::<flow_limiter::FlowLimiter>(),
        NodeType::of::<gate::Gate>(),
        NodeType::of::<generator::Generator>(),
        NodeType::of::<image_files::ImageFiles>(),
        NodeType::of::<image_to_tensor::ImageToTensor>(),
        NodeType::of::<immediate_mux::ImmediateMux>(),
        NodeType::of::<inference::Inference>(),
        NodeType::of::<line_counter::LineCounter>(),
        NodeType::of::<merge::Merge>(),
        NodeType::of::<mqtt_sink::MqttSink>(),
        NodeType::of::<mux::Mux>(),
        NodeType::of::<non_max_suppression::NonMaxSuppression>(),
        NodeType::of::<overlay::Overlay>(),
        NodeType::of::<packet_cloner::PacketCloner>(),
        NodeType::of::<packet_presence::PacketPresence>(),
        NodeType::of::<packet_resampler::PacketResampler>(),
        NodeType::of::<packet_thinner::PacketThinner>(),
        NodeType::of::<pass_through::PassThrough>(),
        NodeType::of::<previous_loopback::PreviousLoopback>(),
        NodeType::of::<real_time_flow_limiter::RealTimeFlowLimiter>(),
        NodeType::of::<round_robin_demux::RoundRobinDemux>(),
        NodeType::of::<side_packet_to_stream::SidePacketToStream>(),
        NodeType::of::<stream_to_side_packet::StreamToSidePacket>(),
        NodeType::of::<switch_demux::SwitchDemux>(),
        NodeType::of::<switch_mux::SwitchMux>(),
        NodeType::of::<tracker::Tracker>(),
        NodeType::of::<zone_counter::ZoneCounter>(),
    ]
}
