//! Handlers: the only module that names wasmtime.

mod config;

pub use config::{Config, HandlerConfig, OnError, Settings};
