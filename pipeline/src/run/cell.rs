//! One node of a running graph: its inbox, its body and its figures, each under its own lock.
//!
//! Lock order: body, then any inbox, then meter. Of inboxes a second one only behind that of a node which feeds its own,
//! as the limiter takes them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use smallvec::{SmallVec, smallvec};

use crate::node::{Node, NodeError};
use crate::options::OptionError;
use crate::packet::Packet;
use crate::run::context::{Context, Io, Ports, Services};
use crate::run::crew::Crew;
use crate::run::deliver::Carried;
use crate::run::drops::Dropped;
use crate::run::inbox::{Inbox, Rules};
use crate::run::meter::{Call, Meter};
use crate::run::shard::Shard;
use crate::timestamp::Timestamp;
use crate::validate::plan::PlannedNode;

#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) ports: Ports,
    pub(crate) inbox: Mutex<Inbox>,
    pub(crate) body: Mutex<Body>,
    pub(crate) meter: Mutex<Meter>,
    /// Packets delivered so far, by output.
    pub(crate) carried: SmallVec<[Carried; 1]>,
    /// What a call of Process usually takes, in nanoseconds: recent calls count more.
    usual: AtomicI64,
}

/// What only the worker that runs the node touches.
pub(crate) struct Body {
    pub(crate) objects: Objects,
    pub(crate) io: Io,
    /// When a source planned to run.
    pub(crate) planned: Option<i64>,
    pub(crate) life: Life,
    /// The offset in force: the contract's, or what Open set.
    pub(crate) offset: Option<i64>,
    /// What the last call sent went to another node.
    pub(crate) delivered: bool,
    /// The last call, until the inbox has it.
    pub(crate) ended: Option<Call>,
    /// Calls that failed one after the other.
    pub(crate) failures: u32,
    /// After a failure: when the node may run again.
    pub(crate) not_before: Option<i64>,
}

/// The node itself.
pub(crate) enum Objects {
    One(Box<dyn Node>),
    /// Copies whose calls may overlap.
    Crew(Crew),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    New,
    Open,
    /// Closed, failed or panicked: not to be called again.
    Over,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("io", &self.io)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl Cell {
    /// `observed`: somebody wants to know of each packet that is dropped.
    pub(crate) fn new(planned: &PlannedNode, ports: Ports, observed: bool) -> Result<Self, Vec<OptionError>> {
        let rules = rules(planned);
        let build = || planned.kind.build(&planned.options);
        let io = || io(planned, observed);
        let objects = if planned.parallel > 1 {
            let copies: Result<Vec<_>, _> = (0..planned.parallel).map(|_| build()).collect();
            Objects::Crew(Crew::new(copies?, io))
        } else {
            Objects::One(build()?)
        };
        let limits = planned.inputs.iter().map(|port| port.limit);
        Ok(Self {
            ports,
            carried: planned.outputs.iter().map(|_| Carried::default()).collect(),
            inbox: Mutex::new(Inbox::new(limits, &rules, Dropped::new(observed))),
            body: Mutex::new(Body {
                objects,
                io: io(),
                planned: None,
                life: Life::New,
                offset: planned.contract.timestamp_offset,
                delivered: false,
                ended: None,
                failures: 0,
                not_before: None,
            }),
            meter: Mutex::new(Meter::new()),
            usual: AtomicI64::new(0),
        })
    }

    /// Goes on with what another cell of the same node learned.
    pub(crate) fn learn(&self, before: &Self) {
        self.usual.store(before.usual_nanos(), Ordering::Relaxed);
    }

    pub(crate) fn usual_nanos(&self) -> i64 {
        self.usual.load(Ordering::Relaxed)
    }

    /// A call took this long.
    pub(crate) fn took(&self, nanos: i64) {
        let usual = self.usual_nanos();
        let now = if usual == 0 {
            nanos
        } else {
            usual + (nanos - usual) / 4
        };
        self.usual.store(now.max(1), Ordering::Relaxed);
    }
}

impl Body {
    /// A new node in place of one that failed.
    pub(crate) fn replace(&mut self, node: Box<dyn Node>) {
        if let Some((place, _)) = self.objects.foremost() {
            *place = node;
        }
    }

    /// Closes the node, all copies of it; gives the first error.
    pub(crate) fn close(&mut self, ports: &Ports, services: &Services) -> Result<(), NodeError> {
        let closed = self.call(ports, services, |node, ctx| node.close(ctx));
        if let Some(crew) = self.objects.crew() {
            let others = crew.call_others(ports, services, &self.io, |node, ctx| node.close(ctx));
            return closed.and(others);
        }
        closed
    }

    /// Calls the node; a panic is its failure, and the last call it gets.
    pub(crate) fn call<T>(
        &mut self,
        ports: &Ports,
        services: &Services,
        call: impl FnOnce(&mut dyn Node, &mut Context<'_>) -> Result<T, NodeError>,
    ) -> Result<T, NodeError> {
        let Some((node, copy)) = self.objects.foremost() else {
            return Err(NodeError::Failed("all copies of the node are at work".to_owned()));
        };
        let (called, panicked) = call_node(node.as_mut(), &mut self.io, copy, (ports, services), call);
        if panicked {
            self.life = Life::Over;
        }
        called
    }
}

impl Objects {
    /// The copy that is called for the node, and its number.
    #[inline]
    fn foremost(&mut self) -> Option<(&mut Box<dyn Node>, usize)> {
        match self {
            Self::One(node) => Some((node, 0)),
            Self::Crew(crew) => crew.foremost().map(|hand| (&mut hand.node, hand.copy)),
        }
    }

    pub(super) fn crew(&mut self) -> Option<&mut Crew> {
        match self {
            Self::One(_) => None,
            Self::Crew(crew) => Some(crew),
        }
    }

    /// Copies that compute without the node's lock.
    pub(crate) fn at_work(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Crew(crew) => crew.at_work(),
        }
    }

    /// Whether a set that is taken now finds somebody to work on it.
    pub(crate) fn has_free(&self) -> bool {
        match self {
            Self::One(_) => true,
            Self::Crew(crew) => crew.has_free(),
        }
    }
}

/// Calls a node; a panic is its failure, and is told by the second value.
pub(crate) fn call_node<T>(
    node: &mut dyn Node,
    io: &mut Io,
    copy: usize,
    (ports, services): (&Ports, &Services),
    call: impl FnOnce(&mut dyn Node, &mut Context<'_>) -> Result<T, NodeError>,
) -> (Result<T, NodeError>, bool) {
    let mut ctx = Context {
        io,
        copy,
        ports,
        services,
    };
    match catch_unwind(AssertUnwindSafe(|| call(node, &mut ctx))) {
        Ok(called) => (called, false),
        Err(panic) => {
            let problem = format!("panicked: {}", panic_text(&*panic));
            (Err(NodeError::Failed(problem)), true)
        }
    }
}

fn io(planned: &PlannedNode, observed: bool) -> Io {
    let inputs = planned.inputs.len();
    Io {
        timestamp: Timestamp::UNSTARTED,
        inputs: smallvec![Packet::empty(Timestamp::UNSTARTED); inputs],
        shards: planned.outputs.iter().map(|_| Shard::new()).collect(),
        wake_at: None,
        dropped: Dropped::new(observed),
        offset: None,
        side: Vec::new(),
        headers: vec![None; inputs],
        late: None,
    }
}

/// How a node takes its inputs.
pub(crate) fn rules(planned: &PlannedNode) -> Rules {
    let mut fed_by: Vec<&Vec<usize>> = planned.ancestors.iter().collect();
    fed_by.sort();
    fed_by.dedup();
    let origin = |ancestors: &Vec<usize>| fed_by.binary_search(&ancestors).unwrap_or(0);
    Rules {
        policy: planned.policy.clone(),
        freshness: planned.freshness,
        max_age: planned.max_age,
        offset: planned.contract.timestamp_offset,
        process_bounds: planned.contract.process_timestamp_bounds,
        origins: planned.ancestors.iter().map(origin).collect(),
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
