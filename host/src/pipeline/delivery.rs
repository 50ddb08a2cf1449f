//! Delivering the effects of batches: producing what was emitted, what left the handler chain and the dead letters, group by
//! group, until the broker has acknowledged all of it; and the treatment of records that the broker rejects.

use std::{collections::BTreeSet, time::Duration};

use super::{
    batch::BatchJob,
    config::{Guarantee, Output},
    delivery_queue::{DeliveryQueue, Outgoing, RecordPlace},
    effects::{Effects, Kept},
    failpoint::{Failpoint, reached},
    record_group::JudgedGroup,
    shutdown::{ShutdownSignal, ShuttingDown},
    verdict::Verdict,
};
use crate::{
    event::{Batch, DeadLetterReason, FailureKind, Offset},
    kafka::{OrderedProducer, Permission, ProduceError, ProducedTopics, Refusals},
    telemetry::metrics::Metrics,
};

/// The pause before records that the broker did not acknowledge are produced again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What a missing permission does to a partition.
pub(super) const PARTITION_WAITS: &str = "its partition waits until then";

/// What a missing permission does to records for a topic.
const RECORDS_DIE: &str = "what would go there becomes dead letters until then";

/// Delivers the effects of batches.
pub(super) struct Deliverer {
    pub(super) guarantee: Guarantee,
    pub(super) dead_letter_topic: String,
    pub(super) output: Option<Output>,
    pub(super) metrics: Metrics,
    pub(super) refusals: Refusals,
    pub(super) topics: ProducedTopics,
    pub(super) shutdown: ShutdownSignal,
}

/// The state of a batch after an attempt to deliver it, or of a group of its records, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DeliveryStatus {
    /// The broker has accepted all of it.
    Done,
    /// It is known what to do about what was rejected: to be sent again at once.
    Resolved,
    /// Some records were not acknowledged: to be sent again after a pause.
    Unacknowledged,
    /// A record waits for a topic that is missing or rejects it. Other partitions need not wait for that.
    Stuck,
}

impl Deliverer {
    /// Produces the effects of batches, and produces again what was not acknowledged, for as long as the broker is gone. Their
    /// partitions wait meanwhile. Removes the batches with a record that is stuck, with those behind them in their partitions,
    /// and returns them.
    pub(super) fn deliver(
        &self,
        producer: &OrderedProducer,
        jobs: &mut Vec<BatchJob>,
    ) -> Result<Vec<BatchJob>, ShuttingDown> {
        start_queues(jobs);
        let mut stuck = Vec::new();
        let mut tries = 0;
        loop {
            match self.produce(producer, jobs)? {
                DeliveryStatus::Done => break,
                DeliveryStatus::Resolved => tries = 0,
                DeliveryStatus::Unacknowledged => {
                    self.pause(tries)?;
                    tries += 1;
                }
                DeliveryStatus::Stuck => stuck.append(&mut remove_stuck(jobs)),
            }
        }
        reached(Failpoint::Acknowledged);
        Ok(stuck)
    }

    /// Pauses before another try, after this many. While a permission is missing, an operator has to grant it first, and
    /// the pauses get longer.
    pub(super) fn pause(&self, tries: u32) -> Result<(), ShuttingDown> {
        let factor = match self.refusals.now().is_empty() {
            true => 1,
            false => 1 << tries.min(4),
        };
        self.shutdown.sleep(RETRY_PAUSE * factor)
    }

    /// Produces what is not acknowledged, until all of it is or something is rejected.
    pub(super) fn produce(
        &self,
        producer: &OrderedProducer,
        jobs: &mut [BatchJob],
    ) -> Result<DeliveryStatus, ShuttingDown> {
        let mut status = DeliveryStatus::Done;
        while status == DeliveryStatus::Done && jobs.iter().any(|job| !job.queue.is_done()) {
            for job in jobs.iter_mut() {
                job.is_stuck = self.is_topic_missing(producer, job);
            }
            if jobs.iter().any(|job| job.is_stuck) {
                return Ok(DeliveryStatus::Stuck);
            }
            let group = self.send_group(producer, jobs);
            let missing = self.wait_for(producer, jobs, &group)?;
            let judged = self.judge(producer, jobs, group)?;
            if let Some(missing) = &missing {
                self.note_missing(jobs, &judged.places, missing);
            }
            status = self.resolve(producer, jobs, judged)?;
            if missing.is_some() {
                return Ok(DeliveryStatus::Stuck);
            }
        }
        Ok(status)
    }

    /// Takes note of the batches with a record in this group whose topic is missing.
    fn note_missing(&self, jobs: &mut [BatchJob], group: &[RecordPlace], missing: &str) {
        for place in group {
            if self.topic_at(jobs, *place) == missing {
                let job = &mut jobs[place.job];
                job.missing_topic = Some(missing.to_owned());
                job.is_stuck = true;
            }
        }
    }

    /// Returns whether the next record is for a topic that is missing. A topic that no longer is gets looked up.
    fn is_topic_missing(&self, producer: &OrderedProducer, job: &mut BatchJob) -> bool {
        if let Some(topic) = &job.missing_topic {
            if self.topics.is_missing(topic) {
                return true;
            }
            producer.refresh(topic);
            job.missing_topic = None;
        }
        let topic = self.next_topic(job);
        let missing = topic.filter(|topic| self.topics.is_missing(topic));
        job.missing_topic = missing.map(str::to_owned);
        job.missing_topic.is_some()
    }

    /// Returns the topic of the next record that a batch produces.
    fn next_topic<'a>(&'a self, job: &'a BatchJob) -> Option<&'a str> {
        let next = job.queue.next()?;
        Some(self.topic(&job.effects, next.outgoing))
    }

    /// Does what the verdicts about a group require.
    fn resolve(
        &self,
        producer: &OrderedProducer,
        jobs: &mut [BatchJob],
        judged: JudgedGroup,
    ) -> Result<DeliveryStatus, ShuttingDown> {
        for (topic, size) in &judged.crowded {
            self.shutdown.wait_for(producer.shrink(topic, *size))?;
        }
        let is_suspect = |verdict: &&Verdict| **verdict == Verdict::Suspect;
        let suspects = judged.verdicts.iter().filter(is_suspect).count();
        let (mut failed, mut first_error) = (0, None);
        let mut status = DeliveryStatus::Done;
        if judged.verdicts.is_empty() {
            self.set_accepted(jobs, judged.places);
            return Ok(status);
        }
        for (place, verdict) in judged.places.into_iter().zip(judged.verdicts) {
            let job = &mut jobs[place.job];
            status = status.max(match verdict {
                Verdict::Accepted => {
                    self.set_accepted(jobs, [place]);
                    DeliveryStatus::Done
                }
                Verdict::Suspect => {
                    job.queue.halve(place, suspects);
                    DeliveryStatus::Resolved
                }
                Verdict::Crowded | Verdict::Innocent => DeliveryStatus::Resolved,
                Verdict::Guilty(error) => {
                    let resolved = self.resolve_rejection(job, place, &error);
                    job.is_stuck |= resolved == DeliveryStatus::Stuck;
                    resolved
                }
                Verdict::Later(error) => {
                    match error.permission("") {
                        Some(permission) => self.refusals.refused(permission, PARTITION_WAITS),
                        None => {
                            failed += 1;
                            first_error.get_or_insert(error);
                        }
                    }
                    DeliveryStatus::Unacknowledged
                }
            });
        }
        if let Some(error) = first_error {
            tracing::warn!(%error, records = failed, "records were not acknowledged; producing them again");
        }
        Ok(status)
    }

    /// Decides what to do about a record that the broker rejects: a dead letter of its source takes its place. A dead letter
    /// that is rejected is produced again with less in it.
    pub(super) fn resolve_rejection(
        &self,
        job: &mut BatchJob,
        place: RecordPlace,
        error: &ProduceError,
    ) -> DeliveryStatus {
        let pending = job.queue.at(place);
        let topic = self.topic(&job.effects, pending.outgoing);
        let permission = error.permission(topic);
        if let Some(permission) = permission.clone()
            && self.waits_for_permission()
        {
            self.refusals.refused(permission, PARTITION_WAITS);
            return DeliveryStatus::Unacknowledged;
        }
        let reason = match pending.outgoing {
            Outgoing::Emitted(emission, _) => {
                let mut reason = rejection(FailureKind::Emit, topic, error);
                let (name, digest) = job.effects.emitted[emission].handler.clone();
                (reason.handler, reason.digest) = (Some(name), Some(digest));
                reason
            }
            Outgoing::Left(_) => rejection(FailureKind::OutputTopic, topic, error),
            Outgoing::Dead(letter, kept) => {
                if let Some(permission) = permission {
                    self.refusals.refused(permission, PARTITION_WAITS);
                    return DeliveryStatus::Unacknowledged;
                }
                let (kept, status) = self.reduce_letter(job, pending.source, kept, error);
                job.queue.set_kept(place, letter, kept);
                return status;
            }
        };
        if let Some(permission) = permission {
            self.refusals.refused(permission, RECORDS_DIE);
        }
        job.effects.dead.push((pending.source, reason));
        job.queue.replace(place, job.effects.dead.len() - 1);
        DeliveryStatus::Resolved
    }

    /// Returns how much a dead letter keeps from now on that its topic rejected.
    fn reduce_letter(
        &self,
        job: &BatchJob,
        offset: Offset,
        kept: Kept,
        error: &ProduceError,
    ) -> (Kept, DeliveryStatus) {
        let topic = &self.dead_letter_topic;
        if let Some(less) = kept.less(error) {
            // A partition does not wait until its dead-letter topic takes more.
            tracing::warn!(topic, %offset, kept = ?less, %error, "a topic rejects a dead letter; leaving a part of it out");
            return (less, DeliveryStatus::Resolved);
        }
        let partition = job.topic_partition();
        let why = format!(
            "it rejects the dead letter of {partition} at offset {offset}, so that partition waits: {error}"
        );
        self.topics.note_rejection(topic, partition, &why);
        (kept.with_timestamp(), DeliveryStatus::Stuck)
    }

    /// Counts the dead letters of a batch whose effects have all happened.
    pub(super) fn count(&self, job: &BatchJob) {
        self.topics.note_delivered(job.topic_partition());
        for outgoing in job.queue.outgoing() {
            if let Outgoing::Dead(letter, _) = outgoing {
                match &job.effects.dead[letter].1.handler {
                    Some(name) => self.metrics.handler(name).dead_lettered(1),
                    None => self.metrics.unreadable(1),
                }
            }
        }
    }

    /// The topic of a record.
    pub(super) fn topic<'a>(&'a self, effects: &'a Effects, outgoing: Outgoing) -> &'a str {
        match outgoing {
            Outgoing::Emitted(emission, _) => &effects.emitted[emission].topic,
            Outgoing::Left(_) => &self.left(effects).0.topic,
            Outgoing::Dead(..) => &self.dead_letter_topic,
        }
    }

    pub(super) fn left<'a>(&'a self, effects: &'a Effects) -> (&'a Output, &'a Batch) {
        let left = self.output.as_ref().zip(effects.left.as_deref());
        left.expect("records that leave the chain are kept only if there is an output topic")
    }

    /// Returns whether records wait for a missing permission. In a transaction the broker does not always say which topic it
    /// refuses, so no record becomes a dead letter for that.
    fn waits_for_permission(&self) -> bool {
        self.guarantee == Guarantee::ExactlyOnce
    }

    /// The permission to write to every topic that these batches produce to.
    pub(super) fn permission<'b>(&'b self, jobs: &'b [BatchJob]) -> Permission {
        let topics = |job: &'b BatchJob| {
            let outgoing = job.queue.outgoing();
            outgoing.map(|outgoing| self.topic(&job.effects, outgoing))
        };
        let topics: BTreeSet<_> = jobs.iter().flat_map(topics).collect();
        let topics: Vec<_> = topics.into_iter().collect();
        match *topics {
            [only] => Permission::Write(only.to_owned()),
            _ => Permission::WriteAny(topics.join(", ")),
        }
    }

    /// Takes note that the broker has accepted records.
    fn set_accepted(&self, jobs: &mut [BatchJob], places: impl IntoIterator<Item = RecordPlace>) {
        for place in places {
            jobs[place.job].queue.set_accepted(place);
            if self.refusals.are_there_any() {
                let topic = self.topic_at(jobs, place).to_owned();
                self.refusals.granted(&Permission::Write(topic));
                self.refusals.granted(&Permission::Produce);
            }
        }
    }
}

/// Prepares what batches produce, unless that was done before.
pub(super) fn start_queues(jobs: &mut [BatchJob]) {
    for job in jobs.iter_mut().filter(|job| !job.queue.is_started()) {
        job.queue = DeliveryQueue::of(&job.effects);
    }
}

/// Removes the batches that are stuck, and those behind them in their partitions, and returns them.
fn remove_stuck(jobs: &mut Vec<BatchJob>) -> Vec<BatchJob> {
    let mut stuck = Vec::<BatchJob>::new();
    for job in std::mem::take(jobs) {
        let is_behind = |other: &BatchJob| other.topic_partition() == job.topic_partition();
        match job.is_stuck || stuck.iter().any(is_behind) {
            true => stuck.push(job),
            false => jobs.push(job),
        }
    }
    stuck
}

/// The reason of a dead letter whose record led to one that a topic rejects.
fn rejection(kind: FailureKind, topic: &str, error: &ProduceError) -> DeadLetterReason {
    let message = format!("cannot produce a record to the topic {topic}: {error}");
    DeadLetterReason {
        attempts: Some(1),
        ..DeadLetterReason::new(kind, message)
    }
}
