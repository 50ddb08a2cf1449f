//! The effects of a batch: gathered from all handlers before any of them happens, and then delivered record by record.

use std::sync::Arc;

use crate::event::{
    Batch, DeadLetterReason, Emission, FailureKind, NotAnEvento, Offset, RecordRef, Records,
    TopicPartition, Unreadable,
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

/// The records that a batch produces, ordered by the offsets of their sources, and which of them are acknowledged.
#[derive(Default)]
pub(super) struct DeliveryQueue(pub(super) Vec<PendingRecord>);

/// A record to produce.
#[derive(Clone, Copy)]
pub(super) struct PendingRecord {
    /// The offset of its source.
    pub(super) source: Offset,
    pub(super) outgoing: Outgoing,
    /// Whether it is sent in a request of its own: a request that is too large fails as a whole, and this finds the record
    /// that is to blame.
    pub(super) alone: bool,
    pub(super) acknowledged: bool,
}

/// A record among the effects of a batch.
#[derive(Clone, Copy)]
pub(super) enum Outgoing {
    /// A record of an emission: the index of the emission, and of the record in it.
    Emitted(usize, usize),
    /// A record that left the chain: its index.
    Left(usize),
    /// A dead letter: its index, and how much of the record it keeps.
    Dead(usize, Kept),
}

/// How much of its record a dead letter keeps: as much as its topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The whole record.
    Whole,
    /// Key and headers; the value is null.
    NoValue,
    /// Only the timestamp. The headers of the letter itself say where the record is.
    Nothing,
}

impl Kept {
    /// What to keep if a letter with this much is too large.
    pub(super) fn less(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::NoValue),
            Self::NoValue => Some(Self::Nothing),
            Self::Nothing => None,
        }
    }

    /// A text that lists what is left out.
    pub(super) fn left_out(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::NoValue => Some("value"),
            Self::Nothing => Some("key, value, headers"),
        }
    }

    /// The record without what is left out.
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

impl DeliveryQueue {
    pub(super) fn of(effects: &Effects) -> Self {
        let emitted = effects.emitted.iter().enumerate().flat_map(|(e, emitted)| {
            let sources = emitted.sources.iter().enumerate();
            sources.map(move |(r, &source)| (source, Outgoing::Emitted(e, r)))
        });
        let dead = effects.dead.iter().enumerate();
        let dead = dead.map(|(d, (offset, _))| (*offset, Outgoing::Dead(d, Kept::Whole)));
        let left = effects.left.iter().flat_map(|left| {
            let records = 0..left.len();
            records.map(|i| (left.offset(i), Outgoing::Left(i)))
        });
        let mut outgoing: Vec<_> = emitted.chain(dead).chain(left).collect();
        // The sort is stable, so the records of one source keep their order.
        outgoing.sort_by_key(|(offset, _)| *offset);
        let pending = |(source, outgoing)| PendingRecord {
            source,
            outgoing,
            alone: false,
            acknowledged: false,
        };
        Self(outgoing.into_iter().map(pending).collect())
    }

    /// Returns whether the broker has acknowledged every record.
    pub(super) fn is_done(&self) -> bool {
        self.0.iter().all(|pending| pending.acknowledged)
    }

    /// Forgets the acknowledgements: their transaction was aborted.
    pub(super) fn start_over(&mut self) {
        for pending in &mut self.0 {
            pending.acknowledged = false;
        }
    }
}

/// A header is cut at this many bytes. A panic message or a stack may be long, and the letter has to fit into its topic.
const MAX_HEADER: usize = 8 << 10;

/// The headers that a dead letter adds to those of its record.
pub(super) fn dead_letter_headers(
    source: &TopicPartition,
    offset: Offset,
    reason: &DeadLetterReason,
    kept: Kept,
) -> Vec<(&'static str, String)> {
    let reason = DeadLetterReason {
        topic: source.topic.to_string(),
        partition: Some(source.partition),
        offset: Some(offset),
        left_out: kept.left_out().map(str::to_owned),
        ..reason.clone()
    };
    reason.headers(MAX_HEADER)
}
