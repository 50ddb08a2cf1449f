//! The assigned partitions, in one list: for the intake, which owns them, and as their statuses are published to the rest of
//! the daemon.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::assignment::{Assignment, Assignments};
use crate::{
    event::{AssignedPartitions, AssignmentPhase, Partition, TopicPartition},
    kafka::Revocation,
};

/// How long one poll waits if nothing else is to do. A signal to stop, and a panic of a worker, are noticed after it.
const IDLE: Duration = Duration::from_millis(50);

/// How long one poll waits while a partition is paused, which may be over soon. As long as its worker finishes no batch, each
/// poll waits twice as long as the one before, up to [`IDLE`]: a handler that is slow or paused takes no time of this thread.
const PAUSED: Duration = Duration::from_millis(2);

/// How old the published statuses may become while partitions are assigned.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

/// How long a rebalance or a shutdown waits for the batches in flight. This is less than librdkafka's
/// `max.poll.interval.ms` (5 minutes), and less than service managers allow for a shutdown (90 s with systemd).
pub(super) const DRAIN: Duration = Duration::from_secs(25);

/// The assigned partitions, ordered by topic and partition.
#[derive(Default)]
pub(super) struct Assigned {
    pub(super) list: Vec<Assignment>,
    /// The index of the assignment of the last record: consecutive records are mostly of one partition.
    last: usize,
    /// The number of assignments with an open batch.
    pub(super) open: usize,
    /// The number of paused assignments.
    pub(super) paused: usize,
    /// How long the next poll waits while there are paused assignments; at least [`PAUSED`].
    paused_wait: Duration,
    /// The number of batches of paused assignments in flight, as of the last poll that found nothing.
    paused_in_flight: usize,
}

/// Publishes the statuses of the assigned partitions to the rest of the daemon.
pub(super) struct Publisher {
    pub(super) sender: Arc<watch::Sender<Arc<AssignedPartitions>>>,
    pub(super) changes: u64,
    pub(super) published_at: Instant,
}

/// What happens before partitions are given up, inside the rebalance callback: nothing of them begins any more, the batches
/// that have begun are waited for, and then their assignments end. A partition that the group has already taken away is not
/// waited for.
pub(super) fn give_up(
    assignments: &Assignments,
    publisher: &watch::Sender<Arc<AssignedPartitions>>,
    Revocation {
        partitions,
        is_lost,
    }: &Revocation,
) {
    let patience = if *is_lost { Duration::ZERO } else { DRAIN };
    publisher.send_modify(|published| {
        for status in &mut Arc::make_mut(published).statuses {
            if partitions.contains(&status.topic_partition) {
                status.phase = AssignmentPhase::Leaving;
            }
        }
    });
    if !assignments.leave(partitions, patience) && !*is_lost {
        tracing::warn!(
            ?partitions,
            "partitions are given up with batches in flight; their next owner handles these batches again"
        );
    }
    assignments.revoke(partitions);
}

impl Assigned {
    /// How long a poll may wait. An open batch is handed over as soon as nothing more is waiting.
    pub(super) fn patience(&self) -> Duration {
        match (self.open, self.paused) {
            (0, 0) => IDLE,
            (0, _) => self.paused_wait.max(PAUSED),
            _ => Duration::ZERO,
        }
    }

    /// Takes note that a poll has found nothing.
    pub(super) fn note_idle(&mut self) {
        if self.paused == 0 {
            return;
        }
        let paused = self.list.iter().filter(|one| one.paused);
        let in_flight = paused.map(|one| one.state().in_flight()).sum();
        self.paused_wait = match in_flight == self.paused_in_flight {
            true => (2 * self.paused_wait.max(PAUSED)).min(IDLE),
            false => PAUSED,
        };
        self.paused_in_flight = in_flight;
    }

    /// The index of the assignment of a partition of the topic that is consumed.
    pub(super) fn index_of(&mut self, partition: Partition) -> Option<usize> {
        let number = |assignment: &Assignment| assignment.topic_partition().partition;
        let last = self.list.get(self.last);
        if last.is_none_or(|last| number(last) != partition) {
            self.last = self.list.binary_search_by_key(&partition, number).ok()?;
        }
        Some(self.last)
    }

    pub(super) fn insert(&mut self, assignment: Assignment) {
        self.remove(assignment.topic_partition());
        let after = self
            .list
            .partition_point(|one| one.topic_partition() < assignment.topic_partition());
        self.list.insert(after, assignment);
    }

    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        self.list.retain(|one| one.topic_partition() != partition);
        self.recount();
    }

    pub(super) fn recount(&mut self) {
        self.open = self.list.iter().filter(|one| one.has_open_batch()).count();
        self.paused = self.list.iter().filter(|one| one.paused).count();
    }
}

impl Publisher {
    pub(super) fn is_due(&self) -> bool {
        self.published_at.elapsed() >= PUBLISH_INTERVAL
    }

    /// Publishes a change of what is assigned.
    pub(super) fn change(&mut self, assigned: &[Assignment]) {
        self.changes += 1;
        self.publish(assigned);
    }

    pub(super) fn publish(&mut self, assigned: &[Assignment]) {
        self.published_at = Instant::now();
        self.sender.send_replace(Arc::new(AssignedPartitions {
            statuses: assigned.iter().map(Assignment::status).collect(),
            changes: self.changes,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{EventoLimits, Offset},
        pipeline::restore::ViewState,
    };

    struct Member {
        assignments: Assignments,
        assigned: Assigned,
        publisher: Publisher,
        published: watch::Receiver<Arc<AssignedPartitions>>,
    }

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("eventos", Partition(number))
    }

    impl Member {
        fn new() -> Self {
            let (sender, published) = watch::channel(Arc::default());
            Self {
                assignments: Assignments::default(),
                assigned: Assigned::default(),
                publisher: Publisher {
                    sender: Arc::new(sender),
                    changes: 0,
                    published_at: Instant::now(),
                },
                published,
            }
        }

        fn assign(&mut self, numbers: &[i32], view: fn() -> ViewState) {
            for &number in numbers {
                let state = self.assignments.assign(&partition(number));
                self.assigned.insert(Assignment::new(
                    state,
                    view(),
                    None,
                    EventoLimits::default(),
                ));
            }
            self.publisher.change(&self.assigned.list);
        }

        fn revoke(&mut self, number: i32) {
            self.assigned.remove(&partition(number));
            self.publisher.change(&self.assigned.list);
        }

        /// The partitions, those that are being restored, and the number of changes.
        fn published(&self) -> (String, String, u64) {
            let published = self.published.borrow();
            let partitions = published.partitions().to_string();
            (
                partitions,
                published.restoring().to_string(),
                published.changes,
            )
        }
    }

    #[test]
    fn it_has_what_came_and_has_not_gone() {
        let mut member = Member::new();
        member.assign(&[1, 0], ViewState::default);
        member.assign(&[5], ViewState::default);
        member.revoke(0);
        assert_eq!(member.published(), ("1,5".to_owned(), "-".to_owned(), 3));
        member.assign(&[], ViewState::default);
        assert_eq!(member.published().2, 4);
        assert_eq!(
            [5, 0, 1].map(|number| member.assigned.index_of(Partition(number))),
            [Some(1), None, Some(0)]
        );
    }

    #[test]
    fn a_view_is_whole_once_it_is_restored_or_another_has_it() {
        let mut member = Member::new();
        member.assign(&[0], ViewState::default);
        member.assign(&[1, 2], || ViewState::Incomplete);
        assert_eq!(member.published().1, "1-2");
        let index = member.assigned.index_of(Partition(1)).expect("assigned");
        member.assigned.list[index].view = ViewState::Complete;
        member.publisher.change(&member.assigned.list);
        assert_eq!(member.published().1, "2");
        member.revoke(2);
        assert_eq!(member.published(), ("0-1".to_owned(), "-".to_owned(), 4));
    }

    #[test]
    fn polls_wait_longer_for_a_paused_partition_until_its_worker_finishes_something() {
        let mut member = Member::new();
        member.assign(&[0, 1], ViewState::default);
        let assigned = &mut member.assigned;
        let (_, in_flight) = assigned.list[0].begin_skip(Offset(1));
        assigned.note_idle();
        assert_eq!(assigned.patience(), IDLE);
        assigned.list[0].paused = true;
        assigned.recount();
        let waits: Vec<_> = (0..8)
            .map(|_| {
                let wait = assigned.patience().as_millis();
                assigned.note_idle();
                wait
            })
            .collect();
        assert_eq!(waits, [2, 2, 4, 8, 16, 32, 50, 50]);
        drop(in_flight);
        assigned.note_idle();
        assert_eq!(assigned.patience(), PAUSED);
    }

    #[test]
    fn a_partition_that_is_given_up_is_published_as_leaving() {
        let mut member = Member::new();
        member.assign(&[0, 1], ViewState::default);
        let revocation = Revocation {
            partitions: vec![partition(1)],
            is_lost: false,
        };
        give_up(&member.assignments, &member.publisher.sender, &revocation);
        let published = member.published.borrow();
        let phases = published.statuses.iter().map(|status| status.phase);
        assert_eq!(
            Vec::from_iter(phases),
            [AssignmentPhase::Active, AssignmentPhase::Leaving]
        );
    }
}
