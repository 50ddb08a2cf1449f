//! The stored Eventos of one partition, in segments.

use std::collections::VecDeque;

use super::{
    cursor::Position,
    segment::{Entry, Segment},
    tipos::Tipos,
};
use crate::event::{Offset, Timestamp, ViewStart};

/// The maximum size of a segment. The memory of evicted Eventos is freed by whole segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// An index into a partition: a segment and an entry of it. `entry` is below the segment's length, except at the end
/// of the partition, which is entry 0 of the segment after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) segment: usize,
    pub(super) entry: usize,
}

/// Eventos in ascending order of offset.
#[derive(Default)]
pub(super) struct Partition {
    /// No segment is empty.
    pub(super) segments: VecDeque<Segment>,
    /// The number of entries of the first segment that have been evicted.
    head: usize,
    /// Offset and order time of the last entry that was appended and not truncated.
    last: Option<(i64, i64)>,
    /// Offset and order time of the last entry that was evicted.
    evicted: Option<(i64, i64)>,
    /// Whether it is being rebuilt, so that Eventos which a cursor has passed may be missing.
    pub(super) restoring: bool,
}

impl Partition {
    /// Creates an empty partition that is being rebuilt from `start` on. A time after `latest` is not used.
    pub(super) fn restoring(start: ViewStart, latest: i64) -> Self {
        let is_usable = start.time != Timestamp::NONE && start.time.0 <= latest;
        let before = is_usable.then_some((start.offset.0 - 1, start.time.0));
        Self {
            last: before,
            evicted: before,
            restoring: true,
            ..Self::default()
        }
    }

    /// Returns where the view begins if everything before `next` was handled.
    pub(super) fn view_start(&self, next: Offset) -> ViewStart {
        let oldest = self.segments.front();
        let oldest = oldest.map(|first| (first.offset(self.head), first.time(self.head)));
        let time = oldest.or(self.last).map(|(_, time)| Timestamp(time));
        ViewStart {
            offset: oldest.map_or(next, |(offset, _)| Offset(offset)),
            time: time.unwrap_or(Timestamp::NONE),
        }
    }

    /// Appends an entry whose offset is not below the last. A new segment reuses the spare one.
    pub(super) fn push(&mut self, entry: Entry<'_>, shape: Shape, spare: &mut Option<Segment>) {
        let time = self
            .last
            .map_or(entry.order_time, |(_, time)| time.max(entry.order_time));
        let room = |tail: &Segment| {
            tail.len() < shape.events && tail.byte_len() + entry.value.len() <= shape.bytes
        };
        if !self.segments.back().is_some_and(room) {
            self.start_segment(entry.offset, spare.take());
        }
        let tail = self.segments.back_mut().expect("one was started");
        tail.push(entry, time);
        self.last = Some((entry.offset, time));
    }

    /// Returns whether an entry with this offset or a later one was appended.
    pub(super) fn reaches(&self, offset: i64) -> bool {
        self.last.is_some_and(|(last, _)| offset <= last)
    }

    /// Removes every entry from this offset on.
    pub(super) fn truncate(&mut self, from: i64, tipos: &mut Tipos) {
        let cut = self.locate(Position::before(Offset(from)));
        for (i, segment) in self.segments.iter().enumerate().skip(cut.segment) {
            let first = if i == cut.segment { cut.entry } else { 0 };
            segment
                .tipos(first..segment.len())
                .iter()
                .for_each(|&tipo| tipos.release(tipo));
        }
        let emptied = cut == self.start();
        if let Some(segment) = self.segments.get_mut(cut.segment) {
            segment.truncate(cut.entry);
        }
        let keep = cut.segment + usize::from(cut.entry > 0);
        self.segments.truncate(if emptied { 0 } else { keep });
        if emptied {
            self.head = 0;
            // If the cut is before what was evicted, the view begins anew there; otherwise it continues.
            self.evicted = self.evicted.filter(|(offset, _)| *offset < from);
        }
        let tail = self.segments.back();
        let stored = tail.map(|tail| (tail.offset(tail.len() - 1), tail.time(tail.len() - 1)));
        self.last = stored.or(self.evicted);
    }

    /// Returns the order time of the oldest entry.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.segments.front().map(|first| first.time(self.head))
    }

    /// Evicts the oldest entry. Returns its segment if that is empty now.
    pub(super) fn evict(&mut self, tipos: &mut Tipos) -> Option<Segment> {
        let first = self.segments.front()?;
        tipos.release(first.tipos(self.head..self.head + 1)[0]);
        self.evicted = Some((first.offset(self.head), first.time(self.head)));
        self.head += 1;
        if self.head < first.len() {
            return None;
        }
        self.head = 0;
        self.segments.pop_front()
    }

    /// Returns the memory of the segments from this one on.
    pub(super) fn memory_from(&self, segment: usize) -> usize {
        self.segments
            .iter()
            .skip(segment)
            .map(Segment::memory)
            .sum()
    }

    pub(super) fn len(&self) -> usize {
        self.segments.iter().map(Segment::len).sum::<usize>() - self.head
    }

    /// Returns the index of the oldest entry.
    pub(super) fn start(&self) -> At {
        let (segment, entry) = (0, self.head);
        At { segment, entry }
    }

    /// Returns the index after the newest entry.
    pub(super) fn end(&self) -> At {
        let (segment, entry) = (self.segments.len(), 0);
        At { segment, entry }
    }

    /// Returns the index of the first entry that is not before this position.
    pub(super) fn locate(&self, position: Position) -> At {
        let offset = position.offset.0;
        let before = |segment: &Segment| segment.last_offset().is_some_and(|last| last < offset);
        let segment = self.segments.partition_point(before);
        let Some(found) = self.segments.get(segment) else {
            return self.end();
        };
        let mut at = At {
            segment,
            entry: found.first_at(offset),
        };
        // Skips entries of this one offset only, a segment at a time.
        let mut skip = position.n;
        if found.offset(at.entry) == offset {
            skip = skip.saturating_sub(found.n(at.entry));
        }
        while let Some(run) = self.segments.get(at.segment) {
            let length = run.first_at(offset.saturating_add(1)) - at.entry;
            if length > skip as usize || length == 0 {
                at.entry += skip.min(u32::try_from(length).unwrap_or(u32::MAX)) as usize;
                break;
            }
            at.entry += length - 1;
            at = self.next(at);
            skip -= u32::try_from(length).unwrap_or(skip);
        }
        at.max(self.start())
    }

    /// Returns the position of an entry, or of the end.
    pub(super) fn position(&self, at: At) -> Position {
        match self.segments.get(at.segment) {
            Some(segment) => Position {
                offset: Offset(segment.offset(at.entry)),
                n: segment.n(at.entry),
            },
            None => self.last.map_or(Position::START, |(last, _)| {
                Position::before(Offset(last).next())
            }),
        }
    }

    /// Returns the index after this one, or the end.
    pub(super) fn next(&self, at: At) -> At {
        let (segment, entry) = (at.segment, at.entry + 1);
        if entry < self.segments[segment].len() {
            At { segment, entry }
        } else {
            At {
                segment: segment + 1,
                entry: 0,
            }
        }
    }

    /// Returns the same place, written as the end of the segment before if `at` is at the start of one.
    pub(super) fn upper(&self, at: At) -> At {
        match at.entry {
            0 => At {
                segment: at.segment - 1,
                entry: self.segments[at.segment - 1].len(),
            },
            _ => at,
        }
    }

    fn start_segment(&mut self, offset: i64, spare: Option<Segment>) {
        let mut next = spare.unwrap_or_default();
        let mut first_n = 0;
        if let Some(tail) = self.segments.back_mut() {
            tail.seal();
            if tail.last_offset() == Some(offset) {
                first_n = tail.n(tail.len() - 1) + 1;
            }
        }
        next.restart(first_n);
        if let Some(tail) = self.segments.back() {
            next.reserve_like(tail);
        }
        self.segments.push_back(next);
    }
}
