//! The in-memory view of what handlers stored.

mod config;

pub use config::Config;
