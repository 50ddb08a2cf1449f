//! Reading in the order, or against it, a part at a time.

use std::collections::{BinaryHeap, binary_heap::PeekMut};

use super::{
    Store,
    cursor::{Cursor, Position},
    partition::{At, Partition},
    segment::Matcher,
    state::State,
};
use crate::event;

/// How many Eventos are looked at while the lock is held: some 50 microseconds.
const SLICE: usize = if cfg!(test) { 7 } else { 50_000 };

/// Which Eventos are asked for; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this tipo.
    pub tipo: Option<String>,
    /// Those with this id, whether it is written as a string or as an integer.
    pub id: Option<String>,
}

/// Which way to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}

/// What a [`Scan`] may still take; it ends at whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// So many Eventos.
    pub values: usize,
    /// Values of so many bytes together; the last one may go beyond it.
    pub bytes: usize,
}

/// How a step of a [`Scan`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The quota is spent; there may be more.
    Enough,
    /// The lock was held for long enough. Nothing is wrong: step again.
    Paused,
    /// There is no more.
    End,
}

/// A way through the store. Between steps nothing is held: what is appended or goes meanwhile
/// neither hides an Evento from it nor shows it one twice.
#[derive(Clone, Debug)]
pub struct Scan {
    filter: Filter,
    order: Order,
    at: Option<Cursor>,
    until: Option<Cursor>,
}

impl Quota {
    /// No bound.
    pub const UNBOUNDED: Self = Self {
        values: usize::MAX,
        bytes: usize::MAX,
    };

    /// A bound on their number alone.
    #[must_use]
    pub fn values(values: usize) -> Self {
        Self {
            values,
            ..Self::UNBOUNDED
        }
    }

    fn is_spent(&self) -> bool {
        self.values == 0 || self.bytes == 0
    }
}

impl Scan {
    /// Reads from a cursor on: upwards what is at or above it, downwards what is below it.
    /// Without one, from the beginning or from the end.
    #[must_use]
    pub fn new(filter: Filter, order: Order, from: Option<Cursor>) -> Self {
        let at = match order {
            Order::Asc => Some(from.unwrap_or_default()),
            Order::Desc => from,
        };
        Self {
            filter,
            order,
            at,
            until: None,
        }
    }

    /// The same, but not beyond a cursor that another scan has come to.
    #[must_use]
    pub fn until(self, end: Cursor) -> Self {
        let until = Some(end);
        Self { until, ..self }
    }

    /// How far it has come: what to go on from.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.at.clone().unwrap_or_default()
    }

    /// Takes values, and lowers the quota by them. `take` is called under the store's lock: it copies, and no more.
    pub fn step(
        &mut self,
        store: &Store,
        quota: &mut Quota,
        mut take: impl FnMut(&[u8]),
    ) -> Progress {
        let state = store.lock();
        let mut readers = self.readers(&state);
        let mut looks = SLICE;
        let progress = match self.matcher(&state) {
            Some(matcher) => merge(&mut readers, matcher, quota, &mut looks, &mut take),
            None => {
                readers.iter_mut().for_each(Reader::skip_all);
                Progress::End
            }
        };
        let at = self.at.get_or_insert_default();
        for reader in &readers {
            at.set(reader.number, reader.position());
        }
        progress
    }

    /// None if nothing can match.
    fn matcher<'a>(&'a self, state: &State) -> Option<Matcher<'a>> {
        let Filter { tipo, id } = &self.filter;
        let tipo = match tipo {
            Some(tipo) => Some(state.tipos().get(tipo.as_bytes())?),
            None => None,
        };
        let id = id
            .as_ref()
            .map(|id| (id.as_bytes(), state.hash(id.as_bytes())));
        Some(Matcher { tipo, id })
    }

    fn readers<'s>(&self, state: &'s State) -> Vec<Reader<'s>> {
        let locate = |cursor: &Option<Cursor>, number, partition: &Partition| {
            let cursor = cursor.as_ref()?;
            Some(partition.locate(cursor.get(number)))
        };
        let reader = |(number, partition): (event::Partition, &'s Partition)| {
            let at = locate(&self.at, number, partition);
            let until = locate(&self.until, number, partition);
            let (from, to) = match self.order {
                Order::Asc => (at, until),
                Order::Desc => (until, at),
            };
            Reader {
                number,
                partition,
                order: self.order,
                from: from.unwrap_or(partition.start()),
                to: to.unwrap_or(partition.end()),
            }
        };
        state.partitions().map(reader).collect()
    }
}

/// Takes from the reader whose next match comes first, until something runs out.
fn merge(
    readers: &mut [Reader<'_>],
    matcher: Matcher<'_>,
    quota: &mut Quota,
    looks: &mut usize,
    take: &mut impl FnMut(&[u8]),
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
            // The next match is not searched for: it may be far.
            return if readers.iter().any(|reader| reader.from < reader.to) {
                Progress::Enough
            } else {
                Progress::End
            };
        }
        let reader = &mut readers[top.1];
        let value = reader.take();
        take(value);
        quota.values -= 1;
        quota.bytes = quota.bytes.saturating_sub(value.len());
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

/// What is still to be read of one partition: upwards from the front, downwards from the back.
struct Reader<'s> {
    number: event::Partition,
    partition: &'s Partition,
    order: Order,
    from: At,
    to: At,
}

/// Where the next match comes in the order; the largest is next.
type Rank = (i64, i32);

enum Seek {
    Found(Rank),
    End,
    Paused,
}

impl Reader<'_> {
    /// Goes to the next match, if it is not there already.
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

    /// Looks through the rest of the front segment.
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

    /// Looks through the rest of the back segment.
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

    /// The value that [`Reader::seek`] found, which is passed now.
    fn take(&mut self) -> &[u8] {
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
        self.partition.segments[at.segment].value(at.entry)
    }

    fn rank(&self, at: At) -> Rank {
        let time = self.partition.segments[at.segment].time(at.entry);
        match self.order {
            // `!` turns the order of integers around.
            Order::Asc => (!time, !self.number.0),
            Order::Desc => (time, self.number.0),
        }
    }

    fn skip_all(&mut self) {
        match self.order {
            Order::Asc => self.from = self.to,
            Order::Desc => self.to = self.from,
        }
    }

    fn position(&self) -> Position {
        self.partition.position(match self.order {
            Order::Asc => self.from,
            Order::Desc => self.to,
        })
    }
}
