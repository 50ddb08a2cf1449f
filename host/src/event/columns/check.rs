//! Validates columns that a handler returned: afterwards they can be read without panicking.

use super::{Records, Texts, before};

/// A fault in columns that a handler returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnFault {
    /// Columns that describe the same things differ in length.
    #[error("column {column} has {found} entries instead of {expected}")]
    Length {
        /// The column's name in the WIT.
        column: &'static str,
        /// The length that it should have.
        expected: usize,
        /// The length that it has.
        found: usize,
    },
    /// An end lies before the previous one, or beyond what it divides.
    #[error("column {column} is out of order or out of range at entry {entry}")]
    Range {
        /// The column's name in the WIT.
        column: &'static str,
        /// Index in the column.
        entry: usize,
    },
    /// A text is not UTF-8.
    #[error("text {entry} of {column} is not UTF-8")]
    Utf8 {
        /// The column's name in the WIT.
        column: &'static str,
        /// Index in the column.
        entry: usize,
    },
}

impl Texts {
    /// Checks that a handler returned `expected` texts, in order and in UTF-8.
    ///
    /// # Errors
    /// Returns the first fault found, with `column` as its place.
    pub fn check(&self, column: &'static str, expected: usize) -> Result<(), ColumnFault> {
        check_ends(column, &self.ends, expected, self.bytes.len())?;
        for entry in 0..expected {
            std::str::from_utf8(self.bytes(entry))
                .map_err(|_| ColumnFault::Utf8 { column, entry })?;
        }
        Ok(())
    }
}

impl Records {
    /// Checks what a handler returned, so that [`Records::get`] cannot panic.
    ///
    /// # Errors
    /// Returns the first fault found.
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

/// Checks that `ends` has `n` entries and never decreases, and that its last entry is `total`.
pub(in crate::event) fn check_ends(
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
