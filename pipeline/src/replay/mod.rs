//! Feeds a graph from lines of JSON and records what it gives, on a virtual clock or the machine's.
//!
//! A feed's lines, in order: `{stream, t, value}`, `{stream, bound}`, `{stream, close: true}`, `{sidePacket, value}`,
//! `{advance: µs}`, `{idle: true}`, `{pause: true}`, `{resume: true}`, `{cancel: true}`. After the last one, all inputs
//! are closed and the run is waited for. A record's lines: `{stream, t, value}` stream by stream, `{stream, bound}`
//! and `{stream, closed: true}` if asked for, `{node, dropped, t}`, and last `{status: ok}` or
//! `{status: error, code, node, message}`.

pub mod case;
mod compare;
mod drive;
mod line;
mod record;
#[cfg(test)]
mod tests;
mod value;

pub use compare::compare;
pub use drive::{ReplayClock, ReplayError, Settings, run};
pub use line::{Feed, FeedLine, LineError};
pub use record::{Record, RecordLine, Status};
pub use value::{Value, ValueError};
