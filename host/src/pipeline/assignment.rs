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

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::restore::ViewState;
use crate::{
    event::{AssignmentPhase, Batch, Offset, Partition, PartitionStatus, TopicPartition},
    kafka::Consumed,
    plugin::Handler,
};

/// A partition is paused when this much of it is in flight …
const PAUSE_AT: Amount = Amount {
    batches: 16,
    bytes: 4 << 20,
};

/// … and resumed when no more than this is. The two are far apart, since pausing is expensive: librdkafka throws away
/// what it has fetched of a paused partition and fetches it again, which may take `fetch.wait.max.ms` (500 ms) during
/// which it fetches nothing of the other partitions.
const RESUME_AT: Amount = Amount {
    batches: 4,
    bytes: 1 << 20,
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
}

/// The bytes of each batch that was handed over and is not finished, the oldest first.
#[derive(Default)]
struct Backlog(VecDeque<usize>);

#[derive(Clone, Copy)]
struct Amount {
    batches: usize,
    bytes: usize,
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

    fn in_flight(&self) -> usize {
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
    ) -> Self {
        Self {
            open: Batch::new(state.topic_partition.clone()),
            state,
            replayed: false,
            backlog: Backlog::default(),
            paused: false,
            view,
            position,
            end: None,
            reached_end: None,
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
        *self = Self::new(state, view, Some(to));
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

impl Backlog {
    fn push(&mut self, bytes: usize) {
        self.0.push_back(bytes);
    }

    /// Forgets all but the last `batches`: batches are finished in order.
    fn keep(&mut self, batches: usize) {
        let finished = self.0.len().saturating_sub(batches);
        self.0.drain(..finished);
    }

    fn is_too_much(&self) -> bool {
        let Amount { batches, bytes } = self.amount();
        batches >= PAUSE_AT.batches || bytes >= PAUSE_AT.bytes
    }

    fn is_little(&self) -> bool {
        let Amount { batches, bytes } = self.amount();
        batches <= RESUME_AT.batches && bytes <= RESUME_AT.bytes
    }

    fn amount(&self) -> Amount {
        Amount {
            batches: self.0.len(),
            bytes: self.0.iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{panic, thread};

    use proptest::prelude::*;

    use super::*;
    use crate::event::{HandlerOutput, Timestamp};

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("eventos", Partition(number))
    }

    fn handler() -> Arc<Handler> {
        Arc::new(Handler::native("probe", |_| HandlerOutput::default()))
    }

    #[test]
    fn many_small_ones_are_too_much_and_so_is_a_large_one() {
        let mut backlog = Backlog::default();
        assert!(backlog.is_little());
        for _ in 1..PAUSE_AT.batches {
            backlog.push(100);
            assert!(!backlog.is_too_much());
        }
        backlog.push(100);
        assert!(backlog.is_too_much());
        backlog.keep(RESUME_AT.batches + 1);
        assert!(!backlog.is_too_much() && !backlog.is_little());
        backlog.keep(RESUME_AT.batches);
        assert!(backlog.is_little());
        backlog.push(PAUSE_AT.bytes);
        assert!(backlog.is_too_much());
        // The large one is the last to be finished.
        backlog.keep(1);
        assert!(backlog.is_too_much());
        backlog.keep(0);
        assert!(backlog.is_little());
    }

    #[test]
    fn draining_waits_for_its_own_partitions_only() {
        let assignments = Assignments::default();
        let [one, two] = [1, 2].map(|number| assignments.assign(&partition(number)));
        let (first, _) = one.begin();
        let (second, in_flight) = one.begin();
        assert_eq!(in_flight, 2);
        assert!(wait_until_idle(&[Arc::clone(&two)], Duration::ZERO));
        let both = [Arc::clone(&one), two];
        assert!(!wait_until_idle(&both, Duration::ZERO));
        thread::scope(|scope| {
            let drained = scope.spawn(|| wait_until_idle(&both, Duration::from_secs(60)));
            drop((first, second));
            assert!(drained.join().expect("no panic"));
        });
        assert_eq!(one.in_flight(), 0);
    }

    #[test]
    fn what_is_left_is_not_begun_until_it_has_left() {
        let assignments = Assignments::default();
        let [one, two] = [1, 2].map(|number| assignments.assign(&partition(number)));
        let [(of_one, _), (of_two, _)] = [one.begin(), two.begin()];
        assert!(!assignments.leave(&[partition(1)], Duration::ZERO));
        assert!(!of_one.may_begin() && of_one.may_commit() && of_two.may_begin());
        drop(of_one);
        assert!(assignments.leave(&[partition(1)], Duration::ZERO));
        assignments.revoke(&[partition(1)]);
        let (again, _) = assignments.assign(&partition(1)).begin();
        assert!(again.may_begin());
    }

    #[test]
    fn a_tenure_ends_with_its_partition_and_another_is_not_it() {
        let assignments = Assignments::default();
        let [one, two] = [1, 2].map(|number| assignments.assign(&partition(number)));
        let [(of_one, _), (of_two, _)] = [one.begin(), two.begin()];
        assert!(of_one.may_commit());
        assignments.revoke(&[partition(1)]);
        assert!(!of_one.may_commit() && of_two.may_commit());
        let (again, _) = assignments.assign(&partition(1)).begin();
        assert!(again.may_commit() && !of_one.may_commit());
        assert!(again.generation() > of_one.generation());
        of_one.commit(|| panic!("committed for another assignment"));
    }

    #[test]
    fn a_panic_ends_the_batches_of_its_worker() {
        let assignments = Assignments::default();
        let state = assignments.assign(&partition(0));
        let (current, _) = state.begin();
        let (queued, _) = state.begin();
        let worker = thread::Builder::new().spawn(move || {
            let _queue = queued;
            panic::resume_unwind(Box::new(current.generation()));
        });
        assert!(worker.expect("a thread").join().is_err());
        assert_eq!(state.in_flight(), 0);
        assert!(assignments.leave(&[partition(0)], Duration::ZERO));
    }

    /// A step in the life of one of a few partitions.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Assign,
        /// The intake hands a batch over.
        Batch,
        /// The worker begins the next batch.
        Begin,
        /// The worker commits the batch that it has begun, and ends it.
        Done,
        /// The batch that has begun ends otherwise.
        Fail,
        /// The intake pauses the partition if it may, or resumes it.
        Pause,
        /// A handler halts the partition at the batch that has begun.
        Halt,
        /// The halted batches are tried again.
        Retry,
        Rewind,
        Leave,
        Revoke,
    }

    /// A worker and an intake as simple as can be, and everything that they ever did.
    #[derive(Default)]
    struct Model {
        assignments: Assignments,
        assigned: BTreeMap<i32, Assignment>,
        /// The batches that the worker has not begun.
        queues: BTreeMap<i32, VecDeque<InFlight>>,
        /// The batch that the worker has begun.
        begun: BTreeMap<i32, InFlight>,
        halted: BTreeMap<i32, VecDeque<InFlight>>,
        states: Vec<Arc<AssignmentState>>,
        handler: Option<Arc<Handler>>,
    }

    impl Model {
        fn step(&mut self, number: i32, step: Step) {
            match step {
                Step::Assign => {
                    if !self.assigned.contains_key(&number) {
                        let state = self.assignments.assign(&partition(number));
                        self.states.push(Arc::clone(&state));
                        let assignment = Assignment::new(state, ViewState::Complete, None);
                        self.assigned.insert(number, assignment);
                    }
                }
                Step::Batch => self.hand_over(number),
                Step::Begin => self.begin(number),
                Step::Done => {
                    if let Some(batch) = self.begun.remove(&number) {
                        self.commit(number, &batch);
                    }
                }
                Step::Fail => drop(self.begun.remove(&number)),
                Step::Pause => {
                    if let Some(assignment) = self.assigned.get_mut(&number) {
                        assignment.paused = match assignment.paused {
                            true => !assignment.has_caught_up(),
                            false => assignment.is_overloaded(),
                        };
                    }
                }
                Step::Halt => {
                    if let Some(batch) = self.begun.remove(&number) {
                        let handler = self.handler.get_or_insert_with(handler);
                        batch.halt(handler, "it failed".to_owned());
                        self.halted.entry(number).or_default().push_front(batch);
                    }
                }
                Step::Retry => self.end_halt(number, true),
                Step::Rewind => {
                    if let Some(assignment) = self.assigned.get_mut(&number)
                        && assignment.state.wait_until_idle(Instant::now())
                    {
                        let state = self.assignments.assign(&partition(number));
                        self.states.push(Arc::clone(&state));
                        assignment.rewind(state, Offset(0));
                        self.end_halt(number, false);
                    }
                }
                Step::Leave => drop(self.assignments.leave(&[partition(number)], Duration::ZERO)),
                Step::Revoke => {
                    self.assignments.revoke(&[partition(number)]);
                    self.assigned.remove(&number);
                    self.end_halt(number, false);
                }
            }
        }

        fn hand_over(&mut self, number: i32) {
            let Some(assignment) = self.assigned.get_mut(&number) else {
                return;
            };
            let timestamp = (Timestamp(0), 0);
            assignment.open.push(Offset(7), None, None, [], timestamp);
            let (batch, replayed, in_flight) = assignment.take_open().expect("it has a record");
            assert!(batch.len() == 1 && !replayed && !assignment.has_open_batch());
            self.queues.entry(number).or_default().push_back(in_flight);
        }

        fn begin(&mut self, number: i32) {
            if self.begun.contains_key(&number) {
                return;
            }
            let queue = self.queues.get_mut(&number);
            let Some(batch) = queue.and_then(VecDeque::pop_front) else {
                return;
            };
            if batch.may_begin() {
                match self.halted.get_mut(&number) {
                    Some(halted) => halted.push_back(batch),
                    None => drop(self.begun.insert(number, batch)),
                }
            }
        }

        /// Ends a halt. If the batches are tried again, they are done one after the other.
        fn end_halt(&mut self, number: i32, retry: bool) {
            let batches = self.halted.remove(&number).unwrap_or_default();
            let first = batches.front();
            assert_eq!(
                first.and_then(InFlight::end_halt).is_some(),
                first.is_some()
            );
            for batch in batches {
                if retry && batch.may_begin() {
                    self.commit(number, &batch);
                }
            }
        }

        /// Commits a batch, which only the assignment that consumed it may do.
        fn commit(&self, number: i32, batch: &InFlight) {
            let mut is_committed = false;
            batch.commit(|| is_committed = true);
            let assigned = self.assigned.get(&number);
            let is_current = assigned.is_some_and(|now| now.state.generation == batch.generation());
            assert_eq!(is_committed, is_current);
            assert_eq!(batch.may_commit(), is_current);
        }

        /// Every batch is counted by the assignment that consumed it, and by no other.
        fn check(&self) {
            let queued = self.queues.values().chain(self.halted.values()).flatten();
            let batches: Vec<_> = queued.chain(self.begun.values()).collect();
            for state in &self.states {
                let own = batches
                    .iter()
                    .filter(|batch| batch.generation() == state.generation);
                assert_eq!(state.in_flight(), own.count());
            }
            for (&number, assignment) in &self.assigned {
                let status = assignment.status();
                assert_ne!(status.phase, AssignmentPhase::Revoked);
                let is_halted = status.halted.is_some();
                let halted = self.halted.get(&number).and_then(VecDeque::front);
                let is_held =
                    halted.is_some_and(|one| one.generation() == assignment.state.generation);
                assert_eq!(is_halted, is_held);
            }
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        use Step::{Assign, Batch, Begin, Done, Fail, Halt, Leave, Pause, Retry, Revoke, Rewind};
        prop_oneof![
            4 => Just(Assign), 8 => Just(Batch), 8 => Just(Begin), 6 => Just(Done), 1 => Just(Fail), 2 => Just(Pause),
            2 => Just(Halt), 1 => Just(Retry), 1 => Just(Rewind), 1 => Just(Leave), 2 => Just(Revoke),
        ]
    }

    proptest! {
        #[test]
        fn no_batch_is_leaked_or_committed_for_another_assignment(
            steps in proptest::collection::vec((0..3i32, step()), 0..200),
        ) {
            let mut model = Model::default();
            for (number, step) in steps {
                model.step(number, step);
                model.check();
            }
            let Model { states, handler, halted, queues, begun, .. } = model;
            for batches in halted.into_values() {
                batches.front().and_then(InFlight::end_halt);
            }
            drop((queues, begun));
            prop_assert!(states.iter().all(|state| state.in_flight() == 0));
            let stops = handler.map(|handler| handler.halted().all()).unwrap_or_default();
            prop_assert!(stops.is_empty());
        }
    }
}
