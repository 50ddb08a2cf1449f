//! From a record consumed to its offset committed.

mod config;

pub use config::{Config, Guarantee};
