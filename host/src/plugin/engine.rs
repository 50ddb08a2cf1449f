//! The engine that compiles and runs every handler, and the clock that stops those that run on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use wasmtime::component::{HasSelf, Linker};

use super::{Cache, Settings, bindings, host::Host, messaging};

/// How fine the limit on a call's time is.
const TICK: Duration = Duration::from_millis(10);

/// Compiles handlers and runs them. Cheap to clone; make one a process.
#[derive(Clone)]
pub struct Engine {
    /// By the stack that a call may use, in bytes: wasmtime sets that an engine, and an engine
    /// costs little beside what it compiles.
    by_stack: Arc<Mutex<HashMap<usize, Runtime>>>,
    cache: Option<Cache>,
}

/// What runs handlers whose calls may use a stack of one size.
#[derive(Clone)]
pub(super) struct Runtime {
    pub engine: wasmtime::Engine,
    pub linker: Linker<Host>,
}

/// The engine does not start on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine does not start")]
pub struct EngineError(#[from] wasmtime::Error);

impl Engine {
    /// Starts the engine and its clock; it keeps what it compiles in `cache`.
    ///
    /// # Errors
    /// [`EngineError`], on a machine that wasmtime does not support.
    pub fn new(cache: Option<Cache>) -> Result<Self, EngineError> {
        let engine = Self {
            by_stack: Arc::default(),
            cache,
        };
        // That of most handlers, so that it is known at once where none can run.
        engine.with_stack(Settings::default().stack.as_u64())?;
        Ok(engine)
    }

    /// What runs handlers whose calls may use so many bytes of stack.
    pub(super) fn with_stack(&self, bytes: u64) -> wasmtime::Result<Runtime> {
        let bytes = usize::try_from(bytes)?;
        let mut runtimes = self.by_stack.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtimes.get(&bytes) {
            return Ok(runtime.clone());
        }
        let runtime = Runtime::new(bytes)?;
        runtimes.insert(bytes, runtime.clone());
        Ok(runtime)
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }
}

impl Runtime {
    fn new(stack: usize) -> wasmtime::Result<Self> {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        config.max_wasm_stack(stack);
        let engine = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        bindings::Handler::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        messaging::add_to_linker(&mut linker)?;
        start_clock(&engine);
        Ok(Self { engine, linker })
    }
}

/// Ticks as long as there is an engine to tick for: it holds a weak one, and so ends by itself.
fn start_clock(engine: &wasmtime::Engine) {
    let weak = engine.weak();
    let tick = move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    let clock = thread::Builder::new().name("wasm-clock".to_owned());
    clock.spawn(tick).expect("a thread can be started at start");
}

/// How many ticks fit into a time, and one more, since the first may be due at once.
pub(super) fn ticks(time: Duration) -> u64 {
    let whole = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(whole).map_or(u64::MAX, |whole| whole.saturating_add(1))
}
