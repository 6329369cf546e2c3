//! Foretelling accuracy from what was trained so far.

pub(crate) mod cholesky;
pub(crate) mod features;
pub(crate) mod gaussian;
