//! What a status handler's author writes: it hears of a run before the first node opens, and of how the run ended.

use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::contract::Port;
use crate::node::NodeError;
use crate::options::{self, OptionError, OptionMap};
use crate::packet::{SidePacket, TypeInfo};
use crate::run::RunError;

/// One of a running graph. What either call fails with is an error of the run.
pub trait StatusHandler: Send {
    /// Once, before any node opens: the side packets that come from outside are there.
    fn pre_run(&mut self, _ctx: &HandlerContext<'_>) -> Result<(), NodeError> {
        Ok(())
    }

    /// Once, when all nodes are closed.
    fn post_run(
        &mut self,
        _ctx: &HandlerContext<'_>,
        _ended: Result<(), &RunError>,
    ) -> Result<(), NodeError> {
        Ok(())
    }
}

/// A kind of status handler: what stands in `status_handlers/`, one file each.
pub trait HandlerKind: StatusHandler + Sized + 'static {
    const NAME: &'static str;
    /// One paragraph for users.
    const DOC: &'static str;
    type Options: DeserializeOwned + JsonSchema + Default;

    /// The side packets it takes.
    fn side_inputs(_options: &Self::Options) -> Vec<Port> {
        Vec::new()
    }

    fn new(options: Self::Options) -> Self;
}

/// What a handler sees of the graph.
#[derive(Debug)]
pub struct HandlerContext<'a> {
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) side: &'a [(&'static str, usize, SidePacket)],
}

impl HandlerContext<'_> {
    /// Microseconds since 1970 by the graph's clock.
    pub fn now(&self) -> i64 {
        self.clock.micros()
    }

    pub fn side<T: 'static>(&self, port: &'static str) -> Result<&T, NodeError> {
        let missing = NodeError::SidePacket {
            port,
            wanted: TypeInfo::of::<T>().name(),
        };
        let found = self
            .side
            .iter()
            .find(|(tag, index, _)| *tag == port && *index == 0);
        found.and_then(|(_, _, packet)| packet.get()).ok_or(missing)
    }
}

type Build = fn(&OptionMap) -> Result<Box<dyn StatusHandler>, Vec<OptionError>>;

/// A kind of status handler with its types taken away.
#[derive(Clone, Copy)]
pub struct HandlerType {
    pub name: &'static str,
    pub doc: &'static str,
    side_inputs: fn(&OptionMap) -> Result<Vec<Port>, Vec<OptionError>>,
    reference: fn() -> Vec<Port>,
    build: Build,
    schema: fn() -> Schema,
}

impl HandlerType {
    pub fn of<H: HandlerKind>() -> Self {
        Self {
            name: H::NAME,
            doc: H::DOC,
            side_inputs: |map| options::of_kind(H::NAME, map).map(|options| H::side_inputs(&options)),
            reference: || H::side_inputs(&H::Options::default()),
            build: |map| {
                options::of_kind(H::NAME, map)
                    .map(|options| Box::new(H::new(options)) as Box<dyn StatusHandler>)
            },
            schema: || schemars::schema_for!(H::Options),
        }
    }

    /// Its side packets under the given options.
    pub fn side_inputs(&self, options: &OptionMap) -> Result<Vec<Port>, Vec<OptionError>> {
        (self.side_inputs)(options)
    }

    /// The same under default options, for the reference.
    pub fn default_side_inputs(&self) -> Vec<Port> {
        (self.reference)()
    }

    pub fn build(&self, options: &OptionMap) -> Result<Box<dyn StatusHandler>, Vec<OptionError>> {
        (self.build)(options)
    }

    pub fn options_schema(&self) -> Schema {
        (self.schema)()
    }
}

impl std::fmt::Debug for HandlerType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HandlerType({})", self.name)
    }
}
