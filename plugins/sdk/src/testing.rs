//! Runs a handler in an ordinary test, without WebAssembly and without a daemon.
//!
//! ```
//! use eventos_sdk::{Evento, Outcome, Record, store, testing};
//!
//! fn handle(evento: &Evento) -> Outcome {
//!     store::append(evento);
//!     Outcome::Pass
//! }
//!
//! let ran = testing::run(handle, [Record::new(r#"{"id":1,"tipo":"sismo"}"#)]);
//! assert_eq!(ran.outcomes, [Outcome::Pass]);
//! assert_eq!(ran.stored, [0]);
//! ```
//!
//! The records pass through the same columns as they would between daemon and handler. What the daemon refuses
//! beyond that (a topic that is not permitted, a replacement that is no Evento, too much time or memory) is not refused
//! here. Each thread, hence each test, has its own settings and its own effects.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::bindings::{Batch, Outcomes};
use crate::columns::{flag, start_of};
use crate::log::Level;
use crate::{Evento, Outcome, Record, call};

/// All that came of a batch, as it would count in the daemon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    /// One a record.
    pub outcomes: Vec<Outcome>,
    /// The indices of the records that were stored, in their order.
    pub stored: Vec<usize>,
    /// What was emitted, topic by topic.
    pub emitted: Vec<Emitted>,
    /// What was logged.
    pub logged: Vec<Logged>,
}

/// A record for another topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// Where to.
    pub topic: String,
    /// The index of the record that caused it.
    pub cause: usize,
    /// What.
    pub record: Record,
}

/// A line in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// How much it matters.
    pub level: Level,
    /// The index of the record that it is about.
    pub record: Option<usize>,
    /// What it says.
    pub message: String,
}

thread_local! {
    static SETTINGS: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
    static RAN: RefCell<Ran> = RefCell::default();
}

/// Sets a key of the handler's configuration, from now on in this thread.
pub fn set(key: impl Into<String>, value: impl Into<String>) {
    SETTINGS.with_borrow_mut(|settings| settings.insert(key.into(), value.into()));
}

/// Hands records to a handler as one batch of partition 0 of the topic `eventos`, with offsets from 0.
///
/// # Panics
/// If a value is neither an Evento nor null, and if the handler panics.
pub fn run(
    handle: impl Fn(&Evento<'_>) -> Outcome,
    records: impl IntoIterator<Item = Record>,
) -> Ran {
    RAN.take();
    let outcomes = outcomes(call::handle(&batch(records), handle));
    let mut ran = RAN.take();
    let counts = |i: usize| !matches!(outcomes[i], Outcome::Retry(_) | Outcome::Reject(_));
    ran.stored.retain(|&i| counts(i));
    ran.emitted.retain(|emitted| counts(emitted.cause));
    Ran { outcomes, ..ran }
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

/// The `id` and the `tipo` of an Evento, as they are written.
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
    serde_json::from_str(text).expect("a tipo is a string, and so is an id that is no integer")
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
        super::RAN.with_borrow_mut(|ran| ran.stored.extend(stored));
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
        super::RAN.with_borrow_mut(|ran| ran.emitted.extend(emitted));
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
        super::RAN.with_borrow_mut(|ran| ran.logged.push(logged));
    }
}
