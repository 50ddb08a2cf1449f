//! A partition that is assigned to this daemon, from its assignment until it is revoked.
//!
//! The intake owns an [`Assignment`] per partition. The part of it that others need is an [`AssignmentState`]: each
//! batch carries it in its [`InFlight`], and the rebalance callback finds it in [`Assignments`].
//!
//! ```text
//!             assign                 a revocation begins          nothing is in flight,
//!                                                                 or 25 s have passed
//!   (none) ───────────▶ Active ──────────────────────▶ Leaving ──────────────────────▶ Revoked
//!                         │                                                               ▲
//!                         └───────────────────────────────────────────────────────────────┘
//!                          the group has taken the partition away, or it is rewound
//! ```
//!
//! | phase | a batch begins | its offset is committed |
//! |---|---|---|
//! | `Active` | yes | yes |
//! | `Leaving` | no: the next owner of the partition handles it | yes |
//! | `Revoked` | no | no: another assignment handles its records again |
//!
//! A revoked assignment is never used again: the same partition gets another one, with a higher [`Generation`].
//! Besides its phase, an assignment has three properties that combine with each other and with every phase:
//!
//! - *paused*: the intake does not fetch, since too much is in flight. Set and cleared by the intake.
//! - *halted*: a handler stopped the partition, and its worker holds the batches. They are in flight, but a drain does not
//!   wait for them. Set and cleared by the worker.
//! - *restoring*: the view of the partition is not complete yet. Set and cleared by the intake.

mod backlog;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use self::backlog::Backlog;
use super::{
    restore::ViewState,
    stall::{FetchProgress, SearchTarget},
};
use crate::{
    event::{
        AssignmentPhase, Batch, EventoLimits, Offset, Partition, PartitionStatus, TopicPartition,
    },
    kafka::Consumed,
    plugin::Handler,
};

/// The value of an offset that is not known.
const UNKNOWN: i64 = -1;

/// Tells the assignments of a partition apart: each has a higher number than those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(u64);

/// The assignments of this daemon, for the intake and the rebalance callback. Nothing here is used per batch.
#[derive(Clone, Default)]
pub(super) struct Assignments(Arc<Mutex<AssignedStates>>);

#[derive(Default)]
struct AssignedStates {
    states: BTreeMap<TopicPartition, Arc<AssignmentState>>,
    generations: u64,
}

/// The part of an assignment that the intake, its worker and the rebalance callback share.
pub(super) struct AssignmentState {
    topic_partition: TopicPartition,
    generation: Generation,
    progress: Mutex<Progress>,
    /// Notified when a batch ends, and when the partition is halted or goes on.
    changed: Condvar,
    /// The offset before which everything is done; [`UNKNOWN`] until the first batch, or until the worker has begun to
    /// restore the view.
    done: AtomicI64,
    /// The committed offset; [`UNKNOWN`] until one is known.
    committed: AtomicI64,
}

struct Progress {
    phase: AssignmentPhase,
    in_flight: usize,
    halted_by: Option<Arc<Handler>>,
}

/// A batch in flight: handed to a worker, and not finished. Dropping it ends the batch, also when the worker panics.
pub(super) struct InFlight {
    assignment: Arc<AssignmentState>,
}

/// The intake's part of an assignment.
pub(super) struct Assignment {
    state: Arc<AssignmentState>,
    /// The batch that is being filled.
    open: Batch,
    /// Whether the records of the open batch were handled before, and are only replayed for the view.
    replayed: bool,
    backlog: Backlog,
    pub(super) paused: bool,
    pub(super) view: ViewState,
    /// The next offset to consume.
    position: Option<Offset>,
    /// The end of the partition, as last heard of.
    end: Option<Offset>,
    /// The offset that consuming has reached without a record there: everything before it has been consumed.
    reached_end: Option<Offset>,
    fetches: FetchProgress,
    is_stalled: bool,
    /// The position at which the client could not read something, and why.
    unreadable: Option<(Option<Offset>, String)>,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Assignments {
    /// Begins an assignment. An older one of the same partition is revoked.
    pub(super) fn assign(&self, topic_partition: &TopicPartition) -> Arc<AssignmentState> {
        let mut assigned = self.0.lock();
        assigned.generations += 1;
        let generation = Generation(assigned.generations);
        let state = AssignmentState::new(topic_partition.clone(), generation);
        let former = assigned
            .states
            .insert(topic_partition.clone(), Arc::clone(&state));
        drop(assigned);
        if let Some(former) = former {
            former.revoke();
        }
        state
    }

    /// Gives partitions up: no batch of them begins any more, and those that have begun are waited for, for at most this
    /// long. Returns whether all were finished in time.
    pub(super) fn leave(&self, partitions: &[TopicPartition], at_most: Duration) -> bool {
        let states = self.find(partitions);
        states.iter().for_each(|state| state.leave());
        wait_until_idle(&states, at_most)
    }

    /// Ends the assignments of these partitions: nothing of them is committed any more.
    pub(super) fn revoke(&self, partitions: &[TopicPartition]) {
        let mut assigned = self.0.lock();
        let revoked = partitions
            .iter()
            .filter_map(|one| assigned.states.remove(one));
        let revoked: Vec<_> = revoked.collect();
        drop(assigned);
        revoked.iter().for_each(|state| state.revoke());
    }

    fn find(&self, partitions: &[TopicPartition]) -> Vec<Arc<AssignmentState>> {
        let assigned = self.0.lock();
        let states = partitions.iter().filter_map(|one| assigned.states.get(one));
        states.cloned().collect()
    }
}

/// Waits until no batch of these assignments is in flight, apart from those of halted partitions, for at most this long.
/// Returns whether that came about in time.
pub(super) fn wait_until_idle(states: &[Arc<AssignmentState>], at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    states.iter().all(|state| state.wait_until_idle(deadline))
}

impl AssignmentState {
    fn new(topic_partition: TopicPartition, generation: Generation) -> Arc<Self> {
        Arc::new(Self {
            topic_partition,
            generation,
            progress: Mutex::new(Progress {
                phase: AssignmentPhase::Active,
                in_flight: 0,
                halted_by: None,
            }),
            changed: Condvar::new(),
            done: AtomicI64::new(UNKNOWN),
            committed: AtomicI64::new(UNKNOWN),
        })
    }

    pub(super) fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// Takes note that everything before `next` is done.
    pub(super) fn set_done(&self, next: Offset) {
        self.done.store(next.0, Relaxed);
    }

    /// Takes note of the committed offset.
    pub(super) fn set_committed(&self, committed: Offset) {
        self.committed.store(committed.0, Relaxed);
    }

    pub(super) fn committed(&self) -> Option<Offset> {
        known(&self.committed)
    }

    /// Counts one more batch, and returns it with the number of batches in flight.
    fn begin(self: &Arc<Self>) -> (InFlight, usize) {
        let mut progress = self.progress.lock();
        progress.in_flight += 1;
        let in_flight = InFlight {
            assignment: Arc::clone(self),
        };
        (in_flight, progress.in_flight)
    }

    /// Returns the number of batches in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.progress.lock().in_flight
    }

    fn leave(&self) {
        let mut progress = self.progress.lock();
        if progress.phase == AssignmentPhase::Active {
            progress.phase = AssignmentPhase::Leaving;
        }
    }

    fn revoke(&self) {
        self.progress.lock().phase = AssignmentPhase::Revoked;
    }

    fn wait_until_idle(&self, deadline: Instant) -> bool {
        let is_busy =
            |progress: &mut Progress| progress.in_flight > 0 && progress.halted_by.is_none();
        let mut progress = self.progress.lock();
        let waited = self
            .changed
            .wait_while_until(&mut progress, is_busy, deadline);
        !waited.timed_out()
    }
}

impl InFlight {
    pub(super) fn topic_partition(&self) -> &TopicPartition {
        &self.assignment.topic_partition
    }

    pub(super) fn partition(&self) -> Partition {
        self.assignment.topic_partition.partition
    }

    pub(super) fn generation(&self) -> Generation {
        self.assignment.generation
    }

    /// Counts one more batch of the same assignment, made of records of this one.
    pub(super) fn another(&self) -> Self {
        self.assignment.begin().0
    }

    /// Returns whether work on the batch may begin: the partition is not being given up.
    pub(super) fn may_begin(&self) -> bool {
        self.assignment.progress.lock().phase == AssignmentPhase::Active
    }

    /// Returns whether the offset of the batch may be committed: the partition has been assigned ever since the batch was
    /// consumed.
    pub(super) fn may_commit(&self) -> bool {
        self.assignment.progress.lock().phase != AssignmentPhase::Revoked
    }

    /// Calls `commit` if the offset of the batch may be committed. No revocation happens meanwhile.
    pub(super) fn commit(&self, commit: impl FnOnce()) {
        let progress = self.assignment.progress.lock();
        if progress.phase != AssignmentPhase::Revoked {
            commit();
        }
    }

    /// Takes note that a transaction with this offset was committed.
    pub(super) fn set_committed(&self, committed: Offset) {
        self.assignment.set_committed(committed);
    }

    /// Takes note that everything before `next` is done.
    pub(super) fn set_done(&self, next: Offset) {
        self.assignment.set_done(next);
    }

    /// Halts the partition: its batches stay in flight, and a drain does not wait for them.
    pub(super) fn halt(&self, by: &Arc<Handler>, reason: String) {
        by.halted().halt(self.partition(), reason);
        self.assignment.progress.lock().halted_by = Some(Arc::clone(by));
        self.assignment.changed.notify_all();
    }

    /// Ends the halt of the partition, and returns the handler that halted it.
    pub(super) fn end_halt(&self) -> Option<Arc<Handler>> {
        let by = self.assignment.progress.lock().halted_by.take()?;
        by.halted().resume(self.partition());
        Some(by)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.assignment.progress.lock().in_flight -= 1;
        self.assignment.changed.notify_all();
    }
}

impl Assignment {
    pub(super) fn new(
        state: Arc<AssignmentState>,
        view: ViewState,
        position: Option<Offset>,
        limits: EventoLimits,
    ) -> Self {
        Self {
            open: Batch::new(state.topic_partition.clone()).with_limits(limits),
            state,
            replayed: false,
            backlog: Backlog::default(),
            paused: false,
            view,
            position,
            end: None,
            reached_end: None,
            fetches: FetchProgress::default(),
            is_stalled: false,
            unreadable: None,
        }
    }

    pub(super) fn state(&self) -> &Arc<AssignmentState> {
        &self.state
    }

    pub(super) fn topic_partition(&self) -> &TopicPartition {
        &self.state.topic_partition
    }

    pub(super) fn has_open_batch(&self) -> bool {
        !self.open.is_empty()
    }

    /// Returns whether the open batch has to be handed over before this record: the record does not fit, or is the first
    /// one that was never handled.
    pub(super) fn is_closed_to(&self, record: &Consumed<'_>) -> bool {
        let ends_replay = self.replayed && !self.view.is_replayed(record.offset());
        (ends_replay && self.has_open_batch())
            || !self.open.has_room_for(record.key(), record.value())
    }

    /// Appends a record to the open batch, and returns whether the batch is full.
    pub(super) fn push(&mut self, record: &Consumed<'_>) -> bool {
        let offset = record.offset();
        self.replayed = self.view.is_replayed(offset);
        self.position = Some(offset.next());
        self.reached_end = None;
        self.open.push(
            offset,
            record.key(),
            record.value(),
            record.headers(),
            record.timestamp(),
        );
        self.open.is_full()
    }

    /// Takes the open batch, if it has records, and counts it as in flight. Returns with it whether its records were handled
    /// before.
    pub(super) fn take_open(&mut self) -> Option<(Batch, bool, InFlight)> {
        let next = self.open.next_offset()?;
        self.view.set_handed_over(next);
        let empty = Batch::empty_like(&self.open);
        let batch = std::mem::replace(&mut self.open, empty);
        let (in_flight, batches) = self.state.begin();
        self.backlog.push(batch.byte_len());
        self.backlog.keep(batches);
        Some((batch, self.replayed, in_flight))
    }

    /// Returns whether too much is in flight, and the partition has to be paused.
    pub(super) fn is_overloaded(&self) -> bool {
        self.backlog.is_too_much()
    }

    /// Returns whether little enough is in flight to resume a paused partition.
    pub(super) fn has_caught_up(&mut self) -> bool {
        self.backlog.keep(self.state.in_flight());
        self.backlog.is_little()
    }

    /// Forgets what was consumed, and goes on from `to` as another assignment, so that nothing consumed before is
    /// committed after the rewind.
    pub(super) fn rewind(&mut self, state: Arc<AssignmentState>, to: Offset) {
        state.set_committed(to);
        let view = std::mem::take(&mut self.view);
        *self = Self::new(state, view, Some(to), self.open.limits());
    }

    /// Returns the next offset to consume, if it is known and another one comes instead.
    pub(super) fn position_unless(&self, offset: Offset) -> Option<Offset> {
        self.position.filter(|&position| position != offset)
    }

    /// Takes note that everything before this offset has been consumed, and that nothing is left for now.
    pub(super) fn reach_end(&mut self, offset: Offset) {
        self.reached_end = Some(offset);
        self.set_end(offset);
    }

    /// Takes note of the end of the partition. It never goes back, and librdkafka repeats an old one while it does not fetch.
    pub(super) fn set_end(&mut self, end: Offset) {
        self.end = self.end.max(Some(end));
    }

    /// Returns the offset that can be committed although no record before it is left to handle: the last offsets belong to
    /// markers of transactions, or to records that were compacted away. Everything consumed must be done.
    pub(super) fn offset_to_skip_to(&self) -> Option<Offset> {
        let is_idle =
            !self.has_open_batch() && !self.view.is_restoring() && self.state.in_flight() == 0;
        self.reached_end
            .filter(|&end| is_idle && self.position.is_some_and(|position| position < end))
    }

    /// Takes note of the offset that is fetched next, if it is known. Returns whether the partition has just stalled.
    pub(super) fn note_fetch(&mut self, fetching: Option<Offset>, now: Instant) -> bool {
        let fetching = fetching.filter(|_| self.expects_records());
        let was_stalled = self.is_stalled;
        self.is_stalled = self.fetches.observe(fetching, now);
        self.is_stalled && !was_stalled
    }

    /// Returns whether a record should arrive soon: there are some, and nothing keeps the client from fetching them.
    fn expects_records(&self) -> bool {
        let reached = self.reached_end.max(self.position);
        let is_idle = !self.paused && !self.has_open_batch() && self.state.in_flight() == 0;
        is_idle && reached.is_some_and(|reached| self.end.is_some_and(|end| reached < end))
    }

    /// Returns whether no record has arrived for long although there are some.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Returns the place where this assignment cannot go on, and the end of the partition.
    pub(super) fn search_target(&self) -> Option<(SearchTarget, Offset)> {
        let target = SearchTarget {
            partition: self.topic_partition().clone(),
            generation: self.state.generation,
            from: self.reached_end.max(self.position)?,
        };
        Some((target, self.end?))
    }

    /// Returns whether this assignment still waits where a search began.
    pub(super) fn waits_at(&self, target: &SearchTarget) -> bool {
        let now = self.search_target();
        self.expects_records() && now.is_some_and(|(now, _)| now == *target)
    }

    /// Takes note that the client cannot read something that comes next. Returns whether that is new.
    pub(super) fn note_unreadable(&mut self, why: &str) -> bool {
        let known = self.unreadable.as_ref();
        let is_new = known.is_none_or(|(position, _)| *position != self.position);
        self.unreadable = Some((self.position, why.to_owned()));
        is_new
    }

    /// Returns why the client could not read something at the current position, if that is known. Called when it goes on
    /// at a greater offset.
    pub(super) fn take_unreadable(&mut self) -> Option<String> {
        let (position, why) = self.unreadable.take()?;
        (position == self.position).then_some(why)
    }

    /// Counts a batch that cannot be read as in flight, after which consuming goes on at `to`. Returns with it the first
    /// offset that cannot be read, and whether it was passed before.
    pub(super) fn begin_lost(&mut self, to: Offset) -> (Offset, bool, InFlight) {
        let from = self.reached_end.max(self.position).unwrap_or(to);
        let is_replayed = self.view.is_replayed(Offset(to.0 - 1));
        self.view.set_handed_over(to);
        self.position = Some(to);
        self.reached_end = None;
        self.fetches = FetchProgress::default();
        self.is_stalled = false;
        let (in_flight, batches) = self.state.begin();
        self.backlog.push(0);
        self.backlog.keep(batches);
        (from, is_replayed, in_flight)
    }

    /// Returns the next offset to consume, if it is known.
    pub(super) fn position(&self) -> Option<Offset> {
        self.position
    }

    /// Returns the end of the partition, as last heard of.
    pub(super) fn end(&self) -> Option<Offset> {
        self.end
    }

    /// Counts a batch without records as in flight, after which consuming goes on at `to`.
    pub(super) fn begin_skip(&mut self, to: Offset) -> (Batch, InFlight) {
        self.position = Some(to);
        let (in_flight, batches) = self.state.begin();
        self.backlog.push(0);
        self.backlog.keep(batches);
        (Batch::empty_like(&self.open), in_flight)
    }

    /// Returns the number of records that are still to be handled, at most: offsets may have gaps.
    pub(super) fn lag(&self) -> Option<i64> {
        let handled = known(&self.state.done).max(self.state.committed());
        // Before the first batch is done, nothing before the position was to be handled.
        let from = handled.or(self.position)?;
        Some((self.end?.0 - from.0).max(0))
    }

    /// What the monitor of the restores needs: the partition, the offset before which everything is done, and the view.
    pub(super) fn view_progress(&mut self) -> (&TopicPartition, Option<Offset>, &mut ViewState) {
        let done = known(&self.state.done);
        (&self.state.topic_partition, done, &mut self.view)
    }

    pub(super) fn status(&self) -> PartitionStatus {
        let progress = self.state.progress.lock();
        PartitionStatus {
            topic_partition: self.state.topic_partition.clone(),
            phase: progress.phase,
            paused: self.paused,
            halted: progress.halted_by.as_ref().map(|by| by.name().to_owned()),
            restoring: self.view.is_restoring(),
            generation: self.state.generation.0,
            in_flight: progress.in_flight,
            position: self.position,
            // The position of a group that has committed nothing is 0.
            committed: self.state.committed().filter(|offset| offset.0 > 0),
            lag: self.lag(),
        }
    }
}

fn known(offset: &AtomicI64) -> Option<Offset> {
    let offset = offset.load(Relaxed);
    (offset != UNKNOWN).then_some(Offset(offset))
}
