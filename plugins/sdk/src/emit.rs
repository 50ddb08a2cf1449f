//! Emitting records to other topics.

use std::cell::RefCell;

use crate::{Evento, Record, bindings::eventos::handler::types::Records, host};

thread_local! {
    /// The emitted records by topic, buffered until the end of the batch so that each topic takes one call.
    static EMITTED: RefCell<Vec<Emission>> = const { RefCell::new(Vec::new()) };
}

struct Emission {
    topic: String,
    sources: Vec<u32>,
    records: Records,
}

/// Emits a record to a topic on behalf of `cause`. Records of one topic keep their order.
///
/// The record takes effect when the call that handles the batch returns, unless the outcome of `cause` is
/// [`Outcome::Retry`](crate::Outcome::Retry) or [`Outcome::Reject`](crate::Outcome::Reject). The broker acknowledges
/// it before the offset of `cause` is committed.
///
/// The topic must be listed in the handler's `produce` setting. Any other topic ends the call with a trap, as a
/// panic does.
pub fn send(topic: &str, cause: &Evento<'_>, record: Record) {
    EMITTED.with_borrow_mut(|emitted| {
        // Handlers emit to one or two topics, so a linear search is cheaper than hashing.
        let at = emitted.iter().position(|emission| emission.topic == topic);
        let at = at.unwrap_or_else(|| {
            let (sources, records) = (Vec::new(), Records::default());
            emitted.push(Emission {
                topic: topic.to_owned(),
                sources,
                records,
            });
            emitted.len() - 1
        });
        emitted[at].sources.push(cause.index());
        emitted[at].records.push(&record);
    });
}

pub(crate) fn flush() {
    for Emission {
        topic,
        sources,
        records,
    } in EMITTED.take()
    {
        host::emit::send(&topic, &sources, &records);
    }
}
