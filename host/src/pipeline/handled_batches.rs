//! The batches that a worker has handled, on their way to its committer.
//!
//! The worker goes on with the next batches while the committer waits for the broker. What is between them is bounded: the intake
//! pauses a partition with many batches in flight, and the worker waits while handlers have returned too many bytes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{batch::BatchJob, passage::MAX_OUTPUT, shutdown::ShuttingDown};
use crate::event::TopicPartition;

/// The most batches that are delivered together.
pub(super) const MAX_BATCHES: usize = 32;

/// How many bytes handlers may have returned for all batches that are not committed, unless there is only one.
const MAX_BYTES: usize = MAX_OUTPUT;

/// How often batches that are stuck are tried again.
const STUCK_RETRY: Duration = Duration::from_secs(1);

/// How soon it is noticed that the partition of a batch that is stuck is being given up.
const STUCK_CHECK: Duration = Duration::from_millis(100);

/// The worker's end of the queue. Closes the queue when it is dropped.
pub(super) struct HandledBatches(Arc<Shared>);

/// The committer's end of the queue. Stops the queue when it is dropped: the worker hands over nothing more.
pub(super) struct CommitQueue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What is committed next, in the order in which it was handled.
    jobs: VecDeque<BatchJob>,
    /// The batches of partitions of which the first one waits for a topic, in their order.
    stuck: BTreeMap<TopicPartition, StuckBatches>,
    /// The number of bytes that handlers have returned for what is queued and being committed.
    bytes: usize,
    /// Whether some batches are being committed.
    is_busy: bool,
    /// Whether the worker has ended: nothing more is added.
    is_closed: bool,
    /// Whether the committer has ended: nothing more is committed.
    is_stopped: bool,
}

#[derive(Default)]
struct StuckBatches {
    /// When they are tried again, or `None` for at once.
    retry_at: Option<Instant>,
    jobs: VecDeque<BatchJob>,
}

/// Makes both ends of an empty queue.
pub(super) fn queue() -> (HandledBatches, CommitQueue) {
    let shared = Arc::new(Shared::default());
    (HandledBatches(Arc::clone(&shared)), CommitQueue(shared))
}

impl HandledBatches {
    /// Hands a batch to the committer. Waits while handlers have returned too many bytes for those before it.
    ///
    /// # Errors
    /// [`ShuttingDown`], if the committer has left a batch undone: nothing after it may be done.
    pub(super) fn push(&self, job: BatchJob) -> Result<(), ShuttingDown> {
        let bytes = |state: &State| state.bytes.saturating_add(job.effects.output);
        let mut state = self.wait_while(|state| bytes(state) > MAX_BYTES && !state.is_idle())?;
        state.bytes = bytes(&state);
        state.jobs.push_back(job);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Returns whether every batch is committed.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.0.state.lock();
        state.is_idle() && state.stuck.is_empty()
    }

    /// Waits until every batch is committed, apart from those that are stuck.
    ///
    /// # Errors
    /// [`ShuttingDown`], if the committer has left a batch undone.
    pub(super) fn wait_until_committed(&self) -> Result<(), ShuttingDown> {
        self.wait_while(|state| !state.is_idle()).map(drop)
    }

    /// Drops the batches of a partition that are stuck: its next owner handles them, or they are consumed again.
    pub(super) fn drop_stuck(&self, partition: &TopicPartition) {
        // A batch is dropped outside of the lock, since that ends it.
        let _dropped = self.0.state.lock().stuck.remove(partition);
    }

    fn wait_while(
        &self,
        condition: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'_, State>, ShuttingDown> {
        let mut state = self.0.state.lock();
        while condition(&state) && !state.is_stopped {
            self.0.changed.wait(&mut state);
        }
        match state.is_stopped {
            true => Err(ShuttingDown),
            false => Ok(state),
        }
    }
}

impl CommitQueue {
    /// Waits for batches, and returns at most `max` that are committed together, or `None` once all are committed and the worker
    /// has ended. [`CommitQueue::finish`] has to follow.
    pub(super) fn next(&self, max: usize) -> Option<Vec<BatchJob>> {
        let mut state = self.0.state.lock();
        loop {
            let given_up = state.take_given_up();
            if !given_up.is_empty() {
                MutexGuard::unlocked(&mut state, || drop(given_up));
                continue;
            }
            let jobs = state.take_next(Instant::now(), max);
            if !jobs.is_empty() {
                state.is_busy = true;
                return Some(jobs);
            }
            if state.is_closed {
                return None;
            }
            match state.stuck.is_empty() {
                true => self.0.changed.wait(&mut state),
                false => drop(self.0.changed.wait_for(&mut state, STUCK_CHECK)),
            }
        }
    }

    /// Takes note that the batches of [`CommitQueue::next`] are committed, except for those that are stuck.
    pub(super) fn finish(&self, stuck: Vec<BatchJob>) {
        let retry_at = Instant::now() + STUCK_RETRY;
        let mut state = self.0.state.lock();
        // What is still there of its partition is behind it.
        for job in stuck.into_iter().rev() {
            let partition = job.topic_partition().clone();
            let batches = state.stuck.entry(partition).or_default();
            batches.retry_at = Some(retry_at);
            batches.jobs.push_front(job);
        }
        state.is_busy = false;
        state.bytes = state.jobs.iter().map(|job| job.effects.output).sum();
        self.0.changed.notify_all();
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && !self.is_busy
    }

    /// Takes the batches to commit next: those of a partition that is due again, or the first ones that were handled.
    fn take_next(&mut self, now: Instant, max: usize) -> Vec<BatchJob> {
        let is_due = |stuck: &StuckBatches| stuck.retry_at.is_none_or(|time| time <= now);
        let due = self.stuck.iter().find(|(_, stuck)| is_due(stuck));
        if let Some(partition) = due.map(|(partition, _)| partition.clone()) {
            return self.take_stuck(&partition, max);
        }
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(job) = self.jobs.pop_front()
        {
            match self.stuck.get_mut(job.topic_partition()) {
                Some(stuck) => stuck.jobs.push_back(job),
                None => taken.push(job),
            }
        }
        taken
    }

    /// Takes the first batches of a partition that is due again. The others are due at once.
    fn take_stuck(&mut self, partition: &TopicPartition, max: usize) -> Vec<BatchJob> {
        let Some(mut stuck) = self.stuck.remove(partition) else {
            return Vec::new();
        };
        let taken = stuck.jobs.drain(..stuck.jobs.len().min(max)).collect();
        if !stuck.jobs.is_empty() {
            stuck.retry_at = None;
            self.stuck.insert(partition.clone(), stuck);
        }
        taken
    }

    /// Takes the batches that are stuck and whose partition is being given up: its next owner handles them.
    fn take_given_up(&mut self) -> Vec<StuckBatches> {
        let is_given_up = |_: &TopicPartition, stuck: &mut StuckBatches| {
            let first = stuck.jobs.front();
            first.is_none_or(|job| !job.in_flight.may_begin())
        };
        let given_up = self.stuck.extract_if(.., is_given_up);
        given_up.map(|(_, stuck)| stuck).collect()
    }
}

impl Drop for HandledBatches {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Drop for CommitQueue {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_stopped = true;
        let dropped = (
            std::mem::take(&mut state.jobs),
            std::mem::take(&mut state.stuck),
        );
        drop(state);
        drop(dropped);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::{EventoLimits, Offset, Partition},
        pipeline::{
            assignment::{Assignment, Assignments},
            restore::ViewState,
        },
    };

    const PARTITIONS: usize = 3;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The worker hands over a batch of this partition.
        Push(usize),
        /// The committer takes up to this number of batches, later than those that are stuck have to wait, and those of this
        /// partition are stuck.
        Commit(usize, usize),
    }

    fn assignment(assignments: &Assignments, number: usize) -> Assignment {
        let number = i32::try_from(number).expect("a small number");
        let state = assignments.assign(&TopicPartition::new("eventos", Partition(number)));
        Assignment::new(state, ViewState::Complete, None, EventoLimits::NONE)
    }

    /// Hands over a batch that ends at this offset.
    fn push(
        handled: &HandledBatches,
        assignment: &mut Assignment,
        next: i64,
    ) -> Result<(), ShuttingDown> {
        handled.push(BatchJob::skip(assignment, Offset(next)))
    }

    /// Commits what is next, at most `max` batches, unless it is of this partition. Returns whether there was anything.
    fn commit(
        queue: &CommitQueue,
        max: usize,
        stuck: Option<usize>,
        committed: &mut [Vec<i64>],
    ) -> bool {
        let later = Instant::now() + 2 * STUCK_RETRY;
        let jobs = queue.0.state.lock().take_next(later, max);
        let is_any = !jobs.is_empty();
        let number = |job: &BatchJob| job.topic_partition().partition.0.unsigned_abs() as usize;
        let (stuck, done): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| Some(number(job)) == stuck);
        for job in done {
            committed[number(&job)].push(job.next.0);
        }
        queue.finish(stuck);
        is_any
    }

    proptest! {
        #[test]
        fn every_batch_is_committed_once_and_in_the_order_of_its_partition(
            steps in proptest::collection::vec(
                prop_oneof![
                    (0..PARTITIONS).prop_map(Step::Push),
                    (1..5_usize, 0..=PARTITIONS).prop_map(|(max, stuck)| Step::Commit(max, stuck)),
                ],
                1..60,
            ),
        ) {
            let assignments = Assignments::default();
            let mut assigned = Vec::from_iter((0..PARTITIONS).map(|n| assignment(&assignments, n)));
            let (handled, queue) = queue();
            let (mut pushed, mut committed) = (vec![0; PARTITIONS], vec![Vec::new(); PARTITIONS]);
            for step in steps {
                match step {
                    Step::Push(number) => {
                        pushed[number] += 1;
                        prop_assert!(push(&handled, &mut assigned[number], pushed[number]).is_ok());
                    }
                    Step::Commit(max, stuck) => drop(commit(&queue, max, Some(stuck), &mut committed)),
                }
            }
            while commit(&queue, 2, None, &mut committed) {}
            prop_assert!(handled.is_empty() && handled.wait_until_committed().is_ok());
            for (number, committed) in committed.into_iter().enumerate() {
                prop_assert_eq!(committed, Vec::from_iter(1..=pushed[number]));
                prop_assert_eq!(assigned[number].state().in_flight(), 0);
            }
        }
    }

    #[test]
    fn nothing_is_handed_over_once_a_batch_was_left_undone() {
        let assignments = Assignments::default();
        let mut assignment = assignment(&assignments, 0);
        let (handled, queue) = queue();
        push(&handled, &mut assignment, 1).expect("the committer runs");
        assert_eq!(queue.next(8).map(|jobs| jobs.len()), Some(1));
        drop(queue);
        assert!(push(&handled, &mut assignment, 2).is_err());
        assert!(handled.wait_until_committed().is_err());
        assert_eq!(assignment.state().in_flight(), 0);
    }

    #[test]
    fn a_stuck_batch_goes_with_its_partition_and_the_queue_ends_with_the_worker() {
        let assignments = Assignments::default();
        let mut assignment = assignment(&assignments, 0);
        let (handled, queue) = queue();
        push(&handled, &mut assignment, 1).expect("the committer runs");
        let stuck = queue.next(8).expect("a batch");
        queue.finish(stuck);
        assert!(!handled.is_empty() && handled.wait_until_committed().is_ok());
        assignments.revoke(&[assignment.topic_partition().clone()]);
        drop(handled);
        assert!(queue.next(8).is_none());
        assert_eq!(assignment.state().in_flight(), 0);
    }
}
