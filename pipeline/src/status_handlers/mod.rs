//! The list of status handlers. Adding one: a file beside this, and a line in `all`.

mod log_status;

use crate::status_handler::HandlerType;

/// Every status handler of this crate.
pub fn all() -> Vec<HandlerType> {
    vec![HandlerType::of::<log_status::LogStatus>()]
}
