//! Texts in one buffer.

use super::{before, end};

/// Texts in one buffer; text `i` ends at `ends[i]` and begins where the previous one ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
}

impl Texts {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(end(&self.bytes));
    }

    /// Returns an empty buffer with the capacity for `n` texts of about 16 bytes.
    pub(in crate::event) fn with_room(n: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(16 * n),
            ends: Vec::with_capacity(n),
        }
    }

    /// Appends text `i` of `other`.
    pub(in crate::event) fn push_from(&mut self, other: &Self, i: usize) {
        self.bytes.extend_from_slice(other.bytes(i));
        self.ends.push(end(&self.bytes));
    }

    /// Returns an empty buffer with the capacity for as many texts as these.
    #[must_use]
    pub fn empty_like(&self) -> Self {
        Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            ends: Vec::with_capacity(self.len()),
        }
    }

    /// Returns the number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns text `i`.
    ///
    /// # Panics
    /// Panics if `i` is out of range.
    #[must_use]
    pub fn get(&self, i: usize) -> &str {
        std::str::from_utf8(self.bytes(i)).expect("pushed as str, or checked")
    }

    /// Returns the bytes of text `i`.
    pub(in crate::event) fn bytes(&self, i: usize) -> &[u8] {
        &self.bytes[before(&self.ends, i)..self.ends[i] as usize]
    }
}
