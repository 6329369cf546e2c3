//! What a node sees of the graph during a call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use smallvec::SmallVec;

use crate::backend::Backend;
use crate::clock::Clock;
use crate::contract::PortType;
use crate::node::NodeError;
use crate::packet::{Packet, Payload, SidePacket, TypeInfo};
use crate::run::drops::Dropped;
use crate::run::pool::Pool;
use crate::run::shard::Shard;
use crate::service::{GraphServices, Service};
use crate::sink::SinkPort;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

/// The call's input set, the outputs, and what the program that runs the graph lends to its nodes.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) io: &'a mut Io,
    pub(crate) copy: usize,
    pub(crate) ports: &'a Ports,
    pub(crate) services: &'a Services,
}

/// The part of a node's state that its calls change.
#[derive(Debug)]
pub(crate) struct Io {
    pub(crate) timestamp: Timestamp,
    pub(crate) inputs: SmallVec<[Packet; 1]>,
    pub(crate) shards: SmallVec<[Shard; 1]>,
    /// When a source wants its next call, in nanoseconds.
    pub(crate) wake_at: Option<i64>,
    pub(crate) dropped: Dropped,
    /// The offset that Open set in place of the contract's.
    pub(crate) offset: Option<i64>,
    /// Side packets made by the call, by output port.
    pub(crate) side: Vec<(usize, SidePacket)>,
    /// Per input, while the node is opened: what its writer said of the whole stream.
    pub(crate) headers: Vec<Option<Payload>>,
    /// The first packet of the call that came too late.
    pub(crate) late: Option<LatePacket>,
}

impl Io {
    /// Keeps a packet until the call returns; one that comes too late is dropped.
    pub(crate) fn send(&mut self, output: usize, packet: Packet) {
        let timestamp = packet.timestamp();
        let Some(shard) = self.shards.get_mut(output) else {
            return;
        };
        if let Err(reason) = shard.send(packet) {
            let bound = shard.bound();
            self.late.get_or_insert(LatePacket { timestamp, bound });
            self.dropped.add(reason, timestamp);
        }
    }
}

/// A packet that was sent after its time had passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatePacket {
    pub(crate) timestamp: Timestamp,
    pub(crate) bound: Timestamp,
}

/// A node's name and where its ports are.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) node: String,
    pub(crate) inputs: Vec<(&'static str, usize)>,
    pub(crate) outputs: Vec<(&'static str, usize)>,
    /// The node takes the place of one that didn't come back from a call.
    pub(crate) after_stuck: AtomicBool,
    /// Set when the node opens.
    pub(crate) side: OnceLock<Vec<(&'static str, usize, SidePacket)>>,
    pub(crate) side_outputs: Vec<(&'static str, usize, PortType)>,
    /// Those that the contract asks for.
    pub(crate) services: GraphServices,
}

#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) pool: Pool,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) sink: SharedSink,
    /// What the program lends to all nodes.
    pub(crate) lent: GraphServices,
}

pub(crate) struct SharedSink(pub(crate) Arc<dyn SinkPort>);

impl std::fmt::Debug for SharedSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSink")
    }
}

impl Context<'_> {
    pub fn node(&self) -> &str {
        &self.ports.node
    }

    /// Open: Unstarted. Process: the set's time; a source's Process: 0. Close: Done.
    pub fn timestamp(&self) -> Timestamp {
        self.io.timestamp
    }

    /// Which copy of the node this is, where calls overlap: 0 for the first. What copies can't use at once, each has
    /// for itself.
    pub fn copy(&self) -> usize {
        self.copy
    }

    /// In Open: whether the node before this one is given up in a call that didn't return. What that call may hold,
    /// a lock or a device, isn't free.
    pub fn is_after_stuck(&self) -> bool {
        self.ports.after_stuck.load(Ordering::Relaxed)
    }

    pub fn input_count(&self) -> usize {
        self.io.inputs.len()
    }

    pub fn output_count(&self) -> usize {
        self.io.shards.len()
    }

    /// Place of an input among all inputs of the node, by tag and index within the tag.
    pub fn input_index(&self, tag: &str, index: usize) -> Option<usize> {
        self.ports.inputs.iter().position(|port| *port == (tag, index))
    }

    pub fn output_index(&self, tag: &str, index: usize) -> Option<usize> {
        self.ports.outputs.iter().position(|port| *port == (tag, index))
    }

    /// The packet of an input in this set; empty where the input has none at this time.
    pub fn input(&self, index: usize) -> Packet {
        self.io
            .inputs
            .get(index)
            .cloned()
            .unwrap_or(Packet::empty(self.io.timestamp))
    }

    /// Nothing before this comes on the input any more: after its packet of this set, or as far as an input without
    /// one is settled.
    pub fn input_bound(&self, index: usize) -> Timestamp {
        self.io.inputs.get(index).map_or(Timestamp::DONE, |packet| {
            packet.timestamp().next_allowed_in_stream()
        })
    }

    /// Whether nothing comes on the input after this set.
    pub fn input_is_done(&self, index: usize) -> bool {
        self.input_bound(index) >= Timestamp::ONE_OVER_POST_STREAM
    }

    /// Takes the packet out of the set, so that the node can be its only holder.
    pub fn take(&mut self, index: usize) -> Packet {
        let empty = Packet::empty(self.io.timestamp);
        self.io
            .inputs
            .get_mut(index)
            .map_or(empty.clone(), |packet| std::mem::replace(packet, empty))
    }

    /// The value of an input in this set; none where the input has no packet at this time.
    pub fn get<T: 'static>(&self, index: usize) -> Result<Option<&T>, NodeError> {
        match self.io.inputs.get(index) {
            Some(packet) if !packet.is_empty() => Ok(Some(packet.get()?)),
            _ => Ok(None),
        }
    }

    /// Sends when the call returns. A packet that comes too late is dropped and counted, not an error.
    pub fn send(&mut self, output: usize, packet: Packet) {
        self.io.send(output, packet);
    }

    /// Sends a value at the time of the input set.
    pub fn send_value<T: Send + Sync + 'static>(&mut self, output: usize, value: T) {
        self.send(output, Packet::new(value, self.io.timestamp));
    }

    /// Promises that nothing before `bound` comes on this output any more.
    pub fn raise_bound(&mut self, output: usize, bound: Timestamp) {
        if let Some(shard) = self.io.shards.get_mut(output) {
            shard.raise(bound);
        }
    }

    /// The earliest time the output's next packet may have.
    pub fn output_bound(&self, output: usize) -> Timestamp {
        self.io.shards.get(output).map_or(Timestamp::DONE, Shard::bound)
    }

    pub fn output_is_closed(&self, output: usize) -> bool {
        self.output_bound(output) == Timestamp::DONE
    }

    pub fn close_output(&mut self, output: usize) {
        if let Some(shard) = self.io.shards.get_mut(output) {
            shard.close();
        }
    }

    /// In Open: an output's packet for input time t is at t + `micros` or later, so that bounds pass on their own.
    pub fn set_offset(&mut self, micros: i64) {
        self.io.offset = Some(micros);
    }

    /// In Open: what the writer of an input says of the whole stream.
    pub fn header(&self, input: usize) -> Option<&Payload> {
        self.io.headers.get(input)?.as_ref()
    }

    /// In Open: says something of an output's whole stream to whoever reads it.
    pub fn set_header(&mut self, output: usize, header: Payload) {
        if let Some(shard) = self.io.shards.get_mut(output) {
            shard.header = Some(header);
        }
    }

    /// The capture time for a packet that is made now: the clock's, or the next free time of the output.
    pub fn stamp(&self, output: usize) -> Timestamp {
        let now = Timestamp::clamped(self.services.pool.clock().micros());
        self.io
            .shards
            .get(output)
            .map_or(now, |shard| now.max(shard.bound()))
    }

    /// Microseconds since 1970 by the graph's clock.
    pub fn now(&self) -> i64 {
        self.services.pool.clock().micros()
    }

    /// A source: the next call shall not come before `micros`. Without it, the next call comes at once.
    pub fn wake_at(&mut self, micros: i64) {
        self.io.wake_at = Some(micros.saturating_mul(1_000));
    }

    /// Keeps a core busy for that long, by the graph's clock.
    pub fn spend(&self, span: Duration) {
        self.services.pool.spend(span);
    }

    pub fn side<T: 'static>(&self, port: &'static str) -> Result<&T, NodeError> {
        let missing = NodeError::SidePacket {
            port,
            wanted: TypeInfo::of::<T>().name(),
        };
        self.side_packet(port, 0).and_then(SidePacket::get).ok_or(missing)
    }

    /// A side packet of any type; none where the port isn't used.
    pub fn side_packet(&self, port: &str, index: usize) -> Option<&SidePacket> {
        let mut side = self.ports.side.get()?.iter();
        side.find(|(tag, at, _)| *tag == port && *at == index)
            .map(|(_, _, packet)| packet)
    }

    /// The ports of the side packets that the node was given.
    pub fn side_ports(&self) -> Vec<(&'static str, usize)> {
        let side = self.ports.side.get().into_iter().flatten();
        side.map(|(tag, index, _)| (*tag, *index)).collect()
    }

    /// Gives a side packet out, once a run; whoever takes it opens after that.
    pub fn send_side(&mut self, port: &str, index: usize, packet: SidePacket) -> Result<(), NodeError> {
        let mut outputs = self.ports.side_outputs.iter().enumerate();
        let output = outputs.find(|(_, (tag, at, _))| *tag == port && *at == index);
        // A port that the graph doesn't use takes everything.
        let Some((output, (_, _, carries))) = output else {
            return Ok(());
        };
        if !carries.accepts(Some(packet.type_info())) {
            return Err(NodeError::SideType {
                port: port.to_owned(),
                wanted: carries.to_string(),
                found: packet.type_info().name(),
            });
        }
        self.io.side.push((output, packet));
        Ok(())
    }

    /// An object that the program lends, if the contract asks for it.
    pub fn service<T: Send + Sync + 'static>(&self, service: &Service<T>) -> Result<&T, NodeError> {
        let object = self.ports.services.get(service);
        object.ok_or(NodeError::Service(service.name()))
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.services.pool.clock()
    }

    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.services.backend
    }

    pub fn sink(&self) -> &Arc<dyn SinkPort> {
        &self.services.sink.0
    }

    /// Tells of a packet that the node itself let go.
    pub fn dropped(&mut self, reason: DropReason, at: Timestamp) {
        self.io.dropped.add(reason, at);
    }
}
