//! The life of an assignment, and random sequences of steps in it.

use std::{collections::VecDeque, panic, thread};

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
                    let assignment =
                        Assignment::new(state, ViewState::Complete, None, EventoLimits::NONE);
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
            let is_held = halted.is_some_and(|one| one.generation() == assignment.state.generation);
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
