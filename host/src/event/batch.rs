//! A batch: consecutive records of one partition, in columns.

use std::sync::Arc;

use super::{
    BYTE_ORDER_MARK, EventoLimits, EventoRef, Header, Id, NotAnEvento, Offset, Partition,
    RecordRef, Records, Texts, Timestamp, TopicPartition, flag, without_byte_order_mark,
};

/// A batch is full at this many records …
const MAX_RECORDS: usize = 1_024;

/// … or at this many bytes, whichever comes first. A record that is larger than that makes a batch of its own.
const MAX_BYTES: usize = 1 << 20;

/// A batch of records of one partition.
///
/// It is filled with records as they were consumed, then [read](Batch::read) once: from then on it holds only valid
/// Eventos and tombstones, with the id and the tipo of each, and can be given to a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    topic_partition: TopicPartition,
    limits: EventoLimits,
    pub(crate) offsets: Vec<i64>,
    pub(crate) ids: Texts,
    pub(crate) tipos: Texts,
    pub(crate) records: Records,
}

/// Records that are not valid Eventos, or that handlers cannot be given.
#[derive(Clone, Debug, Default)]
pub struct Unreadable {
    /// The offset of each record.
    pub offsets: Vec<Offset>,
    /// The reason why each record is unreadable.
    pub reasons: Vec<NotAnEvento>,
    /// The records.
    pub records: Records,
}

impl Unreadable {
    /// Splits off the records from this offset on.
    #[must_use]
    pub fn split_off(&mut self, at: Offset) -> Self {
        let index = self.offsets.partition_point(|&offset| offset < at);
        let (mut kept, mut rest) = (Records::default(), Records::default());
        for (i, record) in self.records.iter().enumerate() {
            let to = if i < index { &mut kept } else { &mut rest };
            to.push_ref(record);
        }
        self.records = kept;
        Self {
            offsets: self.offsets.split_off(index),
            reasons: self.reasons.split_off(index),
            records: rest,
        }
    }
}

impl Batch {
    /// An empty batch of a partition, whose Eventos keep to the default limits.
    #[must_use]
    pub fn new(topic_partition: TopicPartition) -> Self {
        Self {
            topic_partition,
            limits: EventoLimits::default(),
            offsets: Vec::new(),
            ids: Texts::default(),
            tipos: Texts::default(),
            records: Records::default(),
        }
    }

    /// The same batch with other limits of Eventos, for those that it will be read as and those that will replace them.
    #[must_use]
    pub fn with_limits(self, limits: EventoLimits) -> Self {
        Self { limits, ..self }
    }

    /// The limits of its Eventos.
    #[must_use]
    pub fn limits(&self) -> EventoLimits {
        self.limits
    }

    /// An empty batch of the same partition as `of`, with room for as much as `of` holds.
    #[must_use]
    pub fn empty_like(of: &Self) -> Self {
        Self {
            topic_partition: of.topic_partition.clone(),
            limits: of.limits,
            offsets: Vec::with_capacity(of.len()),
            ids: of.ids.empty_like(),
            tipos: of.tipos.empty_like(),
            records: of.records.empty_like(),
        }
    }

    /// The partition that the records are from.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// The topic that the records are from.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic_partition.topic
    }

    /// The number of the partition that the records are from.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.topic_partition.partition
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Returns whether the batch has no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The bytes of keys, values and headers together.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.records.byte_len()
    }

    /// Returns whether the batch takes no more records.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= MAX_RECORDS || self.byte_len() >= MAX_BYTES
    }

    /// Returns whether a record with this key and value fits. An empty batch has room for any record.
    #[must_use]
    pub fn has_room_for(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
        let more = value.map_or(0, <[u8]>::len) + key.map_or(0, <[u8]>::len);
        self.is_empty() || self.byte_len() + more <= MAX_BYTES
    }

    /// The offset to commit once every effect of the batch is done; none for an empty batch.
    #[must_use]
    pub fn next_offset(&self) -> Option<Offset> {
        self.offsets.last().map(|&last| Offset(last).next())
    }

    /// The index of the record at this offset.
    #[must_use]
    pub fn index_of(&self, offset: Offset) -> Option<usize> {
        self.offsets.binary_search(&offset.0).ok()
    }

    /// The offset of record `i`; that of its source, if it is a replacement.
    #[must_use]
    pub fn offset(&self, i: usize) -> Offset {
        Offset(self.offsets[i])
    }

    /// The id of Evento `i`; empty for a tombstone.
    #[must_use]
    pub fn id(&self, i: usize) -> &str {
        self.ids.get(i)
    }

    /// The tipo of Evento `i`; empty for a tombstone.
    #[must_use]
    pub fn tipo(&self, i: usize) -> &str {
        self.tipos.get(i)
    }

    /// Record `i`.
    #[must_use]
    pub fn record(&self, i: usize) -> RecordRef<'_> {
        self.records.get(i)
    }

    /// Appends a record to a batch that has not been read yet. Its offset is higher than those before it.
    pub fn push<'h>(
        &mut self,
        offset: Offset,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
        (timestamp, flags): (Timestamp, u8),
    ) {
        self.offsets.push(offset.0);
        self.records.push(key, value, headers, timestamp, flags);
    }

    /// Appends record `i` of `other`.
    pub fn push_from(&mut self, other: &Self, i: usize) {
        self.offsets.push(other.offsets[i]);
        self.ids.push_from(&other.ids, i);
        self.tipos.push_from(&other.tipos, i);
        self.records.push_from(&other.records, i);
    }

    /// Appends records that replace record `i` of `other`: they get its offset and, where they have none, its timestamp.
    ///
    /// # Errors
    /// [`NotAnEvento`] if a value is not a valid Evento; nothing is appended then.
    pub fn push_replacements(
        &mut self,
        other: &Self,
        i: usize,
        replacements: Vec<RecordRef<'_>>,
    ) -> Result<(), NotAnEvento> {
        let parse = |value| EventoRef::parse_within(&self.limits, value);
        let eventos = replacements
            .iter()
            .map(|record| record.value.map(parse).transpose())
            .collect::<Result<Vec<_>, NotAnEvento>>()?;
        for (evento, record) in eventos.iter().zip(&replacements) {
            let integer = matches!(
                evento.as_ref().map(|evento| &evento.id),
                Some(Id::Integer(_))
            );
            let mut record = record.clone();
            record.value = record.value.map(without_byte_order_mark);
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

    /// Returns the records of `range` as a batch of their own.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let mut slice = Self::empty_like(self);
        for i in range {
            slice.push_from(self, i);
        }
        slice
    }

    /// Reads each value as an Evento, and takes out the records that are not valid ones, or that have a header whose name
    /// is not UTF-8. Tombstones stay, with an empty id and tipo. A byte order mark in front of an Evento is removed, since
    /// neither handlers nor readers of a page of Eventos expect one there. A batch is read once.
    #[must_use]
    pub fn read(&mut self) -> Unreadable {
        let limits = self.limits;
        self.read_with(|value| EventoRef::parse_within(&limits, value))
    }

    /// Like [`Batch::read`], with another way to parse a value.
    #[must_use]
    pub fn read_with(
        &mut self,
        parse: impl Fn(&[u8]) -> Result<EventoRef<'_>, NotAnEvento>,
    ) -> Unreadable {
        let [mut ids, mut tipos] = [(); 2].map(|()| Texts::with_room(self.len()));
        let mut invalid = Vec::new();
        let mut integers = Vec::new();
        let mut has_marks = false;
        for i in 0..self.records.len() {
            if let Some(header) = self.records.header_not_utf8(i) {
                push_names(&mut ids, &mut tipos, None);
                invalid.push((i, NotAnEvento::HeaderName(header)));
                continue;
            }
            let value = self.records.value(i);
            has_marks |= value.is_some_and(|value| value.starts_with(BYTE_ORDER_MARK));
            match value.map(&parse) {
                None => push_names(&mut ids, &mut tipos, None),
                Some(Ok(evento)) => {
                    if matches!(evento.id, Id::Integer(_)) {
                        integers.push(i);
                    }
                    push_names(&mut ids, &mut tipos, Some(&evento));
                }
                Some(Err(reason)) => {
                    push_names(&mut ids, &mut tipos, None);
                    invalid.push((i, reason));
                }
            }
        }
        (self.ids, self.tipos) = (ids, tipos);
        for i in integers {
            self.records.flags[i] |= flag::INTEGER_ID;
        }
        // Only a batch with such records is copied; otherwise the columns stay as they are.
        let unreadable = match invalid.is_empty() {
            true => Unreadable::default(),
            false => self.take_out(invalid),
        };
        if has_marks {
            self.remove_byte_order_marks();
        }
        unreadable
    }

    fn remove_byte_order_marks(&mut self) {
        let mut records = self.records.empty_like();
        for record in self.records.iter() {
            let value = record.value.map(without_byte_order_mark);
            records.push_ref(RecordRef { value, ..record });
        }
        self.records = records;
    }

    /// Takes out the records with these indices, which ascend.
    fn take_out(&mut self, invalid: Vec<(usize, NotAnEvento)>) -> Unreadable {
        let mut valid = Self::empty_like(self);
        let mut unreadable = Unreadable::default();
        let mut invalid = invalid.into_iter().peekable();
        for i in 0..self.len() {
            match invalid.next_if(|(at, _)| *at == i) {
                None => valid.push_from(self, i),
                Some((_, reason)) => {
                    unreadable.offsets.push(self.offset(i));
                    unreadable.reasons.push(reason);
                    unreadable.records.push_ref(self.record(i));
                }
            }
        }
        *self = valid;
        unreadable
    }
}

fn push_names(ids: &mut Texts, tipos: &mut Texts, evento: Option<&EventoRef<'_>>) {
    ids.push(evento.map_or("", |evento| evento.id.as_str()));
    tipos.push(evento.map_or("", |evento| &evento.tipo));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumed(values: &[Option<&str>]) -> Batch {
        let mut batch = Batch::new(TopicPartition::new("eventos", Partition(3)));
        for (i, value) in (10..).zip(values) {
            let value = value.map(str::as_bytes);
            batch.push(Offset(i), Some(b"k"), value, [], (Timestamp(i), 0));
        }
        batch
    }

    #[test]
    fn replacements_take_the_place_of_their_source_all_or_none() {
        let mut source = consumed(&[Some(r#"{"id":"a","tipo":"x"}"#)]);
        assert!(source.read().offsets.is_empty());
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

    #[test]
    fn eventos_and_tombstones_stay_and_the_rest_is_set_apart() {
        let mut batch = consumed(&[
            Some(r#"{"id":"a","tipo":"x"}"#),
            Some("nonsense"),
            None,
            Some(r#"{"id":4,"tipo":"y"}"#),
            Some("{}"),
        ]);
        assert_eq!(batch.next_offset(), Some(Offset(15)));
        let unreadable = batch.read();
        assert_eq!(batch.offsets, [10, 12, 13]);
        assert_eq!([batch.id(0), batch.id(1), batch.id(2)], ["a", "", "4"]);
        assert_eq!(batch.tipo(2), "y");
        assert_eq!(batch.record(2).flags, flag::INTEGER_ID);
        assert_eq!(batch.record(1).flags, flag::NULL_VALUE);
        assert_eq!(unreadable.offsets, [Offset(11), Offset(14)]);
        assert_eq!(unreadable.records.value(0), Some(&b"nonsense"[..]));
        assert!(matches!(unreadable.reasons[0], NotAnEvento::Malformed(_)));
        assert!(matches!(unreadable.reasons[1], NotAnEvento::Invalid(_)));
    }

    #[test]
    fn a_byte_order_mark_is_removed_from_eventos_and_kept_in_the_rest() {
        let mut batch = consumed(&[
            Some("\u{feff}{\"id\":1,\"tipo\":\"x\"}"),
            Some("\u{feff}nonsense"),
            None,
            Some(r#"{"id":"\ufeff","tipo":"y"}"#),
        ]);
        let unreadable = batch.read();
        let values: Vec<_> = batch.records.iter().map(|record| record.value).collect();
        let first = br#"{"id":1,"tipo":"x"}"#.as_slice();
        let last = br#"{"id":"\ufeff","tipo":"y"}"#.as_slice();
        assert_eq!(values, [Some(first), None, Some(last)]);
        assert_eq!(batch.record(0).key, Some(&b"k"[..]));
        assert_eq!(batch.record(0).flags, flag::INTEGER_ID);
        assert_eq!(batch.offsets, [10, 12, 13]);
        assert_eq!(
            unreadable.records.value(0),
            Some("\u{feff}nonsense".as_bytes())
        );

        let mut made = Records::default();
        made.push(
            None,
            Some("\u{feff}{\"id\":1,\"tipo\":\"x\"}".as_bytes()),
            [],
            Timestamp(1),
            0,
        );
        let mut replaced = Batch::empty_like(&batch);
        let pushed = replaced.push_replacements(&batch, 0, made.iter().collect());
        assert!(pushed.is_ok());
        assert_eq!(replaced.records.value(0), Some(first));
    }

    #[test]
    fn a_batch_of_eventos_keeps_its_columns() {
        let mut batch = consumed(&[Some(r#"{"id":"a","tipo":"x"}"#)]);
        let records = batch.records.clone();
        let unreadable = batch.read();
        assert_eq!(batch.records, records);
        assert!(unreadable.offsets.is_empty());
    }
}
