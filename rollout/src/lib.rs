//! Plans rollouts: which device gets a new revision when, when a wave passes, and what goes back.
//!
//! Owns the policy a user writes, the gates and the planner. A plan is a pure function of facts, policy and
//! now; nothing here has a client, a clock, chance or a task.

pub mod facts;
pub mod gates;
pub mod membership;
pub mod plan;
pub mod policy;

/// A field that is in the schema already and whose behaviour comes later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not supported yet: leave it out")]
pub struct NotYetSupported {
    pub field: String,
}
