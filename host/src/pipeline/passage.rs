//! The progress of one batch in the handler chain. It can be interrupted between two calls and continued later: while a
//! record waits to be retried, or when the worker has other batches to handle too.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{assignment::InFlight, shutdown::Undone};
use crate::event::{Batch, NotAnEvento, Offset, RecordRef};

/// A worker handles a batch for about this long before the batches of other partitions get their turn.
const TURN: Duration = Duration::from_millis(500);

/// What handlers may return for one batch, in bytes, before the rest of the batch is split off. It is exceeded by no more
/// than one call may return.
pub(super) const MAX_OUTPUT: usize = 32 << 20;

/// How far a batch is in the handler chain.
pub(super) struct ChainProgress {
    /// The version of the chain that the batch began with. With another one it begins again.
    pub(super) version: u64,
    /// The index of the next step.
    pub(super) step: usize,
    /// What that step gets.
    pub(super) batch: Arc<Batch>,
    /// The first offset of the batch that was consumed.
    pub(super) first: Offset,
    /// How many records the next call gets at most.
    pub(super) piece: usize,
    /// How many records the first step gets at once at most, if the rest of this batch becomes another one.
    pub(super) next_piece: usize,
    /// How far it is in that step, once a call has not let every record pass.
    pub(super) passage: Option<Passage>,
}

/// How far a batch is in one step.
pub(super) struct Passage {
    pub(super) batch: Arc<Batch>,
    /// The records that the handler was not called with yet, in ranges; the next one is the last.
    todo: Vec<Range<usize>>,
    /// The records to call the handler with again in this round, each alone.
    retries: VecDeque<usize>,
    /// The records to retry in the next round.
    again: Vec<usize>,
    /// When this round begins.
    pub(super) due: Instant,
    /// The number of this round, from 1 on.
    pub(super) attempt: u32,
    /// The records that go on, in the order in which they were decided about.
    pub(super) next: Batch,
    /// For each of them, the index of the record that it comes from.
    origins: Vec<usize>,
    /// The number of bytes that the handler has returned.
    pub(super) output: usize,
    /// The number of records of the last piece that did not fail.
    pub(super) last_piece: usize,
}

/// The time that a batch gets before others.
pub(super) struct Turn<'a> {
    ends: Option<Instant>,
    in_flight: Option<&'a InFlight>,
}

impl<'a> Turn<'a> {
    /// Returns the turn of a batch whose handling began at `began`.
    pub(super) fn new(began: Instant, in_flight: &'a InFlight) -> Self {
        Self {
            ends: began.checked_add(TURN),
            in_flight: Some(in_flight),
        }
    }

    /// Returns a turn that does not end.
    pub(super) fn unlimited() -> Self {
        Self {
            ends: None,
            in_flight: None,
        }
    }

    /// Returns an error if the batch has to be interrupted: its turn is over, or its partition is being given up.
    pub(super) fn check(&self) -> Result<(), Undone> {
        if self.in_flight.is_some_and(|it| !it.may_begin()) {
            return Err(Undone::GivenUp);
        }
        match self.ends {
            Some(ends) if Instant::now() >= ends => Err(Undone::Parked(Instant::now())),
            _ => Ok(()),
        }
    }
}

impl ChainProgress {
    /// Begins with a batch that was consumed, whose records begin at the offset `first`. The first handler gets at most
    /// `piece` of them at once.
    pub(super) fn new(version: u64, batch: Arc<Batch>, first: Offset, piece: usize) -> Self {
        Self {
            version,
            step: 0,
            batch,
            first,
            piece,
            next_piece: usize::MAX,
            passage: None,
        }
    }

    /// Goes on to the next step.
    pub(super) fn advance(&mut self) {
        self.step += 1;
        self.piece = usize::MAX;
    }

    /// Takes note that the step returned the outcomes of this many records at once.
    pub(super) fn note_piece(&mut self, records: usize) {
        if self.step == 0 {
            // More of them may succeed at once next time.
            self.next_piece = records.saturating_mul(2);
        }
    }
}

impl Passage {
    /// Begins with a batch that the handler is called with in pieces of at most this many records.
    pub(super) fn new(batch: Arc<Batch>, piece: usize) -> Self {
        let piece = piece.max(1);
        let starts = (0..batch.len()).step_by(piece);
        let ranges = starts.map(|start| start..batch.len().min(start.saturating_add(piece)));
        let mut todo: Vec<_> = ranges.collect();
        todo.reverse();
        Self {
            next: Batch::empty_like(&batch),
            batch,
            todo,
            retries: VecDeque::new(),
            again: Vec::new(),
            due: Instant::now(),
            attempt: 1,
            origins: Vec::new(),
            output: 0,
            last_piece: usize::MAX,
        }
    }

    /// Takes the next records to call the handler with.
    pub(super) fn take_piece(&mut self) -> Option<Range<usize>> {
        let retry = |index| index..index + 1;
        self.todo
            .pop()
            .or_else(|| self.retries.pop_front().map(retry))
    }

    /// Returns these records as a batch.
    pub(super) fn piece(&self, range: &Range<usize>) -> Arc<Batch> {
        match range.len() == self.batch.len() {
            true => Arc::clone(&self.batch),
            false => Arc::new(self.batch.slice(range.clone())),
        }
    }

    /// Lets a record go on unchanged.
    pub(super) fn go_on(&mut self, index: usize) {
        self.next.push_from(&self.batch, index);
        self.origins.push(index);
    }

    /// Lets other records go on in the place of a record.
    ///
    /// # Errors
    /// [`NotAnEvento`] if a value is not a valid Evento; none of them goes on then.
    pub(super) fn replace(
        &mut self,
        index: usize,
        replacements: Vec<RecordRef<'_>>,
    ) -> Result<(), NotAnEvento> {
        self.next
            .push_replacements(&self.batch, index, replacements)?;
        self.origins.resize(self.next.len(), index);
        Ok(())
    }

    /// Calls the handler with these records in smaller pieces next.
    pub(super) fn split(&mut self, range: &Range<usize>, pieces: usize) {
        let size = range.len().div_ceil(pieces.max(2));
        let starts = range.clone().step_by(size);
        let parts = starts.map(|start| start..range.end.min(start + size));
        self.todo.extend(parts.rev());
    }

    /// Calls the handler with a record again in the next round.
    pub(super) fn retry(&mut self, index: usize) {
        self.again.push(index);
    }

    /// Begins the next round at this time. Returns whether records have to be retried in it.
    pub(super) fn begin_round(&mut self, due: Instant) -> bool {
        self.attempt += 1;
        self.due = due;
        self.again.sort_unstable();
        self.retries = std::mem::take(&mut self.again).into();
        !self.retries.is_empty()
    }

    /// Returns the next record that the handler is called with in this round.
    pub(super) fn next_index(&self) -> Option<usize> {
        let todo = self.todo.last().map(|range| range.start);
        todo.or_else(|| self.retries.front().copied())
    }

    /// Leaves out the next record.
    pub(super) fn skip_next(&mut self) {
        match self.todo.last_mut() {
            Some(range) if range.len() > 1 => range.start += 1,
            Some(_) => drop(self.todo.pop()),
            None => drop(self.retries.pop_front()),
        }
    }

    /// Leaves out every record from this offset on, also those that were decided about.
    pub(super) fn cut(&mut self, at: Offset) {
        let end = self.batch.offsets.partition_point(|&offset| offset < at.0);
        self.todo.retain_mut(|range| {
            range.end = range.end.min(end);
            range.start < range.end
        });
        self.retries.retain(|&index| index < end);
        self.again.retain(|&index| index < end);
        if self.origins.iter().any(|&index| index >= end) {
            let kept = |i: &usize| self.origins[*i] < end;
            let kept: Vec<_> = (0..self.origins.len()).filter(kept).collect();
            self.select(&kept);
        }
    }

    /// Returns the records that go on, in the order of the records that they come from.
    pub(super) fn finish(mut self) -> Batch {
        if !self.origins.is_sorted() {
            let mut order: Vec<_> = (0..self.origins.len()).collect();
            order.sort_by_key(|&i| self.origins[i]);
            self.select(&order);
        }
        self.next
    }

    fn select(&mut self, indices: &[usize]) {
        let mut next = Batch::empty_like(&self.next);
        for &i in indices {
            next.push_from(&self.next, i);
        }
        self.next = next;
        self.origins = indices.iter().map(|&i| self.origins[i]).collect();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Partition, Timestamp, TopicPartition};

    fn batch(offsets: &[i64]) -> Arc<Batch> {
        let mut batch = Batch::new(TopicPartition::new("eventos", Partition(0)));
        for &offset in offsets {
            let value = br#"{"id":"a","tipo":"x"}"#;
            batch.push(
                Offset(offset),
                None,
                Some(value),
                [],
                (Timestamp(offset), 0),
            );
        }
        assert!(batch.read().offsets.is_empty());
        Arc::new(batch)
    }

    proptest! {
        #[test]
        fn every_record_is_decided_about_once_and_they_stay_in_order(
            fate in prop::collection::vec(0..5_u32, 1..100),
            piece in 1..120_usize,
        ) {
            // The number says in how many rounds a record has to be retried; 4 drops it.
            let offsets: Vec<_> = (0..fate.len()).map(|i| i as i64 / 2).collect();
            let mut passage = Passage::new(batch(&offsets), piece);
            let mut calls = 0;
            loop {
                while let Some(range) = passage.take_piece() {
                    calls += 1;
                    if range.len() > 1 && calls % 3 == 0 {
                        passage.split(&range, calls % 9);
                        continue;
                    }
                    for index in range {
                        match fate[index] {
                            4 => {}
                            rounds if rounds >= passage.attempt => passage.retry(index),
                            _ => passage.go_on(index),
                        }
                    }
                }
                if !passage.begin_round(Instant::now()) {
                    break;
                }
            }
            let next = passage.finish();
            let expected: Vec<_> = (0..fate.len()).filter(|i| fate[*i] != 4).map(|i| offsets[i]).collect();
            prop_assert_eq!(&next.offsets, &expected);
        }

        #[test]
        fn a_cut_leaves_what_is_before_it(len in 1..60_usize, handled in 0..60_usize, at in 0..70_i64) {
            let offsets: Vec<_> = (0..len as i64).collect();
            let mut passage = Passage::new(batch(&offsets), 7);
            for _ in 0..handled.min(len) {
                let index = passage.next_index().expect("there is one");
                passage.skip_next();
                if index.is_multiple_of(5) { passage.retry(index) } else { passage.go_on(index) }
            }
            passage.cut(Offset(at));
            loop {
                while let Some(range) = passage.take_piece() {
                    range.for_each(|index| passage.go_on(index));
                }
                if !passage.begin_round(Instant::now()) {
                    break;
                }
            }
            let expected: Vec<_> = (0..at.min(len as i64)).collect();
            prop_assert_eq!(passage.finish().offsets, expected);
        }
    }
}
