//! Appending to the in-memory store that the daemon serves at `GET /messages`.

use std::cell::RefCell;

use crate::{Evento, host};

thread_local! {
    /// Indices of the appended records, buffered until the end of the batch so that they take one call.
    static APPENDED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Appends an Evento to the store. Ignores a tombstone, which has no Evento to store.
///
/// The append takes effect when the call that handles the batch returns, unless the outcome of the Evento is
/// [`Outcome::Retry`](crate::Outcome::Retry) or [`Outcome::Reject`](crate::Outcome::Reject).
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
