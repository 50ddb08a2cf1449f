//! One call of the host: each record of a batch through the handler, then the effects, each in one call back.

use std::cell::Cell;

use crate::bindings::{Batch, Outcomes};
use crate::log::{self, Level};
use crate::{Evento, Outcome, emit, store};

thread_local! {
    static IN_HAND: Cell<Option<u32>> = const { Cell::new(None) };
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
