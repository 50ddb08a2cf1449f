//! Handlers: this module compiles them, enforces their limits and passes batches to them. `registry` decides which of
//! them run. The pipeline decides what happens with what they return.
//!
//! The contract with handlers is the WIT package in `wit/`. [`Handler::load`] turns a file into a handler,
//! [`Instance::call`] passes it a batch, and [`Registry`] watches the drop-in folder and publishes the [`Chain`].

mod admission;
mod bindings;
mod cache;
mod compile;
mod complexity;
mod config;
mod durable;
mod engine;
mod epoch_clock;
mod error_output;
mod failure;
mod folder;
mod guest_log;
mod halted_partitions;
mod handler;
mod host;
mod instance;
mod log_line;
mod log_meter;
mod messaging;
mod random;
mod registry;
mod signature;
mod timer;
mod user_key;
mod wasi;
mod world;
mod wrap;

pub use admission::{Admission, FileIdentity, HandlerSource, signature_path};
pub use cache::Cache;
pub use compile::{Compiler, CompilerProgram};
pub use complexity::{Excess, MAX_FILE};
pub use config::{Config, HandlerConfig, OnError, Settings};
pub use engine::{Engine, EngineError};
pub use folder::{FolderError, HandlerFile, SameName, discover, is_file_name, same_names};
pub use halted_partitions::HaltedPartitions;
pub use handler::{FailurePolicy, Handler, LoadError, LoadFault};
pub use instance::Instance;
pub use registry::{
    Chain, ChainHold, ChainReceiver, ChangeError, HandlerState, HandlerStatus, PutReport, Registry,
};
pub use signature::{PublicKey, Signature, SigningKey, SigningKeyError};
