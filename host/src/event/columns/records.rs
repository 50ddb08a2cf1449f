//! Kafka records in columns, and a borrowed view of one of them.

use super::{before, end};
use crate::event::{Header, Timestamp};

/// Bits of the flags column of [`Records`].
pub mod flag {
    /// The key is null.
    pub const NULL_KEY: u8 = 1;
    /// The value is null: a tombstone.
    pub const NULL_VALUE: u8 = 2;
    /// The broker set the timestamp, not the producer.
    pub const LOG_APPEND_TIME: u8 = 4;
    /// The Evento's `id` is a JSON integer, not a string.
    pub const INTEGER_ID: u8 = 8;
}

/// Kafka records in columns; see `records` in `wit/types.wit` for the layout of the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key_ends: Vec<u32>,
    pub(crate) value_ends: Vec<u32>,
    pub(crate) flags: Vec<u8>,
    pub(crate) timestamps: Vec<i64>,
    pub(crate) header_ends: Vec<u32>,
    pub(crate) header_name_ends: Vec<u32>,
    pub(crate) header_value_ends: Vec<u32>,
    pub(crate) header_nulls: Vec<u8>,
}

/// One record of [`Records`], borrowed.
#[derive(Clone, Debug)]
pub struct RecordRef<'a> {
    /// Any bytes, or null.
    pub key: Option<&'a [u8]>,
    /// Any bytes; null in a tombstone.
    pub value: Option<&'a [u8]>,
    /// See [`flag`].
    pub flags: u8,
    /// When the record was created or appended.
    pub timestamp: Timestamp,
    /// In order, including duplicates.
    pub headers: Headers<'a>,
}

/// The headers of one record, in order.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    records: &'a Records,
    start: usize,
    next: usize,
    end: usize,
}

impl Records {
    /// Appends a record. The bits of `flags` for a null key and a null value are set from `key` and `value`; the
    /// others are taken as given.
    pub fn push<'h>(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
        timestamp: Timestamp,
        mut flags: u8,
    ) {
        flags &= !(flag::NULL_KEY | flag::NULL_VALUE);
        if key.is_none() {
            flags |= flag::NULL_KEY;
        }
        if value.is_none() {
            flags |= flag::NULL_VALUE;
        }
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        self.bytes.reserve(key.len() + value.len());
        self.bytes.extend_from_slice(key);
        self.key_ends.push(end(&self.bytes));
        self.bytes.extend_from_slice(value);
        self.value_ends.push(end(&self.bytes));
        self.flags.push(flags);
        self.timestamps.push(timestamp.0);
        for header in headers {
            self.push_header(header);
        }
        self.header_ends.push(end(&self.header_nulls));
    }

    #[inline]
    fn push_header(&mut self, header: Header<'_>) {
        let (name, value) = (header.name, header.value.unwrap_or_default());
        self.bytes.reserve(name.len() + value.len());
        self.bytes.extend_from_slice(name);
        self.header_name_ends.push(end(&self.bytes));
        self.bytes.extend_from_slice(value);
        self.header_value_ends.push(end(&self.bytes));
        self.header_nulls.push(u8::from(header.value.is_none()));
    }

    /// Appends a copy of record `i` of `other`, with its bytes in one piece.
    pub(in crate::event) fn push_from(&mut self, other: &Self, i: usize) {
        let headers = before(&other.header_ends, i)..other.header_ends[i] as usize;
        let (from, to) = (other.start(i), other.end(i));
        let base = end(&self.bytes);
        let moved = |at: &u32| at - from as u32 + base;
        self.bytes.extend_from_slice(&other.bytes[from..to]);
        self.key_ends.push(moved(&other.key_ends[i]));
        self.value_ends.push(moved(&other.value_ends[i]));
        self.flags.push(other.flags[i]);
        self.timestamps.push(other.timestamps[i]);
        let names = &other.header_name_ends[headers.clone()];
        self.header_name_ends.extend(names.iter().map(moved));
        let values = &other.header_value_ends[headers.clone()];
        self.header_value_ends.extend(values.iter().map(moved));
        self.header_nulls
            .extend_from_slice(&other.header_nulls[headers]);
        self.header_ends.push(end(&self.header_nulls));
    }

    /// Appends a copy of a record of other columns.
    pub fn push_ref(&mut self, record: RecordRef<'_>) {
        let RecordRef {
            key,
            value,
            flags,
            timestamp,
            headers,
        } = record;
        self.push(key, value, headers, timestamp, flags);
    }

    /// Returns empty columns with the capacity for as many records as these hold.
    #[must_use]
    pub fn empty_like(&self) -> Self {
        Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            key_ends: Vec::with_capacity(self.len()),
            value_ends: Vec::with_capacity(self.len()),
            flags: Vec::with_capacity(self.len()),
            timestamps: Vec::with_capacity(self.len()),
            header_ends: Vec::with_capacity(self.len()),
            header_name_ends: Vec::with_capacity(self.header_nulls.len()),
            header_value_ends: Vec::with_capacity(self.header_nulls.len()),
            header_nulls: Vec::with_capacity(self.header_nulls.len()),
        }
    }

    /// Returns the number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.value_ends.len()
    }

    /// Returns whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.value_ends.is_empty()
    }

    /// Returns the total number of bytes of keys, values and headers.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the memory of all columns in bytes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let records = size_of::<u32>() * 3 + size_of::<u8>() + size_of::<i64>();
        let headers = size_of::<u32>() * 2 + size_of::<u8>();
        self.bytes.len() + self.len() * records + self.header_nulls.len() * headers
    }

    /// Returns record `i`.
    ///
    /// # Panics
    /// Panics if `i` is out of range.
    #[must_use]
    pub fn get(&self, i: usize) -> RecordRef<'_> {
        let key_end = self.key_ends[i] as usize;
        let flags = self.flags[i];
        let first = before(&self.header_ends, i);
        RecordRef {
            key: (flags & flag::NULL_KEY == 0).then(|| &self.bytes[self.start(i)..key_end]),
            value: self.value(i),
            flags,
            timestamp: Timestamp(self.timestamps[i]),
            headers: Headers {
                records: self,
                start: self.value_ends[i] as usize,
                next: first,
                end: self.header_ends[i] as usize,
            },
        }
    }

    /// Returns the value of record `i`, or `None` if it is a tombstone.
    ///
    /// # Panics
    /// Panics if `i` is out of range.
    #[must_use]
    pub fn value(&self, i: usize) -> Option<&[u8]> {
        let range = self.key_ends[i] as usize..self.value_ends[i] as usize;
        (self.flags[i] & flag::NULL_VALUE == 0).then(|| &self.bytes[range])
    }

    /// Returns the index of the first header of record `i` whose name is not UTF-8.
    #[must_use]
    pub fn header_not_utf8(&self, i: usize) -> Option<usize> {
        if before(&self.header_ends, i) == self.header_ends[i] as usize {
            return None;
        }
        let mut headers = self.get(i).headers;
        headers.position(|header| str::from_utf8(header.name).is_err())
    }

    /// Returns every record, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Returns where record `i` begins: at the end of the one before.
    fn start(&self, i: usize) -> usize {
        i.checked_sub(1).map_or(0, |previous| self.end(previous))
    }

    /// Returns where record `i` ends: after the value of its last header, if it has one.
    fn end(&self, i: usize) -> usize {
        let headers = self.header_ends[i] as usize;
        if headers > before(&self.header_ends, i) {
            self.header_value_ends[headers - 1] as usize
        } else {
            self.value_ends[i] as usize
        }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.next == self.end {
            return None;
        }
        let records = self.records;
        let name_end = records.header_name_ends[self.next] as usize;
        let value_end = records.header_value_ends[self.next] as usize;
        let name = &records.bytes[self.start..name_end];
        let value =
            (records.header_nulls[self.next] == 0).then(|| &records.bytes[name_end..value_end]);
        self.start = value_end;
        self.next += 1;
        Some(Header { name, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for Headers<'_> {}
