//! The engine that compiles and runs every handler, and the clock that stops those that run on.

use std::{thread, time::Duration};

use wasmtime::component::{HasSelf, Linker};

use super::{bindings, host::Host};

/// How fine the limit on a call's time is.
const TICK: Duration = Duration::from_millis(10);

/// Compiles handlers and runs them. Cheap to clone; make one a process.
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: wasmtime::Engine,
    pub(super) linker: Linker<Host>,
}

/// The engine does not start on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine does not start")]
pub struct EngineError(#[from] wasmtime::Error);

impl Engine {
    /// Starts the engine and its clock.
    ///
    /// # Errors
    /// [`EngineError`], on a machine that wasmtime does not support.
    pub fn new() -> Result<Self, EngineError> {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let inner = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&inner);
        bindings::Handler::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        start_clock(&inner);
        Ok(Self { inner, linker })
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

/// How many ticks a call may take: one more than fit into its time, since the first may be due
/// at once.
pub(super) fn ticks(timeout: Duration) -> u64 {
    let whole = timeout.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(whole).map_or(u64::MAX, |whole| whole.saturating_add(1))
}
