//! Runs a handler in an ordinary unit test, without WebAssembly and without a daemon.
//!
//! ```
//! use eventos_sdk::{Evento, Outcome, Record, store, testing};
//!
//! fn handle(evento: &Evento) -> Outcome {
//!     store::append(evento);
//!     Outcome::Pass
//! }
//!
//! let run = testing::run(handle, [Record::new(r#"{"id":1,"tipo":"sismo"}"#)]);
//! assert_eq!(run.outcomes, [Outcome::Pass]);
//! assert_eq!(run.stored, [0]);
//! ```
//!
//! The records pass through the same columns as between daemon and handler. The other checks of the daemon are not
//! made here: whether a topic is permitted, whether a replacement is a valid Evento, and the limits of time, memory
//! and output. Each thread, and therefore each test, has its own settings and effects.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::value::RawValue;

use crate::{
    Evento, Outcome, Record,
    bindings::{Batch, Outcomes},
    call,
    columns::{flag, start_of},
    log::Level,
};

/// The outcomes and effects of one batch, as the daemon would count them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    /// One outcome per record.
    pub outcomes: Vec<Outcome>,
    /// Indices of the stored records, in the order in which they were stored.
    pub stored: Vec<usize>,
    /// Emitted records, topic by topic.
    pub emitted: Vec<Emitted>,
    /// Log lines.
    pub logged: Vec<Logged>,
}

/// A record that a handler emitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// Destination topic.
    pub topic: String,
    /// Index of the record that caused it.
    pub cause: usize,
    /// The emitted record.
    pub record: Record,
}

/// A line that a handler logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Level of the line.
    pub level: Level,
    /// Index of the record that the line is about, or `None` if it was written during `init`.
    pub record: Option<usize>,
    /// Text of the line.
    pub message: String,
}

thread_local! {
    static SETTINGS: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
    static RUN: RefCell<Ran> = RefCell::default();
}

/// Sets a key of the handler's configuration for the current thread.
pub fn set(key: impl Into<String>, value: impl Into<String>) {
    SETTINGS.with_borrow_mut(|settings| settings.insert(key.into(), value.into()));
}

/// Runs a handler on records, as one batch of partition 0 of the topic `eventos` with offsets from 0.
///
/// # Panics
/// Panics if a value is neither a valid Evento nor null, or if the handler panics.
pub fn run(
    handle: impl Fn(&Evento<'_>) -> Outcome,
    records: impl IntoIterator<Item = Record>,
) -> Ran {
    RUN.take();
    let outcomes = outcomes(call::handle(&batch(records), handle));
    let mut run = RUN.take();
    let counts = |i: usize| !matches!(outcomes[i], Outcome::Retry(_) | Outcome::Reject(_));
    run.stored.retain(|&i| counts(i));
    run.emitted.retain(|emitted| counts(emitted.cause));
    Ran { outcomes, ..run }
}

fn batch(records: impl IntoIterator<Item = Record>) -> Batch {
    let mut batch = Batch {
        topic: "eventos".to_owned(),
        ..Batch::default()
    };
    for (offset, record) in (0..).zip(records) {
        batch.offsets.push(offset);
        batch.records.push(&record);
        let (id, tipo) = record.value.as_deref().map(read).unwrap_or_default();
        let integer = id.starts_with(|first: char| first != '"');
        if let Some(flags) = batch.records.flags.last_mut().filter(|_| integer) {
            *flags |= flag::INTEGER_ID;
        }
        batch.ids.push(&if integer { id } else { unquote(&id) });
        batch.tipos.push(&unquote(&tipo));
    }
    batch
}

/// Returns the JSON text of the `id` and the `tipo` of an Evento.
fn read(value: &[u8]) -> (String, String) {
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(value).expect("a value is a JSON object");
    let member = |name: &str| {
        members
            .get(name)
            .expect("an Evento has an id and a tipo")
            .get()
            .to_owned()
    };
    (member("id"), member("tipo"))
}

fn unquote(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    serde_json::from_str(text).expect("a tipo is a string, and an id is a string or an integer")
}

fn outcomes(columns: Outcomes) -> Vec<Outcome> {
    let (mut reasons, mut replaces) = (0.., 0..);
    let mut reason = || {
        columns
            .reasons
            .get(reasons.next().unwrap_or_default())
            .to_owned()
    };
    let mut replacements = || {
        let nth = replaces.next().unwrap_or_default();
        let range =
            start_of(&columns.replacement_ends, nth)..columns.replacement_ends[nth] as usize;
        range.map(|i| columns.replacements.to_record(i)).collect()
    };
    let outcome = |&kind: &u8| match kind {
        0 => Outcome::Pass,
        1 => Outcome::Drop,
        2 => Outcome::Replace(replacements()),
        3 => Outcome::Retry(reason()),
        _ => Outcome::Reject(reason()),
    };
    columns.kinds.iter().map(outcome).collect()
}

pub(crate) mod store {
    pub(crate) fn append(records: &[u32]) {
        let stored = records.iter().map(|&i| i as usize);
        super::RUN.with_borrow_mut(|run| run.stored.extend(stored));
    }
}

pub(crate) mod emit {
    use crate::bindings::eventos::handler::types::Records;

    pub(crate) fn send(topic: &str, sources: &[u32], records: &Records) {
        assert_eq!(sources.len(), records.flags.len());
        let emitted = sources
            .iter()
            .enumerate()
            .map(|(i, &cause)| super::Emitted {
                topic: topic.to_owned(),
                cause: cause as usize,
                record: records.to_record(i),
            });
        super::RUN.with_borrow_mut(|run| run.emitted.extend(emitted));
    }
}

pub(crate) mod config {
    pub(crate) fn get(key: &str) -> Option<String> {
        super::SETTINGS.with_borrow(|settings| settings.get(key).cloned())
    }

    pub(crate) fn all() -> Vec<(String, String)> {
        super::SETTINGS.with_borrow(|settings| settings.clone().into_iter().collect())
    }
}

pub(crate) mod log {
    pub(crate) fn write(level: super::Level, record: Option<u32>, message: &str) {
        let (record, message) = (record.map(|i| i as usize), message.to_owned());
        let logged = super::Logged {
            level,
            record,
            message,
        };
        super::RUN.with_borrow_mut(|run| run.logged.push(logged));
    }
}
