//! The in-memory store that the daemon serves at `GET /messages`.

use std::cell::RefCell;

use crate::{Evento, host};

thread_local! {
    /// Indices in the batch, kept until it is answered so that they cross together.
    static APPENDED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Appends an Evento to the store. A tombstone is passed over: it holds no Evento.
///
/// It counts when the batch has been answered, unless this Evento's outcome is retry or reject.
pub fn append(evento: &Evento<'_>) {
    if !evento.is_tombstone() {
        APPENDED.with_borrow_mut(|appended| appended.push(evento.index()));
    }
}

pub(crate) fn flush() {
    APPENDED.with_borrow_mut(|appended| {
        if !appended.is_empty() {
            host::store::append(appended);
            appended.clear();
        }
    });
}
