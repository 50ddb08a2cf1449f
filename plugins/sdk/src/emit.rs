//! Records for other topics.

use std::cell::RefCell;

use crate::bindings::eventos::handler::types::Records;
use crate::{Evento, Record, host};

thread_local! {
    /// By topic, kept until the batch is answered so that they cross together.
    static EMITTED: RefCell<Vec<Emission>> = const { RefCell::new(Vec::new()) };
}

struct Emission {
    topic: String,
    sources: Vec<u32>,
    records: Records,
}

/// Produces a record to a topic, on behalf of the Evento that caused it. Records keep their order within a topic.
///
/// It counts when the batch has been answered, unless the outcome of `cause` is retry or reject; the broker has
/// acknowledged it before the offset of `cause` is committed.
///
/// A topic that the handler's `produce` setting does not name ends the call as a panic does.
pub fn send(topic: &str, cause: &Evento<'_>, record: Record) {
    EMITTED.with_borrow_mut(|emitted| {
        // Handlers emit to a topic or two: a search is cheaper than hashing.
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
