use super::*;
use crate::load_graph;
