//! The thread that polls the consumer. It owns the assignments, fills a batch per partition, and hands a batch over as soon as
//! nothing more is waiting, or the batch is full. A partition whose worker lags behind is paused, while polling goes on, so
//! that the group never takes this daemon for dead.

use std::{sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;

use super::{
    Error,
    assignment::{Assignment, Assignments, wait_until_idle},
    batch::BatchJob,
    partitions::{Assigned, DRAIN, Publisher},
    restore::{RestoreMonitor, ViewState},
    rewind::{Rewinder, not_assigned},
    stall::{Passage, StallMonitor},
    worker_pool::Workers,
};
use crate::{
    event::{EventoLimits, Offset, TopicPartition},
    kafka::{
        self, Consumed, Consumer, ConsumerEvent, NewAssignment, PartitionProgress, ProducedTopics,
        Revocation,
    },
    replay::{PartitionReport, RewindCommand, RewindCommands},
    telemetry::{in_one_line, metrics::Metrics, readiness::Readiness},
};

/// The number of records that are polled before signals and commands are looked at again.
const RECORDS_PER_CHECK: usize = 256;

/// The readiness latch that is closed while a broker does not answer.
const RESPONDING: &str = "broker_responses";

/// Why a topic that does not exist stays missing.
const MISSING: &str =
    "it does not exist any more; create it again, or restart this daemon to have it created";

pub(super) struct Intake<'p> {
    pub(super) consumer: Arc<Consumer>,
    pub(super) assignments: Assignments,
    pub(super) assigned: Assigned,
    pub(super) evento: EventoLimits,
    pub(super) workers: Workers,
    /// None if views are not restored.
    pub(super) restores: Option<RestoreMonitor>,
    pub(super) stalls: StallMonitor,
    pub(super) publisher: Publisher,
    pub(super) metrics: Metrics,
    pub(super) readiness: Readiness,
    pub(super) topics: ProducedTopics,
    pub(super) rewinds: &'p mut RewindCommands,
    pub(super) stop: CancellationToken,
    /// Whether another topic has taken the place of the one that is consumed.
    pub(super) is_topic_replaced: bool,
}

/// Why an intake ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntakeEnd {
    /// The daemon stops.
    Stopped,
    /// The topic was deleted and created again: everything begins anew, with another consumer.
    TopicReplaced,
}

impl Intake<'_> {
    /// Polls until the stop token is cancelled or the topic is replaced, then drains.
    ///
    /// # Errors
    /// [`Error::Kafka`], after which nothing more can be consumed, and [`Error::WorkerPanicked`].
    pub(super) fn run(mut self) -> Result<IntakeEnd, Error> {
        let polled = self.poll();
        // Workers that wait for the broker give up once the daemon stops.
        self.stop.cancel();
        // What was not handed over is not lost: its offset was never stored.
        let partitions = self.assigned.list.iter();
        let partitions = partitions.map(|one| one.topic_partition().clone());
        let partitions: Vec<_> = partitions.collect();
        if !self.assignments.leave(&partitions, DRAIN) {
            tracing::warn!(
                "batches are still in flight at the end; they are handled again after a restart"
            );
        }
        if self.is_topic_replaced {
            // Another consumer finds these faults again, if they are still there.
            self.readiness.set(RESPONDING, true);
            self.note_topic(true);
            self.assignments.revoke(&partitions);
            self.revoke(Revocation {
                partitions,
                is_lost: true,
            });
        }
        self.stalls.join();
        self.workers.join()?;
        polled?;
        Ok(match self.is_topic_replaced {
            true => IntakeEnd::TopicReplaced,
            false => IntakeEnd::Stopped,
        })
    }

    fn poll(&mut self) -> Result<(), kafka::Error> {
        let consumer = Arc::clone(&self.consumer);
        while !self.stop.is_cancelled() && !self.workers.have_panicked() && !self.is_topic_replaced
        {
            while let Ok(rewind) = self.rewinds.try_recv() {
                self.rewind(rewind);
            }
            for _ in 0..RECORDS_PER_CHECK {
                let mut is_record = false;
                consumer.poll(self.assigned.patience(), |event| {
                    is_record = matches!(event, ConsumerEvent::Record(_));
                    self.handle(event);
                })?;
                if !is_record {
                    break;
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: ConsumerEvent<'_>) {
        match event {
            ConsumerEvent::Record(record) => self.take(&record),
            ConsumerEvent::PartitionEnd(partition, offset) => self.reach_end(&partition, offset),
            ConsumerEvent::Idle => {
                self.hand_over_all();
                self.assigned.note_idle();
            }
            ConsumerEvent::Unreadable(partition, why) => self.note_unreadable(&partition, &why),
            ConsumerEvent::Assigned(assigned) => self.assign(&assigned),
            ConsumerEvent::Revoked(revocation) => self.revoke(revocation),
            ConsumerEvent::Progress(progress) => self.note_progress(&progress),
            ConsumerEvent::Responding(responding) => self.note_responding(responding),
            ConsumerEvent::TopicExists(exists) => self.note_topic(exists),
            ConsumerEvent::TopicReplaced => {
                self.is_topic_replaced = true;
                let topic = self.consumer.topic();
                tracing::warn!(
                    %topic,
                    "the topic was deleted and created again; beginning anew, and what was handled of the new topic before \
                     this was noticed is handled again"
                );
            }
        }
    }

    fn take(&mut self, record: &Consumed<'_>) {
        let Some(index) = self.assigned.index_of(record.partition()) else {
            // librdkafka drops what it has fetched of a partition that is revoked.
            let (partition, offset) = (record.partition(), record.offset());
            tracing::warn!(%partition, %offset, "record of a partition that is not assigned; skipping it");
            return;
        };
        self.check_position(index, record.offset());
        if self.assigned.list[index].is_closed_to(record) {
            self.hand_over(index);
        }
        let assignment = &mut self.assigned.list[index];
        if !assignment.has_open_batch() {
            self.assigned.open += 1;
        }
        if assignment.push(record) {
            self.hand_over(index);
            self.look_after_partitions();
        }
    }

    /// Takes note of the end of a partition. A restore may end there: the last offsets that it waits for may have no records.
    fn reach_end(&mut self, partition: &TopicPartition, offset: Offset) {
        let Some(index) = self.assigned.index_of(partition.partition) else {
            return;
        };
        self.check_position(index, offset);
        self.assigned.list[index].reach_end(offset);
        if self.assigned.list[index].view.restore().is_some() {
            self.hand_over(index);
            self.assigned.list[index].view.set_at_end();
            self.look_after_partitions();
        }
    }

    /// Checks that consuming goes on where it was. Between the two offsets there may be none with a record, but the log may
    /// also have lost its first records, or its last ones.
    fn check_position(&mut self, index: usize, next: Offset) {
        let assignment = &self.assigned.list[index];
        let Some(position) = assignment.position_unless(next) else {
            return;
        };
        if next < position {
            return self.go_back(index, next);
        }
        if let Some(why) = self.assigned.list[index].take_unreadable() {
            return self.give_up_batch(index, next, &why);
        }
        let partition = self.assigned.list[index].topic_partition();
        if let Some(first) = self.consumer.first_offset(partition)
            && first > position
        {
            tracing::error!(
                %partition, %position, %first, records = first.0 - position.0,
                "records were deleted before they were handled: the topic keeps them too short a time, or too few of them"
            );
        }
    }

    /// Takes note that the client cannot read something of a partition. If it goes on behind that by itself, that makes a dead
    /// letter; otherwise the partition stalls.
    fn note_unreadable(&mut self, partition: &TopicPartition, why: &str) {
        if let Some(index) = self.assigned.index_of(partition.partition)
            && self.assigned.list[index].note_unreadable(why)
        {
            let position = self.assigned.list[index].position().map(|it| it.0);
            tracing::error!(%partition, position, why, "a batch cannot be read");
        }
        self.hand_over_all();
    }

    /// Makes a dead letter of everything before `next` that was not consumed, because it cannot be read.
    fn give_up_batch(&mut self, index: usize, next: Offset, why: &str) {
        self.hand_over(index);
        let assignment = &mut self.assigned.list[index];
        let (partition, position) = (assignment.topic_partition(), assignment.position());
        tracing::error!(
            %partition, from = position.map(|it| it.0), to = next.0 - 1, why,
            "these offsets cannot be read; they become one dead letter"
        );
        self.workers.handle(BatchJob::lost(assignment, next, why));
    }

    /// Goes on behind what a search has found to be unreadable.
    fn pass_stalls(&mut self) {
        let Some(Passage { target, to, reason }) = self.stalls.look_after(&self.assigned.list)
        else {
            return;
        };
        let partition = &target.partition;
        let Some(index) = self.assigned.index_of(partition.partition) else {
            return;
        };
        if !self.assigned.list[index].waits_at(&target) {
            return;
        }
        if let Err(error) = self.consumer.go_to(partition, to) {
            let error = in_one_line(&error);
            return tracing::warn!(%partition, error, "cannot go on behind a batch that cannot be read");
        }
        match reason {
            Some(why) => self.give_up_batch(index, to, &why),
            None => {
                tracing::warn!(%partition, offset = %to, "the next batch can be read after all; fetching it again");
            }
        }
    }

    /// Goes on at an offset before the one that was reached. The log lost its last records, and the consumer began again at the
    /// first one: everything from there is handled again.
    fn go_back(&mut self, index: usize, to: Offset) {
        let assignment = &mut self.assigned.list[index];
        let partition = assignment.topic_partition().clone();
        tracing::warn!(
            %partition, %to,
            "the partition ends before the offset that was reached: it was truncated or replaced; handling it again from its start"
        );
        if let Some(restores) = &self.restores {
            restores.give_up(&partition, &mut assignment.view);
        }
        // The batches in flight are of a former assignment now, and do not commit their greater offsets.
        let former = Arc::clone(assignment.state());
        assignment.rewind(self.assignments.assign(&partition), to);
        self.workers.rewind(partition.clone(), to);
        // A transaction that has its offsets already may still be committed, and this commit has to be the last one.
        if !wait_until_idle(&[former], DRAIN) {
            tracing::warn!(%partition, "batches from before are still in flight; they may be committed after the earlier offset");
        }
        if let Err(error) = self.consumer.commit_reset(&partition, to) {
            let error = in_one_line(&error);
            tracing::error!(%partition, error, "cannot commit the earlier offset; after a crash, records may be skipped");
        }
        self.consumer.resume(&partition);
        self.assigned.recount();
        self.set_restored_latch();
    }

    /// Opens the latch of the restores if every view is complete, and closes it otherwise.
    fn set_restored_latch(&self) {
        if let Some(restores) = &self.restores {
            let mut views = self.assigned.list.iter();
            restores.set_latch(views.all(|one| !one.view.is_restoring()));
        }
    }

    fn hand_over_all(&mut self) {
        for index in 0..self.assigned.list.len() {
            self.hand_over(index);
        }
        self.look_after_partitions();
    }

    /// Hands the open batch of a partition to its worker, and pauses the partition if too much of it is in flight then.
    fn hand_over(&mut self, index: usize) {
        let assignment = &mut self.assigned.list[index];
        let Some(job) = BatchJob::take(assignment) else {
            return;
        };
        self.assigned.open -= 1;
        self.workers.handle(job);
        if !assignment.paused && assignment.is_overloaded() {
            assignment.paused = true;
            self.assigned.paused += 1;
            self.consumer.pause(assignment.topic_partition());
        }
    }

    /// Acts on what the workers have finished in the meantime.
    fn look_after_partitions(&mut self) {
        self.resume_ready_partitions();
        self.check_restores();
        self.pass_stalls();
        if self.publisher.is_due() {
            self.publisher.publish(&self.assigned.list);
        }
    }

    fn resume_ready_partitions(&mut self) {
        if self.assigned.paused == 0 {
            return;
        }
        for assignment in &mut self.assigned.list {
            if assignment.paused && assignment.has_caught_up() {
                assignment.paused = false;
                self.assigned.paused -= 1;
                self.consumer.resume(assignment.topic_partition());
            }
        }
    }

    fn check_restores(&mut self) {
        let Some(restores) = &mut self.restores else {
            return;
        };
        let list = &mut self.assigned.list;
        if list.iter().all(|one| one.view.restore().is_none()) {
            return;
        }
        if restores.check(list.iter_mut().map(Assignment::view_progress)) {
            restores.set_latch(list.iter().all(|one| !one.view.is_restoring()));
            self.publisher.change(&self.assigned.list);
        }
    }

    fn assign(&mut self, assigned: &[NewAssignment]) {
        self.metrics.rebalanced();
        let partitions = assigned.iter().map(|one| one.topic_partition.to_string());
        tracing::info!(partitions = ?Vec::from_iter(partitions), "partitions assigned");
        for NewAssignment {
            topic_partition,
            range,
        } in assigned
        {
            let state = self.assignments.assign(topic_partition);
            if let Some(range) = range.filter(|range| range.is_committed) {
                state.set_committed(range.handled);
            }
            let mut view = ViewState::Complete;
            if let Some(restores) = &self.restores {
                view = ViewState::at_start(*range);
                if let Some(restore) = view.restore() {
                    restores.begin(topic_partition, restore);
                    self.workers.restore(&state, restore.start());
                }
            }
            let position = range.map(|range| range.from);
            self.assigned
                .insert(Assignment::new(state, view, position, self.evento));
        }
        self.set_restored_latch();
        self.publisher.change(&self.assigned.list);
        self.readiness.set("group", true);
    }

    /// Forgets partitions whose assignments have [ended](super::partitions::give_up).
    fn revoke(&mut self, revocation: Revocation) {
        let Revocation {
            partitions,
            is_lost: lost,
        } = revocation;
        self.metrics.rebalanced();
        let names = partitions.iter().map(ToString::to_string);
        tracing::info!(partitions = ?Vec::from_iter(names), lost, "partitions revoked");
        if lost {
            // This daemon is not a member of the group until it has joined again.
            self.readiness.set("group", false);
        }
        for partition in partitions {
            self.metrics.revoked(partition.partition);
            self.consumer.forget_pause(&partition);
            self.assigned.remove(&partition);
            self.workers.revoke(partition);
        }
        self.publisher.change(&self.assigned.list);
    }

    fn note_progress(&mut self, progress: &PartitionProgress) {
        let Some(index) = self.assigned.index_of(progress.topic_partition.partition) else {
            return;
        };
        let assignment = &mut self.assigned.list[index];
        if let Some(committed) = progress.committed {
            assignment.state().set_committed(committed);
        }
        if let Some(end) = progress.end {
            assignment.set_end(end);
        }
        if let Some(to) = assignment.offset_to_skip_to() {
            self.workers.handle(BatchJob::skip(assignment, to));
        }
        if let Some(lag) = assignment.lag() {
            self.metrics.lag(progress.topic_partition.partition, lag);
        }
        if assignment.note_fetch(progress.fetching, Instant::now()) {
            self.stalls.report(assignment);
        }
    }

    fn note_responding(&self, responding: bool) {
        self.readiness.set(RESPONDING, responding);
        match responding {
            true => tracing::info!("the brokers answer again"),
            false => tracing::warn!(
                "a broker has stopped answering; its partitions wait until it goes on"
            ),
        }
    }

    fn note_topic(&self, exists: bool) {
        match exists {
            true => self.topics.clear_missing(self.consumer.topic()),
            false => self.topics.note_missing(self.consumer.topic(), MISSING),
        }
    }

    /// Rewinds those partitions that are assigned, and replies with one report per partition.
    fn rewind(&mut self, RewindCommand { targets, reply }: RewindCommand) {
        // What was polled is handled first, or it would be skipped if the partition stays where it is.
        for &partition in targets.keys() {
            if let Some(index) = self.assigned.index_of(partition) {
                self.hand_over(index);
            }
        }
        let rewinder = Rewinder {
            consumer: &self.consumer,
            workers: &self.workers,
            assignments: &self.assignments,
        };
        let assigned = self.assigned.list.iter_mut().filter_map(|assignment| {
            let partition = assignment.topic_partition().partition;
            Some((assignment, *targets.get(&partition)?))
        });
        let mut reports = rewinder.rewind(&mut Vec::from_iter(assigned));
        let others = targets.into_keys();
        let others = others.filter(|&partition| self.assigned.index_of(partition).is_none());
        reports.extend(others.map(|other| PartitionReport::new(other, not_assigned())));
        reports.sort_by_key(|report| report.partition);
        self.assigned.recount();
        self.publisher.publish(&self.assigned.list);
        // The requester may be gone; the partitions are rewound all the same.
        let _ = reply.send(reports);
    }
}
