//! The engine that runs every handler, and how it compiles.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use wasmtime::component::{HasSelf, Linker};

use super::{Cache, Compiler, Settings, bindings, epoch_clock::EpochClock, host::Host, messaging};

/// Compiles handlers and runs them. Cheap to clone; create one per process.
#[derive(Clone)]
pub struct Engine {
    /// One runtime per stack limit, in bytes: wasmtime sets the limit on the engine, and an engine is small beside
    /// the code that it compiles.
    by_stack: Arc<Mutex<HashMap<usize, Runtime>>>,
    cache: Option<Cache>,
    compiler: Compiler,
    cancelled: CancellationToken,
    clock: EpochClock,
}

/// Runs handlers that share one stack limit.
#[derive(Clone)]
pub(super) struct Runtime {
    pub engine: wasmtime::Engine,
    /// The stack limit in bytes.
    pub stack: usize,
    pub linker: Linker<Host>,
}

/// The engine does not start on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine does not start")]
pub struct EngineError(#[from] wasmtime::Error);

impl Engine {
    /// Starts the engine and its clock; handlers are compiled by `compiler`, and compiled code is kept in `cache`.
    ///
    /// # Errors
    /// Returns [`EngineError`] on a machine that wasmtime does not support.
    pub fn new(cache: Option<Cache>, compiler: Compiler) -> Result<Self, EngineError> {
        let engine = Self {
            by_stack: Arc::default(),
            cache,
            compiler,
            cancelled: CancellationToken::new(),
            clock: EpochClock::start(),
        };
        // Create the runtime of the default stack limit now, so that an unsupported machine is noticed at start.
        engine.with_stack(Settings::default().stack.as_u64())?;
        Ok(engine)
    }

    /// Returns the runtime whose calls may use `bytes` of stack.
    pub(super) fn with_stack(&self, bytes: u64) -> wasmtime::Result<Runtime> {
        let bytes = usize::try_from(bytes)?;
        let mut runtimes = self.by_stack.lock();
        if let Some(runtime) = runtimes.get(&bytes) {
            return Ok(runtime.clone());
        }
        let runtime = Runtime::new(bytes)?;
        self.clock.add(&runtime.engine);
        runtimes.insert(bytes, runtime.clone());
        Ok(runtime)
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    pub(super) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// The clock that runs during calls.
    pub(super) fn clock(&self) -> &EpochClock {
        &self.clock
    }

    /// Returns the same engine for a load that ends early once `cancelled` is.
    pub(super) fn until(&self, cancelled: &CancellationToken) -> Self {
        let cancelled = cancelled.clone();
        Self {
            cancelled,
            ..self.clone()
        }
    }

    /// Says when a load with this engine is to end early.
    pub(super) fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}

impl Runtime {
    fn new(stack: usize) -> wasmtime::Result<Self> {
        let engine = wasmtime::Engine::new(&settings(stack))?;
        let mut linker = Linker::new(&engine);
        bindings::Handler::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        messaging::add_to_linker(&mut linker)?;
        Ok(Self {
            engine,
            stack,
            linker,
        })
    }
}

/// Returns the settings of an engine whose calls may use `stack` bytes of stack.
pub(super) fn settings(stack: usize) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(stack);
    config
}

/// Returns a hash of what code depends on besides the component: the version and the settings of the engine.
pub(super) fn identity(engine: &wasmtime::Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    // Our own version counts too, because a core module is wrapped before it is compiled.
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
