//! The operator: controllers, store, MQTT ingest and publish, HTTP API.
//!
//! Owns what a cluster knows of the fleet. Never links ONNX Runtime, and keeps no per-device data in etcd.

pub mod api;
pub mod args;
pub mod blobs;
pub mod change;
pub mod context;
pub mod controllers;
pub mod events;
pub mod health;
pub mod ingest;
pub mod leader;
pub mod metrics;
pub mod mqtt;
pub mod probe;
pub mod run;
pub mod store;
