//! Search of network architectures under the limits of a device class: spaces, cost and latency models,
//! constraints, objectives, strategies (ask/tell), studies.
//!
//! Pure: no I/O, no async; seeds are arguments and there is no clock. Never trains and never measures: what
//! others trained or measured is told to a [`study::Study`].

pub mod budget;
pub mod constraint;
pub mod coverage;
pub mod gates;
pub mod halving;
pub mod landscape;
pub mod latency;
pub mod nearest;
pub mod objective;
mod predictor;
pub mod random;
pub mod session;
pub mod setting;
pub mod space;
pub mod strategies;
pub mod strategy;
pub mod study;
pub mod trial;

/// A field of the schema whose behaviour does not exist yet: refused, never ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not supported yet: leave it out{}", .instead.map(|what| format!(" or use {what}")).unwrap_or_default())]
pub struct NotYetSupported {
    pub field: String,
    /// What can be used in its place.
    pub instead: Option<&'static str>,
}
