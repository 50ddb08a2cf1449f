//! One call from the host: runs the handler on each record of a batch, then hands the effects to the host.

use std::cell::{Cell, OnceCell};

use crate::{
    Evento, Outcome,
    bindings::{Batch, Outcomes},
    emit,
    log::{self, Level},
    store,
};

/// A handler bound to its state, with the author's state type erased.
type StatefulHandler = Box<dyn Fn(&Evento<'_>) -> Outcome>;

thread_local! {
    static CURRENT_RECORD: Cell<Option<u32>> = const { Cell::new(None) };
    static STATEFUL_HANDLER: OnceCell<StatefulHandler> = const { OnceCell::new() };
}

/// Returns the index of the record that the handler is processing, or `None` during `init`.
pub(crate) fn current_record() -> Option<u32> {
    CURRENT_RECORD.get()
}

/// Prepares a new instance and runs the author's `init`.
///
/// # Errors
/// Returns the error of the author's `init`.
pub fn init(init: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    // In a native build the test that runs the handler reports the panic.
    if cfg!(target_family = "wasm") {
        std::panic::set_hook(Box::new(|panic| {
            // The standard library prints the location on its own line, and the text may have several. Logs and dead
            // letters are read line by line, so they become one.
            let text = panic.to_string();
            let lines: Vec<_> = text.lines().map(str::trim).collect();
            log::write(Level::Error, &lines.join(" "));
        }));
    }
    init()
}

/// Creates the state of a new instance and keeps it for [`with_state`].
///
/// # Errors
/// Returns the error of `make`, or an error if the instance already has a state.
pub fn keep_state<S: 'static>(
    make: fn() -> Result<S, String>,
    handle: fn(&S, &Evento<'_>) -> Outcome,
) -> Result<(), String> {
    let state = make()?;
    STATEFUL_HANDLER.with(|slot| {
        let handler = Box::new(move |evento: &Evento<'_>| handle(&state, evento));
        slot.set(handler)
            .map_err(|_| "init was called twice in one instance".to_owned())
    })
}

/// Runs the handler on one Evento with the state that [`keep_state`] created.
///
/// # Panics
/// Panics if [`keep_state`] was not called before.
pub fn with_state(evento: &Evento<'_>) -> Outcome {
    STATEFUL_HANDLER.with(|slot| {
        let handle = slot.get().expect("the host calls init first");
        handle(evento)
    })
}

/// Runs the handler on each record of a batch and returns the outcomes.
pub fn handle(batch: &Batch, handle: impl Fn(&Evento<'_>) -> Outcome) -> Outcomes {
    let records = batch.offsets.len();
    let mut outcomes = Outcomes::with_capacity(records);
    for index in 0..records {
        let evento = Evento::new(batch, index);
        CURRENT_RECORD.set(Some(evento.index()));
        outcomes.push(handle(&evento));
    }
    CURRENT_RECORD.set(None);
    store::flush();
    emit::flush();
    outcomes
}
