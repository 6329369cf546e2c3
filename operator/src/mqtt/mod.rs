//! The only MQTT code of the operator. One task polls the connection; everybody else talks to it by channels and
//! never waits for the broker.

mod connection;
mod deliveries;
mod publisher;
#[cfg(test)]
pub mod testing;

pub use connection::{ConnectError, Connection, Session};
pub use deliveries::{Deliveries, Delivery};
pub use publisher::{PublishError, Publisher};
