//! The clock that interrupts calls which exceed their time. It stands still while no call runs, so that a daemon at rest takes no
//! time of the processor for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::Duration,
};

use parking_lot::Mutex;
use wasmtime::EngineWeak;

/// Resolution of the time limit of a call.
const TICK: Duration = Duration::from_millis(10);

/// The number of ticks without a call after which the clock stands still. Calls that follow one another do not have to wake it.
const IDLE_TICKS: u32 = 20;

/// How long the clock stands still at a time, after which it looks whether there are engines left.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Advances the epoch of engines while calls run. All clones are the same clock; its thread ends after the last of them.
#[derive(Clone)]
pub(super) struct EpochClock {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    engines: Mutex<Vec<EngineWeak>>,
    /// The number of calls that run.
    calls: AtomicUsize,
    /// Whether the clock stands still, or is about to.
    is_still: AtomicBool,
}

/// A call. The clock runs until this is dropped.
pub(super) struct TimedCall(Arc<Shared>);

impl EpochClock {
    /// Starts the clock.
    ///
    /// # Panics
    /// The system has no thread for it.
    pub(super) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let weak = Arc::downgrade(&shared);
        let run = move || {
            let mut idle = 0;
            while let Some(shared) = weak.upgrade() {
                shared.tick();
                let has_calls = shared.calls.load(SeqCst) > 0;
                idle = if has_calls { 0 } else { idle + 1 };
                let mut pause = TICK;
                if idle == IDLE_TICKS {
                    pause = shared.pause();
                    idle = 0;
                }
                drop(shared);
                thread::park_timeout(pause);
            }
        };
        let clock = thread::Builder::new().name("wasm-clock".to_owned());
        let clock = clock.spawn(run).expect("a thread can be started at start");
        let thread = clock.thread().clone();
        Self { shared, thread }
    }

    /// Advances the epoch of this engine, too, for as long as it exists.
    pub(super) fn add(&self, engine: &wasmtime::Engine) {
        self.shared.engines.lock().push(engine.weak());
    }

    /// Takes note that a call begins.
    pub(super) fn begin_call(&self) -> TimedCall {
        self.shared.calls.fetch_add(1, SeqCst);
        if self.shared.is_still.swap(false, SeqCst) {
            self.thread.unpark();
        }
        TimedCall(Arc::clone(&self.shared))
    }
}

impl Shared {
    /// Advances the epochs.
    fn tick(&self) {
        self.engines.lock().retain(|engine| {
            let engine = engine.upgrade();
            engine.is_some_and(|engine| {
                engine.increment_epoch();
                true
            })
        });
    }

    /// Returns how long to stand still. A call that begins meanwhile wakes the clock.
    fn pause(&self) -> Duration {
        self.is_still.store(true, SeqCst);
        // A call that has begun before may not have seen it.
        match self.calls.load(SeqCst) {
            0 => STANDSTILL,
            _ => TICK,
        }
    }
}

impl Drop for TimedCall {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, SeqCst);
    }
}

/// Returns how many ticks cover `time`, plus one because the first may be due at once.
pub(super) fn ticks(time: Duration) -> u64 {
    let whole = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(whole).map_or(u64::MAX, |whole| whole.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use wasmtime::{Config, Engine, Instance, Module, Store, Trap};

    use super::*;

    /// `(module (func (export "f") (loop (br 0))))`
    const ENDLESS: &[u8] =
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x05\x01\x01f\0\0\
        \x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";

    /// Waits until the clock stands still.
    fn wait_until_still(clock: &EpochClock) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !clock.shared.is_still.load(SeqCst) {
            assert!(Instant::now() < deadline, "the clock runs without calls");
            thread::yield_now();
        }
    }

    #[test]
    fn it_stands_still_without_calls_and_interrupts_those_that_begin_then() {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).expect("an engine");
        let clock = EpochClock::start();
        clock.add(&engine);
        let endless = Module::new(&engine, ENDLESS).expect("a module");
        for _ in 0..2 {
            wait_until_still(&clock);
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(ticks(Duration::from_millis(20)));
            let instance = Instance::new(&mut store, &endless, &[]).expect("an instance");
            let f = instance.get_typed_func::<(), ()>(&mut store, "f");
            let _call = clock.begin_call();
            let ended = f.expect("a function").call(&mut store, ());
            let trap = ended.expect_err("it is endless");
            assert_eq!(trap.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
        }
    }
}
