//! Handlers: the only module that names wasmtime. It compiles them, holds them to their limits,
//! and turns a batch into an answer; which of them run, `registry` keeps. What becomes of the answer is the pipeline's business.

mod bindings;
mod cache;
mod config;
mod engine;
mod failure;
mod folder;
mod handler;
mod host;
mod instance;
mod messaging;
mod registry;
mod stopped_partitions;
mod timer;
mod wasi;
mod world;
mod wrap;

pub use cache::Cache;
pub use config::{Config, HandlerConfig, OnError, Settings};
pub use engine::{Engine, EngineError};
pub use failure::{Failure, FailureKind};
pub use folder::{FolderError, HandlerFile, discover, is_file_name};
pub use handler::{Handler, LoadError, LoadFault, Treatment};
pub use instance::Instance;
pub use registry::{Chain, Chains, ChangeError, OpenError, Put, Registry, State, Status};
pub use stopped_partitions::Stops;
