//! The effects of a batch: gathered from all handlers before any of them happens.

use std::sync::Arc;

use crate::{
    event::{
        Batch, DeadLetterReason, Emission, FailureKind, NotAnEvento, Offset, RecordRef, Records,
        Timestamp, TopicPartition, Unreadable,
    },
    kafka::ProduceError,
};

/// The effects of one batch.
#[derive(Default)]
pub(super) struct Effects {
    /// The records to store, by their indices in a batch.
    pub(super) stored: Vec<(Arc<Batch>, Vec<u32>)>,
    /// The records to produce to other topics.
    pub(super) emitted: Vec<Emitted>,
    /// The records that left the handler chain, if they go to an output topic.
    pub(super) left: Option<Arc<Batch>>,
    /// The records that become dead letters, with their offsets.
    pub(super) dead: Vec<(Offset, DeadLetterReason)>,
    /// The number of bytes that handlers have returned for the batch.
    pub(super) output: usize,
    /// The offset from which on the records are left for another batch, because handlers return too much for one.
    pub(super) cut: Option<Offset>,
}

/// An emission whose sources are given by their offsets.
pub(super) struct Emitted {
    /// The name and the digest of the handler that emitted it.
    pub(super) handler: (String, String),
    pub(super) topic: String,
    /// The offset of the source of each record.
    pub(super) sources: Vec<Offset>,
    pub(super) records: Records,
}

/// How much of its record a dead letter keeps: as much as its topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    parts: KeptParts,
    /// Whether the letter has the timestamp of the record. Otherwise one of its headers has it.
    timestamp: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptParts {
    /// Key, value and headers.
    All,
    /// Key and headers; the value is null.
    NoValue,
    /// None of them. The headers of the letter itself say where the record is.
    Nothing,
}

impl Kept {
    /// The whole record.
    pub(super) const WHOLE: Self = Self {
        parts: KeptParts::All,
        timestamp: true,
    };

    /// Returns what to keep if the topic rejects a letter with this much, unless it is the least that a letter has.
    pub(super) fn less(self, error: &ProduceError) -> Option<Self> {
        match error {
            ProduceError::TooLarge => {
                let parts = match self.parts {
                    KeptParts::All => KeptParts::NoValue,
                    KeptParts::NoValue => KeptParts::Nothing,
                    KeptParts::Nothing => return None,
                };
                Some(Self { parts, ..self })
            }
            // Most often it is the timestamp: too old or too far ahead for the settings of the topic.
            _ => self.timestamp.then_some(Self {
                timestamp: false,
                ..self
            }),
        }
    }

    /// Returns the same with the timestamp.
    pub(super) fn with_timestamp(self) -> Self {
        let timestamp = true;
        Self { timestamp, ..self }
    }

    /// Returns a text that lists what is left out for its size.
    pub(super) fn left_out(self) -> Option<&'static str> {
        match self.parts {
            KeptParts::All => None,
            KeptParts::NoValue => Some("value"),
            KeptParts::Nothing => Some("key, value, headers"),
        }
    }

    /// Returns the record without what is left out.
    pub(super) fn of(self, mut record: RecordRef<'_>) -> RecordRef<'_> {
        if self.parts != KeptParts::All {
            record.value = None;
        }
        if self.parts == KeptParts::Nothing {
            record.key = None;
            record.headers.by_ref().for_each(drop);
        }
        if !self.timestamp {
            record.timestamp = Timestamp::NONE;
        }
        record
    }
}

impl Effects {
    /// Makes a dead letter of each unreadable record.
    pub(super) fn of_unreadable(unreadable: &Unreadable) -> Self {
        let each = unreadable.offsets.iter().zip(&unreadable.reasons);
        let dead = each.map(|(&offset, reason)| {
            let kind = match reason {
                NotAnEvento::Malformed(_) => FailureKind::MalformedJson,
                NotAnEvento::Invalid(_) => FailureKind::InvalidEvento,
                NotAnEvento::HeaderName(_) => FailureKind::InvalidHeader,
            };
            (offset, DeadLetterReason::new(kind, reason.to_string()))
        });
        Self {
            dead: dead.collect(),
            ..Self::default()
        }
    }

    /// Leaves out everything but what is stored: the rest has happened when these records were handled for the first time.
    pub(super) fn keep_stored_only(&mut self) {
        let stored = std::mem::take(&mut self.stored);
        *self = Self {
            stored,
            ..Self::default()
        };
    }

    /// Returns whether there is nothing to produce.
    pub(super) fn produce_nothing(&self) -> bool {
        let is_empty = |left: &Arc<Batch>| left.is_empty();
        self.emitted.is_empty() && self.dead.is_empty() && self.left.as_ref().is_none_or(is_empty)
    }

    /// Takes back everything that is caused by records from this offset on: they become another batch.
    pub(super) fn cut(&mut self, at: Offset) {
        for (batch, stored) in &mut self.stored {
            stored.retain(|&record| batch.offset(record as usize) < at);
        }
        self.stored.retain(|(_, stored)| !stored.is_empty());
        for emitted in &mut self.emitted {
            if emitted.sources.iter().any(|&source| source >= at) {
                let kept = emitted.sources.iter().map(|&source| source < at);
                emitted.records = filtered(&emitted.records, kept);
                emitted.sources.retain(|&source| source < at);
            }
        }
        self.dead.retain(|&(offset, _)| offset < at);
        self.cut = Some(at);
    }

    /// Adds the effects of one call of a handler (name and digest), apart from those of the records that `counts` leaves
    /// out.
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
                false => filtered(&records, sources.iter().map(counts)),
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

/// Returns the records for which `keep` is true.
fn filtered(records: &Records, keep: impl Iterator<Item = bool>) -> Records {
    let mut kept = Records::default();
    for (record, _) in records.iter().zip(keep).filter(|(_, keep)| *keep) {
        kept.push_ref(record);
    }
    kept
}

/// A header is cut at this many bytes. A panic message or a stack may be long, and the letter has to fit into its topic.
const MAX_HEADER: usize = 8 << 10;

/// The headers that a dead letter adds to those of its record.
pub(super) fn dead_letter_headers(
    source: &TopicPartition,
    (offset, timestamp): (Offset, Timestamp),
    reason: &DeadLetterReason,
    kept: Kept,
) -> Vec<(&'static str, String)> {
    let reason = DeadLetterReason {
        topic: source.topic.to_string(),
        partition: Some(source.partition),
        offset: Some(offset),
        left_out: kept
            .left_out()
            .map(str::to_owned)
            .or_else(|| reason.left_out.clone()),
        timestamp: (!kept.timestamp).then_some(timestamp.0),
        ..reason.clone()
    };
    reason.headers(MAX_HEADER)
}
