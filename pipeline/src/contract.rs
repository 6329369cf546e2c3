//! What a calculator expects: ports with types, side packets, input policy, timestamp offset.

use crate::packet::TypeInfo;
use crate::service::{Service, ServiceRequest};
use crate::spec::InputPolicy;
use crate::spec::policy::{NoSettings, SyncSet};

/// The ports and rules of one calculator under given options.
#[derive(Debug, Clone, Default)]
pub struct Contract {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub side_inputs: Vec<Port>,
    pub side_outputs: Vec<Port>,
    /// None: the graph's.
    pub policy: Option<InputPolicy>,
    /// Declares that an output's packet for input time t is at t + offset or later: bounds then pass on their own.
    pub timestamp_offset: Option<i64>,
    /// Process also runs for each settled time that brought no packet.
    pub process_timestamp_bounds: bool,
    /// A call depends on its set, options and side packets alone, so that calls of copies may overlap.
    pub stateless: bool,
    /// Objects that the program lends, as far as the node asks for them.
    pub services: Vec<ServiceRequest>,
}

impl Contract {
    pub fn input(mut self, port: Port) -> Self {
        self.inputs.push(port);
        self
    }

    pub fn output(mut self, port: Port) -> Self {
        self.outputs.push(port);
        self
    }

    pub fn side_input(mut self, port: Port) -> Self {
        self.side_inputs.push(port);
        self
    }

    pub fn side_output(mut self, port: Port) -> Self {
        self.side_outputs.push(port);
        self
    }

    /// What a call sends depends on nothing that an earlier one left: `parallel` may then have copies take turns.
    pub fn stateless(mut self) -> Self {
        self.stateless = true;
        self
    }

    /// Asks for a service; without it the graph doesn't start.
    pub fn service<T: Send + Sync + 'static>(mut self, service: &Service<T>) -> Self {
        self.services.push(service.required());
        self
    }

    /// Asks for a service that the node can do without.
    pub fn optional_service<T: Send + Sync + 'static>(mut self, service: &Service<T>) -> Self {
        self.services.push(service.optional());
        self
    }

    pub fn offset(mut self, micros: i64) -> Self {
        self.timestamp_offset = Some(micros);
        self
    }

    pub fn policy(mut self, policy: InputPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Each packet as soon as it is there.
    pub fn immediate(self) -> Self {
        self.policy(InputPolicy::Immediate(NoSettings {}))
    }

    /// Inputs in independent groups of ports, written `TAG`, `TAG:index` or `index`.
    pub fn sync_sets(self, sets: &[&[&str]]) -> Self {
        let sets = sets
            .iter()
            .map(|set| set.iter().map(|port| (*port).to_owned()).collect());
        self.policy(InputPolicy::SyncSet(SyncSet { sets: sets.collect() }))
    }

    pub fn process_bounds(mut self) -> Self {
        self.process_timestamp_bounds = true;
        self
    }
}

/// One tag of a calculator's inputs, outputs or side packets.
#[derive(Debug, Clone)]
pub struct Port {
    /// Empty for ports that are written without a tag.
    pub tag: &'static str,
    pub carries: PortType,
    pub arity: Arity,
    pub doc: &'static str,
}

impl Port {
    pub fn of<T: 'static>(tag: &'static str) -> Self {
        Self::new(tag, PortType::Is(TypeInfo::of::<T>()))
    }

    pub fn any(tag: &'static str) -> Self {
        Self::new(tag, PortType::Any)
    }

    pub fn one_of(tag: &'static str, types: Vec<TypeInfo>) -> Self {
        Self::new(tag, PortType::OneOf(types))
    }

    /// An output that carries what the input of the same index under `input_tag` carries.
    pub fn same_as(tag: &'static str, input_tag: &'static str) -> Self {
        Self::new(tag, PortType::SameAs(input_tag))
    }

    pub fn arity(mut self, arity: Arity) -> Self {
        self.arity = arity;
        self
    }

    pub fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    fn new(tag: &'static str, carries: PortType) -> Self {
        Self {
            tag,
            carries,
            arity: Arity::One,
            doc: "",
        }
    }
}

/// How many streams a tag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    One,
    Optional,
    /// One or more, told apart by index.
    Many,
    /// As many as given, none included.
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortType {
    Any,
    Is(TypeInfo),
    OneOf(Vec<TypeInfo>),
    SameAs(&'static str),
}

impl PortType {
    /// Whether a stream of this type may flow in; a stream whose type isn't known may.
    pub fn accepts(&self, found: Option<TypeInfo>) -> bool {
        match (self, found) {
            (Self::Is(wanted), Some(found)) => *wanted == found,
            (Self::OneOf(wanted), Some(found)) => wanted.contains(&found),
            (Self::Any | Self::SameAs(_), _) | (_, None) => true,
        }
    }
}

impl std::fmt::Display for PortType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Is(info) => info.fmt(f),
            Self::OneOf(infos) => {
                let names: Vec<&str> = infos.iter().map(TypeInfo::name).collect();
                f.write_str(&names.join(" or "))
            }
            Self::SameAs("") => f.write_str("as the input"),
            Self::SameAs(tag) => write!(f, "as input {tag}"),
        }
    }
}
