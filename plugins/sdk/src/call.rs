//! One call of the host: each record of a batch through the handler, then the effects, each in one call back.

use std::cell::{Cell, OnceCell};

use crate::bindings::{Batch, Outcomes};
use crate::log::{self, Level};
use crate::{Evento, Outcome, emit, store};

/// A handler with its state, whose type only its author knows.
type WithState = Box<dyn Fn(&Evento<'_>) -> Outcome>;

thread_local! {
    static IN_HAND: Cell<Option<u32>> = const { Cell::new(None) };
    static WITH_STATE: OnceCell<WithState> = const { OnceCell::new() };
}

/// The index of the record that the handler is looking at; none while it starts.
pub(crate) fn in_hand() -> Option<u32> {
    IN_HAND.get()
}

/// Prepares a new instance.
pub fn init(init: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    // Natively a panic belongs to the test that runs the handler.
    if cfg!(target_family = "wasm") {
        std::panic::set_hook(Box::new(|panic| {
            // Std puts the place on a line of its own; a log and a dead letter are read line by line.
            let text = panic.to_string().replacen('\n', " ", 1);
            log::write(Level::Error, &text);
        }));
    }
    init()
}

/// Makes the state of a new instance.
pub fn keep_state<S: 'static>(
    make: fn() -> Result<S, String>,
    handle: fn(&S, &Evento<'_>) -> Outcome,
) -> Result<(), String> {
    let state = make()?;
    WITH_STATE.with(|kept| {
        let with_state = Box::new(move |evento: &Evento<'_>| handle(&state, evento));
        let kept = kept.set(with_state);
        kept.map_err(|_| "an instance starts once".to_owned())
    })
}

/// Answers one Evento with that state.
pub fn with_state(evento: &Evento<'_>) -> Outcome {
    WITH_STATE.with(|kept| {
        let handle = kept.get().expect("the host starts an instance first");
        handle(evento)
    })
}

/// Answers a batch.
pub fn handle(batch: &Batch, handle: impl Fn(&Evento<'_>) -> Outcome) -> Outcomes {
    let records = batch.offsets.len();
    let mut outcomes = Outcomes::with_capacity(records);
    for index in 0..records {
        let evento = Evento::new(batch, index);
        IN_HAND.set(Some(evento.index()));
        outcomes.push(handle(&evento));
    }
    IN_HAND.set(None);
    store::flush();
    emit::flush();
    outcomes
}
