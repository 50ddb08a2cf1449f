//! Reading in the order, or against it, a part at a time.

use super::{
    Store,
    cursor::Cursor,
    merge::{Reader, Row, merge},
    partition::Partition,
    segment::Matcher,
    state::State,
};
use crate::event::{self, Partitions};

/// How many Eventos are looked at while the lock is held: some 50 microseconds, 150 if many are taken.
const SLICE: usize = if cfg!(test) { 7 } else { 50_000 };

/// Which Eventos are asked for; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this tipo.
    pub tipo: Option<String>,
    /// Those with this id, whether it is written as a string or as an integer.
    pub id: Option<String>,
    /// Those of these partitions.
    pub within: Within,
}

/// Some of the partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Within {
    /// Whatever is stored.
    #[default]
    All,
    /// These, if they are stored.
    Only(Partitions),
    /// What is stored, but for these.
    Except(Partitions),
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

impl Within {
    pub(super) fn admits(&self, partition: event::Partition) -> bool {
        match self {
            Self::All => true,
            Self::Only(these) => these.contains(partition),
            Self::Except(these) => !these.contains(partition),
        }
    }
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

    pub(super) fn is_spent(&self) -> bool {
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
            // Upwards, what a cursor has passed is not read again, though it is not there yet.
            if reader.partition.restoring && self.order == Order::Asc {
                position = position.max(at.get(number));
            }
            at.set(number, position);
        }
        progress
    }

    /// None if nothing can match.
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
        let admitted = state
            .partitions()
            .filter(|&(number, _)| self.filter.within.admits(number));
        admitted.map(reader).collect()
    }
}
