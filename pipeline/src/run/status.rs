//! Tells the status handlers of a run, and what becomes of their own errors.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::contract::Arity;
use crate::node::NodeError;
use crate::options::OptionError;
use crate::packet::SidePacket;
use crate::run::cell::panic_text;
use crate::run::engine::Engine;
use crate::run::{RunError, StartError};
use crate::status_handler::{HandlerContext, StatusHandler};
use crate::sync::lock;
use crate::validate::plan::{Plan, PlannedHandler};

/// In the order of the plan's.
pub(crate) type Handlers = Vec<Box<dyn StatusHandler>>;

pub(crate) fn build(plan: &Plan) -> Result<Handlers, StartError> {
    let build = |planned: &PlannedHandler| {
        let built = planned.kind.build(&planned.options);
        built.map_err(|problems| StartError::HandlerOptions {
            handler: planned.name.clone(),
            problem: problems.into_iter().next().unwrap_or(OptionError::Whole {
                problem: "unusable".to_owned(),
            }),
        })
    };
    plan.handlers.iter().map(build).collect()
}

/// What a handler lacks.
enum Lack {
    /// A node may still make it.
    NotYet,
    Error(NodeError),
}

type Lent = Vec<(&'static str, usize, SidePacket)>;

impl Engine {
    /// Before the first node opens. Where a handler fails, all of them hear that this was the end.
    pub(crate) fn pre_run(&self) -> Result<(), RunError> {
        let made: BTreeSet<&str> = {
            let nodes = self.plan.nodes.iter().flat_map(|node| &node.side_outputs);
            nodes.map(|(_, _, name)| name.as_str()).collect()
        };
        let failed = self.tell_handlers("PreRun", &made, |handler, ctx| handler.pre_run(ctx));
        match failed {
            None => Ok(()),
            Some(error) => {
                self.post_run(Some(&error));
                Err(error)
            }
        }
    }

    /// When all nodes are closed. Gives the first error of a handler.
    pub(crate) fn post_run(&self, ended: Option<&RunError>) -> Option<RunError> {
        self.tell_handlers("PostRun", &BTreeSet::new(), |handler, ctx| {
            handler.post_run(ctx, ended.map_or(Ok(()), Err))
        })
    }

    /// Whether both graphs tell the same handlers: those of a run stay while it goes on.
    pub(crate) fn has_handlers_of(&self, other: &Self) -> bool {
        let (own, others) = (&self.plan.handlers, &other.plan.handlers);
        own.len() == others.len() && own.iter().zip(others).all(|(own, other)| own.is_same(other))
    }

    /// Those that stay go on in the engine that takes over.
    pub(crate) fn hand_handlers_to(&self, next: &Self) {
        if self.has_handlers_of(next) {
            *lock(&next.handlers) = std::mem::take(&mut *lock(&self.handlers));
        }
    }

    fn tell_handlers(
        &self,
        call: &'static str,
        made_later: &BTreeSet<&str>,
        tell: impl Fn(&mut dyn StatusHandler, &HandlerContext<'_>) -> Result<(), NodeError>,
    ) -> Option<RunError> {
        let mut first = None;
        for (planned, handler) in self.plan.handlers.iter().zip(&mut *lock(&self.handlers)) {
            let told = match self.lend(planned, made_later) {
                Ok(side) => {
                    let clock = self.services.pool.clock();
                    let ctx = HandlerContext { clock, side: &side };
                    let called = catch_unwind(AssertUnwindSafe(|| tell(&mut **handler, &ctx)));
                    called.unwrap_or_else(|panic| {
                        Err(NodeError::Failed(format!("panicked: {}", panic_text(&*panic))))
                    })
                }
                Err(Lack::NotYet) => Ok(()),
                Err(Lack::Error(error)) => Err(error),
            };
            if let Err(error) = told {
                let (handler, problem) = (planned.name.clone(), error.to_string());
                tracing::warn!(handler, call, problem, "a status handler failed");
                first.get_or_insert(RunError::StatusHandler {
                    handler,
                    call,
                    problem,
                });
            }
        }
        first
    }

    /// The handler's side packets, if all are there and of the types it takes.
    fn lend(&self, planned: &PlannedHandler, made_later: &BTreeSet<&str>) -> Result<Lent, Lack> {
        let known = lock(&self.opening.side);
        let mut lent = Lent::new();
        for (tag, index, name) in &planned.side {
            let Some(port) = planned.side_inputs.iter().find(|port| port.tag == *tag) else {
                continue;
            };
            match known.get(name) {
                Some(packet) if port.carries.accepts(Some(packet.type_info())) => {
                    lent.push((*tag, *index, packet.clone()));
                }
                Some(packet) => {
                    return Err(Lack::Error(NodeError::SideType {
                        port: name.clone(),
                        wanted: port.carries.to_string(),
                        found: packet.type_info().name(),
                    }));
                }
                None if matches!(port.arity, Arity::Optional | Arity::Any) => {}
                None if made_later.contains(name.as_str()) => return Err(Lack::NotYet),
                None => {
                    let problem = format!("side packet {name} is missing");
                    return Err(Lack::Error(NodeError::Failed(problem)));
                }
            }
        }
        Ok(lent)
    }
}
