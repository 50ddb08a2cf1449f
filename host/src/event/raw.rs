//! A batch as it came from the broker, and the reading of it as Eventos.

use std::sync::Arc;

use super::{
    Batch, EventoRef, Header, Id, NotAnEvento, Offset, Partition, Records, Texts, Timestamp,
    batch::push_names, flag,
};

/// Records as they came from the broker, not yet read as Eventos.
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// Where they came from.
    pub topic: Arc<str>,
    /// Where they came from.
    pub partition: Partition,
    pub(crate) offsets: Vec<i64>,
    pub(crate) records: Records,
}

/// Records whose values are not Eventos, with the reason of each.
#[derive(Clone, Debug, Default)]
pub struct Unreadable {
    /// One entry a record.
    pub offsets: Vec<Offset>,
    /// One entry a record.
    pub reasons: Vec<NotAnEvento>,
    /// The records, whole.
    pub records: Records,
}

impl RawBatch {
    /// An empty batch.
    #[must_use]
    pub fn new(topic: Arc<str>, partition: Partition) -> Self {
        Self {
            topic,
            partition,
            offsets: Vec::new(),
            records: Records::default(),
        }
    }

    /// An empty batch of the same partition, with room for as much as this one holds.
    #[must_use]
    pub fn empty_like(&self) -> Self {
        Self {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            offsets: Vec::with_capacity(self.offsets.len()),
            records: self.records.empty_like(),
        }
    }

    /// Appends a record; its offset is above those that are there.
    pub fn push<'h>(
        &mut self,
        offset: Offset,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
        timestamp: Timestamp,
        flags: u8,
    ) {
        self.offsets.push(offset.0);
        self.records.push(key, value, headers, timestamp, flags);
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

    /// The bytes of keys, values and headers together.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.records.byte_len()
    }

    /// The offset to commit once every effect of this batch is done; none for an empty batch.
    #[must_use]
    pub fn next_offset(&self) -> Option<Offset> {
        self.offsets.last().map(|&last| Offset(last).next())
    }

    /// Reads each value as an Evento. A tombstone stays, with an empty id and tipo.
    #[must_use]
    pub fn read(self) -> (Batch, Unreadable) {
        self.read_by(|value| EventoRef::parse(value))
    }

    /// Like [`RawBatch::read`], with another way to read a value.
    #[must_use]
    pub fn read_by(
        self,
        parse: impl Fn(&[u8]) -> Result<EventoRef<'_>, NotAnEvento>,
    ) -> (Batch, Unreadable) {
        let [mut ids, mut tipos] = [(); 2].map(|()| Texts::with_room(self.len()));
        let mut faulty = Vec::new();
        let mut integers = Vec::new();
        for i in 0..self.records.len() {
            match self.records.value(i).map(&parse) {
                None => push_names(&mut ids, &mut tipos, None),
                Some(Ok(evento)) => {
                    if matches!(evento.id, Id::Integer(_)) {
                        integers.push(i);
                    }
                    push_names(&mut ids, &mut tipos, Some(&evento));
                }
                Some(Err(reason)) => {
                    push_names(&mut ids, &mut tipos, None);
                    faulty.push((i, reason));
                }
            }
        }
        let mut batch = Batch {
            topic: self.topic,
            partition: self.partition,
            offsets: self.offsets,
            ids,
            tipos,
            records: self.records,
        };
        for i in integers {
            batch.records.flags[i] |= flag::INTEGER_ID;
        }
        // The rare case pays for the copy; the common one moves the columns as they are.
        if faulty.is_empty() {
            return (batch, Unreadable::default());
        }
        set_apart(&batch, faulty)
    }
}

fn set_apart(batch: &Batch, faulty: Vec<(usize, NotAnEvento)>) -> (Batch, Unreadable) {
    let mut good = Batch::empty_like(batch);
    let mut bad = Unreadable::default();
    let mut faulty = faulty.into_iter().peekable();
    for i in 0..batch.len() {
        match faulty.next_if(|(at, _)| *at == i) {
            None => good.push_from(batch, i),
            Some((_, reason)) => {
                bad.offsets.push(batch.offset(i));
                bad.reasons.push(reason);
                bad.records.push_ref(batch.record(i));
            }
        }
    }
    (good, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(values: &[Option<&str>]) -> RawBatch {
        let mut raw = RawBatch::new("eventos".into(), Partition(3));
        for (i, value) in (10..).zip(values) {
            let value = value.map(str::as_bytes);
            raw.push(Offset(i), Some(b"k"), value, [], Timestamp(i), 0);
        }
        raw
    }

    #[test]
    fn eventos_and_tombstones_stay_and_the_rest_is_set_apart() {
        let values = [
            Some(r#"{"id":"a","tipo":"x"}"#),
            Some("nonsense"),
            None,
            Some(r#"{"id":4,"tipo":"y"}"#),
            Some("{}"),
        ];
        let raw = raw(&values);
        assert_eq!(raw.next_offset(), Some(Offset(15)));
        let (batch, unreadable) = raw.read();
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
    fn a_batch_of_eventos_keeps_its_columns() {
        let raw = raw(&[Some(r#"{"id":"a","tipo":"x"}"#)]);
        let records = raw.records.clone();
        let (batch, unreadable) = raw.read();
        assert_eq!(batch.records, records);
        assert!(unreadable.offsets.is_empty());
    }
}
