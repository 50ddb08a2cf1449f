//! Reads the store in its order or against it, one part at a time.

use super::{
    Store,
    cursor::Cursor,
    merge::{Reader, Row, merge},
    partition::Partition,
    segment::Matcher,
    state::State,
};
use crate::event::{self, Partitions, TopicPartition};

/// How many Eventos are examined while the lock is held: about 50 microseconds, or 150 if many of them match.
const SLICE: usize = if cfg!(test) { 7 } else { 50_000 };

/// Selects Eventos; the default selects all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only Eventos of this tipo.
    pub tipo: Option<String>,
    /// Only Eventos with this id, whether it is written as a string or as an integer.
    pub id: Option<String>,
    /// Only Eventos of these partitions.
    pub within: PartitionFilter,
}

/// Selects partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PartitionFilter {
    /// Every stored partition.
    #[default]
    All,
    /// The stored ones of these partitions.
    Only(Partitions),
    /// Every stored partition but these.
    Except(Partitions),
}

/// The direction of reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}

/// What a [`Scan`] may still take; it pauses when either is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Number of Eventos.
    pub values: usize,
    /// Total bytes of their values; the last value may exceed it.
    pub bytes: usize,
}

/// The result of one step of a [`Scan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The quota is used up; there may be more.
    Enough,
    /// The lock was held for long enough; call `step` again.
    Paused,
    /// There is nothing more to read.
    End,
}

/// A pass over the store. It holds no lock between steps; Eventos that are appended or evicted meanwhile neither hide
/// others from it nor make it return one twice.
#[derive(Clone, Debug)]
pub struct Scan {
    filter: Filter,
    order: Order,
    at: Option<Cursor>,
    until: Option<Cursor>,
}

impl PartitionFilter {
    pub(super) fn admits(&self, partition: event::Partition) -> bool {
        match self {
            Self::All => true,
            Self::Only(these) => these.contains(partition),
            Self::Except(these) => !these.contains(partition),
        }
    }
}

impl Quota {
    /// No limit.
    pub const UNBOUNDED: Self = Self {
        values: usize::MAX,
        bytes: usize::MAX,
    };

    /// Limits only the number of Eventos.
    #[must_use]
    pub fn values(values: usize) -> Self {
        Self {
            values,
            ..Self::UNBOUNDED
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.values == 0 || self.bytes == 0
    }
}

impl Scan {
    /// Starts at a cursor: upwards it reads what is at or above the cursor, downwards what is below. Without a
    /// cursor, it starts at the beginning or the end.
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

    /// Ends the scan at a cursor, such as the one that another scan has reached.
    #[must_use]
    pub fn until(self, end: Cursor) -> Self {
        let until = Some(end);
        Self { until, ..self }
    }

    /// Returns how far the scan has come; another scan can continue from there.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.at.clone().unwrap_or_default()
    }

    /// Takes values and lowers the quota accordingly. `take` is called under the store's lock, so it should only
    /// copy.
    pub fn step(
        &mut self,
        store: &Store,
        quota: &mut Quota,
        mut take: impl FnMut(Row<'_>),
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
            let (number, mut position) = (reader.number, reader.position());
            // Upwards, Eventos that the cursor has passed are not read again, even if they are not restored yet.
            if reader.partition.restoring && self.order == Order::Asc {
                position = position.max(at.get(number));
            }
            at.set(number, position);
        }
        progress
    }

    /// Returns `None` if nothing can match.
    fn matcher<'a>(&'a self, state: &State) -> Option<Matcher<'a>> {
        let Filter { tipo, id, .. } = &self.filter;
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
        let reader = |(key, partition): (&TopicPartition, &'s Partition)| {
            let number = key.partition;
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
        let admitted = state
            .partitions()
            .filter(|(key, _)| self.filter.within.admits(key.partition));
        admitted.map(reader).collect()
    }
}
