//! What a batch is to bring about, gathered from all handlers before any of it happens; and what a dead letter says of itself.

use std::sync::Arc;

use crate::event::{Batch, Emission, Failure, NotAnEvento, Offset, RecordRef, Records, Unreadable};

/// The effects of one batch.
#[derive(Default)]
pub(super) struct Effects {
    /// Which records of which batch to store.
    pub stored: Vec<(Arc<Batch>, Vec<u32>)>,
    /// What to produce to other topics.
    pub emitted: Vec<Emitted>,
    /// What has left the chain, if that goes on to a topic.
    pub left: Option<Arc<Batch>>,
    /// What went wrong for good.
    pub dead: Vec<DeadLetter>,
}

/// An emission whose sources are known by their offsets.
pub(super) struct Emitted {
    /// Name and digest of the handler that emitted it.
    pub handler: (String, String),
    pub topic: String,
    /// One a record.
    pub sources: Vec<Offset>,
    pub records: Records,
}

/// Why the record at an offset goes to the dead-letter topic.
#[derive(Clone, Debug)]
pub(super) struct DeadLetter {
    pub offset: Offset,
    /// Where it failed: `read`, `handle`, `emit` or `output`.
    pub stage: &'static str,
    /// What kind of failure it was.
    pub class: &'static str,
    pub message: String,
    /// The guest's; empty where there is none.
    pub stacktrace: String,
    /// Name and digest; none if it never came to a handler.
    pub handler: Option<(String, String)>,
    /// How often it was handed in.
    pub attempts: u32,
    /// How much of the record it holds.
    pub kept: Kept,
}

/// How much of its record a dead letter holds: as much as its topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Whole,
    /// Key and headers; the value is null.
    NoValue,
    /// Only its timestamp: where the record is, the letter's own headers tell.
    Nothing,
}

impl Kept {
    /// What to try where this is too large.
    pub(super) fn less(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::NoValue),
            Self::NoValue => Some(Self::Nothing),
            Self::Nothing => None,
        }
    }

    /// What is left out, for people.
    pub(super) fn left_out(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::NoValue => Some("value"),
            Self::Nothing => Some("key, value, headers"),
        }
    }

    /// The record with what is kept of it.
    pub(super) fn of(self, mut record: RecordRef<'_>) -> RecordRef<'_> {
        if self != Self::Whole {
            record.value = None;
        }
        if self == Self::Nothing {
            record.key = None;
            record.headers.by_ref().for_each(drop);
        }
        record
    }
}

impl DeadLetter {
    pub(super) fn unreadable(offset: Offset, reason: &NotAnEvento) -> Self {
        Self {
            offset,
            stage: "read",
            class: match reason {
                NotAnEvento::Malformed(_) => "eventos.MalformedJson",
                NotAnEvento::Invalid(_) => "eventos.InvalidEvento",
            },
            message: reason.to_string(),
            stacktrace: String::new(),
            handler: None,
            attempts: 0,
            kept: Kept::Whole,
        }
    }
}

impl Effects {
    pub(super) fn of_unreadable(unreadable: &Unreadable) -> Self {
        let each = unreadable.offsets.iter().zip(&unreadable.reasons);
        Self {
            dead: each
                .map(|(&offset, reason)| DeadLetter::unreadable(offset, reason))
                .collect(),
            ..Self::default()
        }
    }

    /// Leaves out what has happened before, when these records were handled for the first time.
    pub(super) fn keep_stored_only(&mut self) {
        let stored = std::mem::take(&mut self.stored);
        *self = Self {
            stored,
            ..Self::default()
        };
    }

    /// Takes the effects of one call of this handler (name and digest), but for those of the
    /// records that `counts` leaves out.
    pub(super) fn add(
        &mut self,
        handler: (&str, &str),
        batch: &Arc<Batch>,
        mut stored: Vec<u32>,
        emitted: Vec<Emission>,
        counts: impl Fn(usize) -> bool,
    ) {
        stored.retain(|&record| counts(record as usize));
        if !stored.is_empty() {
            self.stored.push((Arc::clone(batch), stored));
        }
        let counts = |source: &u32| counts(*source as usize);
        for Emission {
            topic,
            sources,
            records,
        } in emitted
        {
            let records = match sources.iter().all(counts) {
                true => records,
                false => kept(&records, sources.iter().map(counts)),
            };
            let sources = sources.into_iter().filter(counts);
            self.emitted.push(Emitted {
                handler: (handler.0.to_owned(), handler.1.to_owned()),
                topic,
                sources: sources
                    .map(|source| batch.offset(source as usize))
                    .collect(),
                records,
            });
        }
    }
}

/// Those records for which `keep` says so.
fn kept(records: &Records, keep: impl Iterator<Item = bool>) -> Records {
    let mut kept = Records::default();
    for (record, _) in records.iter().zip(keep).filter(|(_, keep)| *keep) {
        kept.push_ref(record);
    }
    kept
}

/// A panic's text or a stack may be long; a header of so many bytes tells enough, and keeps the
/// letter within what a topic takes.
const MAX_TEXT: usize = 8 << 10;

pub(super) fn dead_letter_headers(
    from: &Batch,
    letter: &DeadLetter,
) -> Vec<(&'static str, String)> {
    let (handler, digest) = letter.handler.clone().unzip();
    let failure = Failure {
        topic: from.topic.to_string(),
        partition: Some(from.partition),
        offset: Some(letter.offset),
        stage: Some(letter.stage.to_owned()),
        class: Some(letter.class.to_owned()),
        message: Some(letter.message.clone()),
        stacktrace: Some(letter.stacktrace.clone()),
        attempts: Some(letter.attempts),
        handler,
        digest,
        left_out: letter.kept.left_out().map(str::to_owned),
    };
    failure.headers(MAX_TEXT)
}
