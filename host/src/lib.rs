//! The daemon as a library, so that tests and benches come in through the same doors as `main`.

pub mod app;
pub mod assigned;
pub mod cli;
pub mod config;
pub mod dead_letters;
pub mod event;
pub mod http;
pub mod json_bytes;
pub mod kafka;
pub mod peers;
pub mod pipeline;
pub mod plugin;
pub mod readiness;
pub mod replay;
mod service;
pub mod store;
pub mod telemetry;
