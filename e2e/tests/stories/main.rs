//! Stories on a real cluster, one file each. They share one release and run one after another (`make e2e` passes
//! `--test-threads=1`): each owns a namespace and devices of its own, and removes them when it ends well.

mod stage;

mod agent_killed_during_download;
mod bad_input;
mod broker_restarted;
mod gate_fails;
mod happy_path;
mod infeasible_bound;
mod operator_killed;
mod quiet_when_idle;
mod trainer_deleted;
