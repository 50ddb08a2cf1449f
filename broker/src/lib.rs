#![doc = include_str!("../README.md")]
//!
//! # Inside the crate
//!
//! [`Broker`] and [`Config`] are all that a program needs. The modules use each other in one direction only:
//!
//! ```text
//! broker -> { protocol -> api, maintenance } -> shared -> coordinator -> topics -> log -> { record, storage } -> ids
//! ```
//!
//! | module | what it owns |
//! |---|---|
//! | `broker` | starting and shutting down |
//! | `protocol` | connections, frames, the table of APIs, dispatch |
//! | `api` | one file per family of APIs: translates between the types of the protocol and those of the broker |
//! | `shared` | the state that all connections share |
//! | `coordinator` | consumer groups, their committed offsets, transactions |
//! | `topics` | the topics, their settings, the log of each partition |
//! | `log` | `PartitionLog`: segments, indexes, recovery, retention, cleaning, producer state |
//! | `record` | the record batch format and its compression |
//! | `storage` | the data folder, atomic writes, journals |
//! | `descriptors` | how many files and connections may be open |
//! | `maintenance` | the background work: expiry, syncing, retention, cleaning |
//!
//! Only `protocol` and `api` use the crate `kafka-protocol`. To add an API, add a row to `protocol/apis.rs`, an arm to
//! `protocol/dispatch.rs` and a handler in `api/`.

mod api;
mod broker;
mod clock;
mod config;
mod coordinator;
mod descriptors;
mod error;
mod flush;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ids;
mod log;
mod maintenance;
mod protocol;
mod record;
mod shared;
mod storage;
#[cfg(test)]
mod testing;
mod topics;

pub use broker::Broker;
pub use config::Config;
pub use error::Error;
pub use flush::Flush;
