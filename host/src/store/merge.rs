//! Merges the partitions, each with a reader of its own, into one order.

use std::collections::{BinaryHeap, binary_heap::PeekMut};

use super::{
    cursor::Position,
    partition::{At, Partition},
    read::{Order, Progress, Quota},
    segment::{Matcher, Segment},
};
use crate::event::{self, Offset, Timestamp};

/// Taking a value costs about as much as examining this many Eventos.
const LOOKS_A_VALUE: usize = 32;

/// Repeatedly takes from the reader whose next match comes first, until a quota or the readers are exhausted.
pub(super) fn merge(
    readers: &mut [Reader<'_>],
    matcher: Matcher<'_>,
    quota: &mut Quota,
    looks: &mut usize,
    take: &mut impl FnMut(Row<'_>),
) -> Progress {
    let mut heap = BinaryHeap::with_capacity(readers.len());
    for (i, reader) in readers.iter_mut().enumerate() {
        match reader.seek(matcher, looks) {
            Seek::Found(rank) => heap.push((rank, i)),
            Seek::End => {}
            Seek::Paused => return Progress::Paused,
        }
    }
    while let Some(mut top) = heap.peek_mut() {
        if quota.is_spent() {
            // The next match is not searched for, because it may be far away.
            return if readers.iter().any(|reader| reader.from < reader.to) {
                Progress::Enough
            } else {
                Progress::End
            };
        }
        let reader = &mut readers[top.1];
        let row = reader.take();
        quota.values -= 1;
        *looks = looks.saturating_sub(LOOKS_A_VALUE);
        quota.bytes = quota.bytes.saturating_sub(row.value().len());
        take(row);
        if quota.is_spent() {
            continue;
        }
        match reader.seek(matcher, looks) {
            Seek::Found(rank) => top.0 = rank,
            Seek::End => {
                PeekMut::pop(top);
            }
            Seek::Paused => return Progress::Paused,
        }
    }
    Progress::End
}

/// The unread part of one partition: read upwards from the front, downwards from the back.
pub(super) struct Reader<'s> {
    pub(super) number: event::Partition,
    pub(super) partition: &'s Partition,
    pub(super) order: Order,
    pub(super) from: At,
    pub(super) to: At,
}

/// A stored Evento with its place in the order, which is (time, partition, position).
#[derive(Clone, Copy)]
pub struct Row<'s> {
    partition: event::Partition,
    segment: &'s Segment,
    entry: usize,
}

impl<'s> Row<'s> {
    /// Returns the Evento as it was received.
    #[must_use]
    pub fn value(&self) -> &'s [u8] {
        self.segment.value(self.entry)
    }

    /// Returns its order time.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp(self.segment.time(self.entry))
    }

    /// Returns its partition.
    #[must_use]
    pub fn partition(&self) -> event::Partition {
        self.partition
    }

    /// Returns its position in the partition.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            offset: Offset(self.segment.offset(self.entry)),
            n: self.segment.n(self.entry),
        }
    }
}

/// The rank of the next match in the order; the largest is next.
type Rank = (i64, i32);

enum Seek {
    Found(Rank),
    End,
    Paused,
}

impl<'s> Reader<'s> {
    /// Advances to the next match, unless the reader is there already.
    fn seek(&mut self, matcher: Matcher<'_>, looks: &mut usize) -> Seek {
        while self.from < self.to {
            if *looks == 0 {
                return Seek::Paused;
            }
            let at = match self.order {
                Order::Asc => self.seek_up(matcher, looks),
                Order::Desc => self.seek_down(matcher, looks),
            };
            if let Some(at) = at {
                return Seek::Found(self.rank(at));
            }
        }
        Seek::End
    }

    /// Searches the rest of the front segment.
    fn seek_up(&mut self, matcher: Matcher<'_>, looks: &mut usize) -> Option<At> {
        let At { segment, entry } = self.from;
        let within = &self.partition.segments[segment];
        let end = if segment == self.to.segment {
            self.to.entry
        } else {
            within.len()
        };
        let end = end.min(entry.saturating_add(*looks));
        let found = within.find(entry..end, matcher);
        *looks -= found.map_or(end, |found| found + 1) - entry;
        self.from = match found {
            Some(entry) => At { segment, entry },
            None => self.partition.next(At {
                segment,
                entry: end - 1,
            }),
        };
        found.map(|_| self.from)
    }

    /// Searches the rest of the back segment.
    fn seek_down(&mut self, matcher: Matcher<'_>, looks: &mut usize) -> Option<At> {
        let At {
            segment,
            entry: end,
        } = self.partition.upper(self.to);
        let start = if segment == self.from.segment {
            self.from.entry
        } else {
            0
        };
        let start = start.max(end.saturating_sub(*looks));
        let found = self.partition.segments[segment].rfind(start..end, matcher);
        *looks -= end - found.unwrap_or(start);
        self.to = match found {
            Some(entry) => self.partition.next(At { segment, entry }),
            None => At {
                segment,
                entry: start,
            },
        };
        found.map(|entry| At { segment, entry })
    }

    /// Returns the match that [`Reader::seek`] found, and moves past it.
    fn take(&mut self) -> Row<'s> {
        let at = match self.order {
            Order::Asc => {
                let at = self.from;
                self.from = self.partition.next(at);
                at
            }
            Order::Desc => {
                let At { segment, entry } = self.partition.upper(self.to);
                self.to = At {
                    segment,
                    entry: entry - 1,
                };
                self.to
            }
        };
        Row {
            partition: self.number,
            segment: &self.partition.segments[at.segment],
            entry: at.entry,
        }
    }

    fn rank(&self, at: At) -> Rank {
        let time = self.partition.segments[at.segment].time(at.entry);
        match self.order {
            // `!` reverses the order of integers.
            Order::Asc => (!time, !self.number.0),
            Order::Desc => (time, self.number.0),
        }
    }

    pub(super) fn skip_all(&mut self) {
        match self.order {
            Order::Asc => self.from = self.to,
            Order::Desc => self.to = self.from,
        }
    }

    pub(super) fn position(&self) -> Position {
        self.partition.position(match self.order {
            Order::Asc => self.from,
            Order::Desc => self.to,
        })
    }
}
