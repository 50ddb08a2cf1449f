//! A batch of Eventos: what a handler gets.

use std::sync::Arc;

use super::{
    EventoRef, Id, NotAnEvento, Offset, Partition, RecordRef, Records, Texts, Timestamp, flag,
};

/// Eventos and tombstones with the records that carry them: what a handler gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where they came from.
    pub topic: Arc<str>,
    /// Where they came from.
    pub partition: Partition,
    pub(crate) offsets: Vec<i64>,
    pub(crate) ids: Texts,
    pub(crate) tipos: Texts,
    pub(crate) records: Records,
}

impl Batch {
    /// An empty batch of the same partition as `of`, with room for as much as it holds.
    #[must_use]
    pub fn empty_like(of: &Self) -> Self {
        Self {
            topic: Arc::clone(&of.topic),
            partition: of.partition,
            offsets: Vec::with_capacity(of.len()),
            ids: of.ids.empty_like(),
            tipos: of.tipos.empty_like(),
            records: of.records.empty_like(),
        }
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The offset of record `i`; that of its source, if it is a replacement.
    #[must_use]
    pub fn offset(&self, i: usize) -> Offset {
        Offset(self.offsets[i])
    }

    /// The id of Evento `i`; empty in a tombstone.
    #[must_use]
    pub fn id(&self, i: usize) -> &str {
        self.ids.get(i)
    }

    /// The tipo of Evento `i`; empty in a tombstone.
    #[must_use]
    pub fn tipo(&self, i: usize) -> &str {
        self.tipos.get(i)
    }

    /// Record `i`.
    #[must_use]
    pub fn record(&self, i: usize) -> RecordRef<'_> {
        self.records.get(i)
    }

    /// Appends record `i` of `other`.
    pub fn push_from(&mut self, other: &Self, i: usize) {
        self.offsets.push(other.offsets[i]);
        self.ids.push_from(&other.ids, i);
        self.tipos.push_from(&other.tipos, i);
        self.records.push_from(&other.records, i);
    }

    /// Appends records that stand in for record `i` of `other`: they get its offset and, where
    /// they have none, its timestamp.
    ///
    /// # Errors
    /// [`NotAnEvento`] if one has a value that is none; nothing is appended then.
    pub fn push_replacements(
        &mut self,
        other: &Self,
        i: usize,
        by: Vec<RecordRef<'_>>,
    ) -> Result<(), NotAnEvento> {
        let eventos = by
            .iter()
            .map(|record| record.value.map(EventoRef::parse).transpose())
            .collect::<Result<Vec<_>, NotAnEvento>>()?;
        for (evento, record) in eventos.iter().zip(&by) {
            let integer = matches!(
                evento.as_ref().map(|evento| &evento.id),
                Some(Id::Integer(_))
            );
            let mut record = record.clone();
            record.flags = if integer { flag::INTEGER_ID } else { 0 };
            if record.timestamp == Timestamp::NONE {
                record.timestamp = Timestamp(other.records.timestamps[i]);
            }
            self.offsets.push(other.offsets[i]);
            push_names(&mut self.ids, &mut self.tipos, evento.as_ref());
            self.records.push_ref(record);
        }
        Ok(())
    }

    /// The records of `range` as a batch of their own.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let mut slice = Self::empty_like(self);
        for i in range {
            slice.push_from(self, i);
        }
        slice
    }
}

pub(super) fn push_names(ids: &mut Texts, tipos: &mut Texts, evento: Option<&EventoRef<'_>>) {
    ids.push(evento.map_or("", |evento| evento.id.as_str()));
    tipos.push(evento.map_or("", |evento| &evento.tipo));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RawBatch;

    #[test]
    fn replacements_take_the_place_of_their_source_all_or_none() {
        let mut raw = RawBatch::new("eventos".into(), Partition(3));
        let value = br#"{"id":"a","tipo":"x"}"#;
        raw.push(Offset(10), Some(b"k"), Some(value), [], Timestamp(10), 0);
        let (source, _) = raw.read();
        let mut made = Records::default();
        made.push(
            None,
            Some(br#"{"id":1,"tipo":"z"}"#),
            [],
            Timestamp::NONE,
            0,
        );
        made.push(None, None, [], Timestamp(5), 0);
        made.push(None, Some(b"[]"), [], Timestamp(5), 0);
        let mut batch = Batch::empty_like(&source);
        assert!(
            batch
                .push_replacements(&source, 0, made.iter().collect())
                .is_err()
        );
        assert!(batch.is_empty());
        let good = made.iter().take(2).collect();
        assert!(batch.push_replacements(&source, 0, good).is_ok());
        assert_eq!(batch.offsets, [10, 10]);
        assert_eq!([batch.id(0), batch.id(1)], ["1", ""]);
        assert_eq!(batch.records.timestamps, [10, 5]);
        assert_eq!(batch.records.flags[0], flag::INTEGER_ID | flag::NULL_KEY);
    }
}
