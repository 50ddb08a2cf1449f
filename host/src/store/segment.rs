//! Consecutive Eventos of one partition, in columns.

use std::ops::Range;

use super::tipos::TipoId;

/// The stored fields of one Evento.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) offset: i64,
    /// The time that it claims a place in the order with.
    pub(super) order_time: i64,
    pub(super) tipo: TipoId,
    pub(super) id: &'a [u8],
    pub(super) id_hash: u32,
    pub(super) value: &'a [u8],
}

/// Selects Eventos; the default selects all of them.
#[derive(Clone, Copy, Default)]
pub(super) struct Matcher<'a> {
    pub(super) tipo: Option<TipoId>,
    /// The id with its hash.
    pub(super) id: Option<(&'a [u8], u32)>,
}

/// Eventos in ascending order of offset.
#[derive(Default)]
pub(super) struct Segment {
    /// The number of Eventos in earlier segments that have the same offset as the first one here.
    first_n: u32,
    /// Id and value of each Evento, one after the other.
    bytes: Vec<u8>,
    id_ends: Vec<u32>,
    value_ends: Vec<u32>,
    id_hashes: Vec<u32>,
    tipos: Vec<TipoId>,
    offsets: Vec<i64>,
    /// The order times: for each entry, the largest claimed time up to it in the whole partition.
    times: Vec<i64>,
}

impl Segment {
    /// Empties the segment. `first_n` Eventos with the offset of its first one lie in earlier segments.
    pub(super) fn restart(&mut self, first_n: u32) {
        self.truncate(0);
        self.first_n = first_n;
    }

    /// Reserves as much capacity as another segment needed, so that the columns need not grow.
    pub(super) fn reserve_like(&mut self, other: &Self) {
        let (len, bytes) = (other.len(), other.byte_len());
        self.bytes.reserve(bytes + bytes / 16);
        self.words()
            .into_iter()
            .for_each(|column| column.reserve(len));
        self.longs()
            .into_iter()
            .for_each(|column| column.reserve(len));
    }

    pub(super) fn push(&mut self, entry: Entry<'_>, time: i64) {
        self.bytes.extend_from_slice(entry.id);
        self.id_ends.push(self.end());
        self.bytes.extend_from_slice(entry.value);
        self.value_ends.push(self.end());
        self.id_hashes.push(entry.id_hash);
        self.tipos.push(entry.tipo);
        self.offsets.push(entry.offset);
        self.times.push(time);
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the memory in bytes, including unused capacity.
    pub(super) fn memory(&self) -> usize {
        let words = self.id_ends.capacity()
            + self.value_ends.capacity()
            + self.id_hashes.capacity()
            + self.tipos.capacity();
        let longs = self.offsets.capacity() + self.times.capacity();
        size_of::<Self>() + self.bytes.capacity() + 4 * words + 8 * longs
    }

    /// Releases excess capacity, because nothing more will be appended.
    pub(super) fn seal(&mut self) {
        let len = self.len();
        if len + len / 8 < self.offsets.capacity() {
            self.words().into_iter().for_each(Vec::shrink_to_fit);
            self.longs().into_iter().for_each(Vec::shrink_to_fit);
        }
        if self.bytes.len() + self.bytes.len() / 8 < self.bytes.capacity() {
            self.bytes.shrink_to_fit();
        }
    }

    /// Keeps the first `len` entries.
    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.start(len));
        self.words()
            .into_iter()
            .for_each(|column| column.truncate(len));
        self.longs()
            .into_iter()
            .for_each(|column| column.truncate(len));
    }

    pub(super) fn value(&self, i: usize) -> &[u8] {
        &self.bytes[self.id_ends[i] as usize..self.value_ends[i] as usize]
    }

    pub(super) fn time(&self, i: usize) -> i64 {
        self.times[i]
    }

    pub(super) fn offset(&self, i: usize) -> i64 {
        self.offsets[i]
    }

    pub(super) fn last_offset(&self) -> Option<i64> {
        self.offsets.last().copied()
    }

    pub(super) fn tipos(&self, range: Range<usize>) -> &[TipoId] {
        &self.tipos[range]
    }

    /// Returns the first index whose offset is at least `offset`.
    pub(super) fn first_at(&self, offset: i64) -> usize {
        self.offsets.partition_point(|&there| there < offset)
    }

    /// Returns how many Eventos of the whole partition have the offset of entry `i` and lie before it.
    pub(super) fn n(&self, i: usize) -> u32 {
        let first = self.first_at(self.offsets[i]);
        let before = u32::try_from(i - first).expect("a segment is smaller than 2^32");
        if first == 0 {
            before + self.first_n
        } else {
            before
        }
    }

    /// Returns the first index in `range` that matches.
    pub(super) fn find(&self, range: Range<usize>, matcher: Matcher<'_>) -> Option<usize> {
        let mut from = range.start;
        while from < range.end {
            let at = from + self.column(from..range.end, matcher, position)?;
            if self.matches(at, matcher) {
                return Some(at);
            }
            from = at + 1;
        }
        None
    }

    /// Returns the last index in `range` that matches.
    pub(super) fn rfind(&self, range: Range<usize>, matcher: Matcher<'_>) -> Option<usize> {
        let mut to = range.end;
        while range.start < to {
            let at = range.start + self.column(range.start..to, matcher, rposition)?;
            if self.matches(at, matcher) {
                return Some(at);
            }
            to = at;
        }
        None
    }

    /// Searches the most selective column: hashes of ids, else tipos. Without either, everything matches.
    fn column(
        &self,
        range: Range<usize>,
        matcher: Matcher<'_>,
        search: fn(&[u32], Option<u32>) -> Option<usize>,
    ) -> Option<usize> {
        match matcher.id {
            Some((_, hash)) => search(&self.id_hashes[range], Some(hash)),
            None => search(&self.tipos[range], matcher.tipo),
        }
    }

    fn matches(&self, i: usize, matcher: Matcher<'_>) -> bool {
        let id = || &self.bytes[self.start(i)..self.id_ends[i] as usize];
        matcher.tipo.is_none_or(|tipo| tipo == self.tipos[i])
            && matcher.id.is_none_or(|(wanted, _)| wanted == id())
    }

    fn words(&mut self) -> [&mut Vec<u32>; 4] {
        [
            &mut self.id_ends,
            &mut self.value_ends,
            &mut self.id_hashes,
            &mut self.tipos,
        ]
    }

    fn longs(&mut self) -> [&mut Vec<i64>; 2] {
        [&mut self.offsets, &mut self.times]
    }

    fn start(&self, i: usize) -> usize {
        i.checked_sub(1)
            .map_or(0, |previous| self.value_ends[previous] as usize)
    }

    fn end(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a segment is smaller than 4 GiB")
    }
}

/// Whole blocks are compared without an early exit, so that the compiler can use vector instructions.
const BLOCK: usize = 64;

fn position(column: &[u32], wanted: Option<u32>) -> Option<usize> {
    let Some(wanted) = wanted else {
        return (!column.is_empty()).then_some(0);
    };
    let (i, block) = column
        .chunks(BLOCK)
        .enumerate()
        .find(|(_, block)| has(block, wanted))?;
    let within = block.iter().position(|&there| there == wanted)?;
    Some(i * BLOCK + within)
}

fn rposition(column: &[u32], wanted: Option<u32>) -> Option<usize> {
    let Some(wanted) = wanted else {
        return column.len().checked_sub(1);
    };
    let mut blocks = column.chunks(BLOCK).enumerate().rev();
    let (i, block) = blocks.find(|(_, block)| has(block, wanted))?;
    let within = block.iter().rposition(|&there| there == wanted)?;
    Some(i * BLOCK + within)
}

fn has(block: &[u32], wanted: u32) -> bool {
    block
        .iter()
        .fold(false, |found, &there| found | (there == wanted))
}
