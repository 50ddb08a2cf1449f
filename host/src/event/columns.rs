//! Records as a struct of arrays: the shape in which they cross into a handler and back
//! (`wit/types.wit`), and in which they wait in between, so that no record is ever allocated alone.

use super::{Header, Timestamp};

/// The bits of [`Records`]' flags column.
pub mod flag {
    /// The key is null.
    pub const NULL_KEY: u8 = 1;
    /// The value is null: a tombstone.
    pub const NULL_VALUE: u8 = 2;
    /// The timestamp was set by the broker, not by the producer.
    pub const LOG_APPEND_TIME: u8 = 4;
    /// The Evento's `id` is a JSON integer, not a string.
    pub const INTEGER_ID: u8 = 8;
}

/// Texts in one buffer; text `i` ends at `ends[i]` and begins where the one before it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
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
    /// When it was made, or appended.
    pub timestamp: Timestamp,
    /// In order, duplicates kept.
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

/// Why columns that a handler made are not records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnFault {
    /// Columns that describe the same things differ in length.
    #[error("column {column} has {found} entries instead of {expected}")]
    Length {
        /// The column's name in the WIT.
        column: &'static str,
        /// What it should have had.
        expected: usize,
        /// What it had.
        found: usize,
    },
    /// An end lies before the one before it, or past the end of what it divides.
    #[error("column {column} is out of order or out of range at entry {entry}")]
    Range {
        /// The column's name in the WIT.
        column: &'static str,
        /// The index in it.
        entry: usize,
    },
    /// A text is not UTF-8.
    #[error("text {entry} of {column} is not UTF-8")]
    Utf8 {
        /// The column's name in the WIT.
        column: &'static str,
        /// The index in it.
        entry: usize,
    },
}

impl Texts {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(end(&self.bytes));
    }

    /// No texts, with room for as many as these.
    #[must_use]
    pub fn empty_like(&self) -> Self {
        Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            ends: Vec::with_capacity(self.len()),
        }
    }

    /// The number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Text `i`.
    ///
    /// # Panics
    /// If there is no text `i`.
    #[must_use]
    pub fn get(&self, i: usize) -> &str {
        let bytes = &self.bytes[before(&self.ends, i)..self.ends[i] as usize];
        std::str::from_utf8(bytes).expect("pushed as str, or checked")
    }

    /// Checks what a handler made: `expected` texts, in order, UTF-8.
    ///
    /// # Errors
    /// The first fault found, with `column` as its place.
    pub fn check(&self, column: &'static str, expected: usize) -> Result<(), ColumnFault> {
        check_ends(column, &self.ends, expected, self.bytes.len())?;
        for entry in 0..expected {
            let bytes = &self.bytes[before(&self.ends, entry)..self.ends[entry] as usize];
            std::str::from_utf8(bytes).map_err(|_| ColumnFault::Utf8 { column, entry })?;
        }
        Ok(())
    }
}

impl Records {
    /// Appends a record. The bits of `flags` for null key and null value are set from `key` and
    /// `value`; the others are taken as given.
    pub fn push<'h>(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
        timestamp: Timestamp,
        mut flags: u8,
    ) {
        flags &= !(flag::NULL_KEY | flag::NULL_VALUE);
        match key {
            Some(key) => self.bytes.extend_from_slice(key),
            None => flags |= flag::NULL_KEY,
        }
        self.key_ends.push(end(&self.bytes));
        match value {
            Some(value) => self.bytes.extend_from_slice(value),
            None => flags |= flag::NULL_VALUE,
        }
        self.value_ends.push(end(&self.bytes));
        self.flags.push(flags);
        self.timestamps.push(timestamp.0);
        for header in headers {
            self.push_header(header);
        }
        self.header_ends.push(end(&self.header_nulls));
    }

    fn push_header(&mut self, header: Header<'_>) {
        self.bytes.extend_from_slice(header.name.as_bytes());
        self.header_name_ends.push(end(&self.bytes));
        self.bytes
            .extend_from_slice(header.value.unwrap_or_default());
        self.header_value_ends.push(end(&self.bytes));
        self.header_nulls.push(u8::from(header.value.is_none()));
    }

    /// Appends a record of other columns as it is.
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

    /// No records, with room for as many as these.
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

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.value_ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.value_ends.is_empty()
    }

    /// The bytes of keys, values and headers together.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Record `i`.
    ///
    /// # Panics
    /// If there is no record `i`.
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

    /// The value of record `i`; none in a tombstone.
    ///
    /// # Panics
    /// If there is no record `i`.
    #[must_use]
    pub fn value(&self, i: usize) -> Option<&[u8]> {
        let range = self.key_ends[i] as usize..self.value_ends[i] as usize;
        (self.flags[i] & flag::NULL_VALUE == 0).then(|| &self.bytes[range])
    }

    /// Every record, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Where record `i` begins: where the one before it ended.
    fn start(&self, i: usize) -> usize {
        let Some(previous) = i.checked_sub(1) else {
            return 0;
        };
        let headers = self.header_ends[previous] as usize;
        if headers > before(&self.header_ends, previous) {
            self.header_value_ends[headers - 1] as usize
        } else {
            self.value_ends[previous] as usize
        }
    }

    /// Checks what a handler made, so that [`Records::get`] can be trusted not to panic.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), ColumnFault> {
        let (n, headers) = (self.len(), self.header_nulls.len());
        length("key-ends", self.key_ends.len(), n)?;
        length("flags", self.flags.len(), n)?;
        length("timestamps", self.timestamps.len(), n)?;
        length("header-name-ends", self.header_name_ends.len(), headers)?;
        length("header-value-ends", self.header_value_ends.len(), headers)?;
        check_ends("header-ends", &self.header_ends, n, headers)?;
        let mut cursor = 0;
        for i in 0..n {
            cursor = advance("key-ends", i, cursor, self.key_ends[i])?;
            cursor = advance("value-ends", i, cursor, self.value_ends[i])?;
            for h in before(&self.header_ends, i)..self.header_ends[i] as usize {
                let start = cursor as usize;
                cursor = advance("header-name-ends", h, cursor, self.header_name_ends[h])?;
                let name = self.bytes.get(start..cursor as usize);
                if name.is_none_or(|name| std::str::from_utf8(name).is_err()) {
                    let column = "header-name-ends";
                    return Err(ColumnFault::Utf8 { column, entry: h });
                }
                cursor = advance("header-value-ends", h, cursor, self.header_value_ends[h])?;
            }
        }
        length("bytes", self.bytes.len(), cursor as usize)
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
        let name = std::str::from_utf8(&records.bytes[self.start..name_end])
            .expect("pushed as str, or checked");
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

/// Columns hold 32-bit ends: a batch stays far below 4 GiB, since the broker's largest record does.
fn end<T>(of: &[T]) -> u32 {
    u32::try_from(of.len()).expect("a batch is smaller than 4 GiB")
}

fn before(ends: &[u32], i: usize) -> usize {
    i.checked_sub(1)
        .map_or(0, |previous| ends[previous] as usize)
}

fn length(column: &'static str, found: usize, expected: usize) -> Result<(), ColumnFault> {
    if found == expected {
        return Ok(());
    }
    Err(ColumnFault::Length {
        column,
        expected,
        found,
    })
}

/// `ends` has `n` entries, never decreases, and its last entry is `total`.
pub(super) fn check_ends(
    column: &'static str,
    ends: &[u32],
    n: usize,
    total: usize,
) -> Result<(), ColumnFault> {
    length(column, ends.len(), n)?;
    let mut cursor = 0;
    for (entry, &end) in ends.iter().enumerate() {
        cursor = advance(column, entry, cursor, end)?;
    }
    if cursor as usize == total {
        return Ok(());
    }
    let entry = ends.len().saturating_sub(1);
    Err(ColumnFault::Range { column, entry })
}

fn advance(column: &'static str, entry: usize, from: u32, to: u32) -> Result<u32, ColumnFault> {
    if to < from {
        return Err(ColumnFault::Range { column, entry });
    }
    Ok(to)
}

#[cfg(test)]
mod tests;
