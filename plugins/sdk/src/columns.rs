//! The struct of arrays that carries records between host and handler (`wit/types.wit`): reading and appending.

use crate::{
    Record,
    bindings::eventos::handler::types::{Records, Texts},
};

/// The bits of the flags column.
pub(crate) mod flag {
    pub(crate) const NULL_KEY: u8 = 1;
    pub(crate) const NULL_VALUE: u8 = 2;
    pub(crate) const LOG_APPEND_TIME: u8 = 4;
    pub(crate) const INTEGER_ID: u8 = 8;
}

/// The value in the timestamps column of a record without a timestamp.
const NO_TIMESTAMP: i64 = -1;

impl Texts {
    pub(crate) fn get(&self, i: usize) -> &str {
        text(&self.bytes[start_of(&self.ends, i)..self.ends[i] as usize])
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(end_of(&self.bytes));
    }
}

impl Records {
    pub(crate) fn key(&self, i: usize) -> Option<&[u8]> {
        let end = self.key_ends[i] as usize;
        (self.flags[i] & flag::NULL_KEY == 0).then(|| &self.bytes[self.start(i)..end])
    }

    pub(crate) fn value(&self, i: usize) -> Option<&[u8]> {
        let range = self.key_ends[i] as usize..self.value_ends[i] as usize;
        (self.flags[i] & flag::NULL_VALUE == 0).then(|| &self.bytes[range])
    }

    pub(crate) fn timestamp(&self, i: usize) -> Option<i64> {
        Some(self.timestamps[i]).filter(|&timestamp| timestamp != NO_TIMESTAMP)
    }

    pub(crate) fn to_record(&self, i: usize) -> Record {
        let owned =
            |header: crate::Header<'_>| (header.name.to_owned(), header.value.map(<[u8]>::to_vec));
        Record {
            key: self.key(i).map(<[u8]>::to_vec),
            value: self.value(i).map(<[u8]>::to_vec),
            headers: self.headers(i).map(owned).collect(),
            timestamp: self.timestamp(i),
        }
    }

    /// Returns the index in `bytes` at which record `i` begins, which is where record `i - 1` ends: after its last
    /// header, or after its value if it has no header.
    fn start(&self, i: usize) -> usize {
        let Some(before) = i.checked_sub(1) else {
            return 0;
        };
        let headers = self.header_ends[before] as usize;
        if headers > start_of(&self.header_ends, before) {
            self.header_value_ends[headers - 1] as usize
        } else {
            self.value_ends[before] as usize
        }
    }

    pub(crate) fn push(&mut self, record: &Record) {
        let null_key = if record.key.is_none() {
            flag::NULL_KEY
        } else {
            0
        };
        let null_value = if record.value.is_none() {
            flag::NULL_VALUE
        } else {
            0
        };
        self.bytes
            .extend_from_slice(record.key.as_deref().unwrap_or_default());
        self.key_ends.push(end_of(&self.bytes));
        self.bytes
            .extend_from_slice(record.value.as_deref().unwrap_or_default());
        self.value_ends.push(end_of(&self.bytes));
        self.flags.push(null_key | null_value);
        self.timestamps
            .push(record.timestamp.unwrap_or(NO_TIMESTAMP));
        for (name, value) in &record.headers {
            self.bytes.extend_from_slice(name.as_bytes());
            self.header_name_ends.push(end_of(&self.bytes));
            self.bytes
                .extend_from_slice(value.as_deref().unwrap_or_default());
            self.header_value_ends.push(end_of(&self.bytes));
            self.header_nulls.push(u8::from(value.is_none()));
        }
        self.header_ends.push(end_of(&self.header_nulls));
    }
}

/// Returns where piece `i` begins, given the column of ends.
pub(crate) fn start_of(ends: &[u32], i: usize) -> usize {
    i.checked_sub(1).map_or(0, |before| ends[before] as usize)
}

/// Returns the end of a column, as the next entry of a column of ends.
pub(crate) fn end_of<T>(column: &[T]) -> u32 {
    u32::try_from(column.len()).expect("a handler's memory is smaller than 4 GiB")
}

/// Converts bytes that the contract guarantees to be UTF-8: ids, tipos, values and header names.
pub(crate) fn text(bytes: &[u8]) -> &str {
    debug_assert!(
        std::str::from_utf8(bytes).is_ok(),
        "the host broke its contract"
    );
    // SAFETY: the host owns the whole memory of this instance and validates these bytes before it passes them in,
    // and so does `testing`. Validating them again tripled the cost of reading id, tipo, key, value and two
    // headers: 42 ns instead of 14 ns per Evento.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}
