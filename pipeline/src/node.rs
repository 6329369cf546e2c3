//! What a calculator's author writes: a life cycle, a contract, options.

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use crate::backend::BackendError;
use crate::contract::Contract;
use crate::given::{GivenPorts, PortsError};
use crate::options::{self, OptionError, OptionMap};
use crate::packet::PacketError;
pub use crate::run::context::Context;

/// A running node. Calls never overlap; the thread may change between them.
pub trait Node: Send {
    /// Once, before any Process, after the nodes it reads from were opened.
    fn open(&mut self, _ctx: &mut Context<'_>) -> Result<(), NodeError> {
        Ok(())
    }

    /// Once per input set; a source is called again and again until it stops.
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError>;

    /// Once, if Open went well. What it sends is still delivered unless the run failed.
    fn close(&mut self, _ctx: &mut Context<'_>) -> Result<(), NodeError> {
        Ok(())
    }
}

/// What a node wants after Process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// A source: it has no more. Any other node: all sources shall end.
    Stop,
}

/// Why a node failed. The graph adds the node's name.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error("{path}: {source}", path = path.display())]
    File {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("option {option}: {problem}")]
    Option { option: &'static str, problem: String },
    #[error("side packet {port} is missing or no {wanted}")]
    SidePacket {
        port: &'static str,
        wanted: &'static str,
    },
    #[error("side packet {port} carries {wanted}, not {found}")]
    SideType {
        port: String,
        wanted: String,
        found: &'static str,
    },
    #[error("service {0} isn't there; a node gets those that its contract asks for")]
    Service(&'static str),
    #[error("{0}")]
    Failed(String),
}

/// A kind of node: what stands in `nodes/`, one file each.
pub trait Calculator: Node + Sized + 'static {
    const NAME: &'static str;
    /// One paragraph for users.
    const DOC: &'static str;
    type Options: DeserializeOwned + JsonSchema + Default;

    fn contract(options: &Self::Options) -> Contract;

    /// The contract for the ports that a graph gives: for calculators that take any tag, or whose ports must match or
    /// exclude each other.
    fn contract_for(options: &Self::Options, _given: &GivenPorts) -> Result<Contract, PortsError> {
        Ok(Self::contract(options))
    }

    /// Refuses values that have the right type and still make no sense.
    fn check(_options: &Self::Options) -> Result<(), OptionError> {
        Ok(())
    }

    fn new(options: Self::Options) -> Self;
}

type Fit = fn(&OptionMap, &GivenPorts) -> Option<Result<Contract, PortsError>>;
type Build = fn(&OptionMap) -> Result<Box<dyn Node>, Vec<OptionError>>;

/// A calculator with its types taken away.
#[derive(Clone, Copy)]
pub struct NodeType {
    pub name: &'static str,
    pub doc: &'static str,
    contract: fn(&OptionMap) -> Result<Contract, Vec<OptionError>>,
    fit: Fit,
    reference: fn() -> Contract,
    build: Build,
    schema: fn() -> Schema,
}

impl NodeType {
    pub fn of<C: Calculator>() -> Self {
        Self {
            name: C::NAME,
            doc: C::DOC,
            contract: |map| options::read::<C>(map).map(|options| C::contract(&options)),
            fit: |map, given| {
                options::read::<C>(map)
                    .ok()
                    .map(|options| C::contract_for(&options, given))
            },
            reference: || C::contract(&C::Options::default()),
            build: |map| options::read::<C>(map).map(|options| Box::new(C::new(options)) as Box<dyn Node>),
            schema: || schemars::schema_for!(C::Options),
        }
    }
}

impl NodeType {
    /// The contract under the given options.
    pub fn contract(&self, options: &OptionMap) -> Result<Contract, Vec<OptionError>> {
        (self.contract)(options)
    }

    /// The contract for the ports given; none where the options can't be used.
    pub fn contract_for(
        &self,
        options: &OptionMap,
        given: &GivenPorts,
    ) -> Option<Result<Contract, PortsError>> {
        (self.fit)(options, given)
    }

    /// The contract under default options, for the reference.
    pub fn default_contract(&self) -> Contract {
        (self.reference)()
    }

    pub fn build(&self, options: &OptionMap) -> Result<Box<dyn Node>, Vec<OptionError>> {
        (self.build)(options)
    }

    pub fn options_schema(&self) -> Schema {
        (self.schema)()
    }
}

impl std::fmt::Debug for NodeType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeType({})", self.name)
    }
}
