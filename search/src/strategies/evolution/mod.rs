pub(crate) mod guided;
