//! `make demo`: the whole line end to end, shown while it happens.
//!
//! `story` does things and measures how long they take, `snapshot` is what is seen meanwhile, `screen` draws it,
//! `report` is what stays.

pub mod report;
pub mod screen;
pub mod snapshot;
pub mod story;
