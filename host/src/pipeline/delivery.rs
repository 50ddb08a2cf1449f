//! Delivering the effects of a batch: producing what was emitted, what left the handler chain and the dead letters, until the
//! broker has acknowledged all of it; and the treatment of records that the broker refuses for their size or for lack of a
//! permission.

use std::{collections::BTreeSet, time::Duration};

use super::{
    batch::BatchJob,
    config::{Guarantee, Output},
    effects::{DeliveryQueue, Effects, Kept, Outgoing, PendingRecord, dead_letter_headers},
    failpoint::{Failpoint, reached},
    shutdown::{ShutdownSignal, ShuttingDown},
};
use crate::{
    event::{Batch, DeadLetterReason, FailureKind, Header, Offset},
    kafka::{Delivery, Permission, ProduceError, Producer, Refusals},
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
    pub(super) shutdown: ShutdownSignal,
}

/// Records that were sent, by their index in the queue.
type Sent = Vec<(usize, Result<Delivery, ProduceError>)>;

impl Deliverer {
    /// Produces the effects of a batch, and produces again what was not acknowledged, for as long as the broker is gone. The
    /// partition waits meanwhile.
    pub(super) fn deliver(
        &self,
        producer: &Producer,
        job: &mut BatchJob,
    ) -> Result<(), ShuttingDown> {
        job.queue = DeliveryQueue::of(&job.effects);
        for tries in 0.. {
            self.produce(producer, job)?;
            if job.queue.is_done() {
                break;
            }
            self.pause(tries)?;
        }
        reached(Failpoint::Acknowledged);
        self.count(job);
        Ok(())
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

    /// Produces once what is not acknowledged.
    pub(super) fn produce(
        &self,
        producer: &Producer,
        job: &mut BatchJob,
    ) -> Result<(), ShuttingDown> {
        let mut sent = Vec::with_capacity(job.queue.0.len());
        for place in 0..job.queue.0.len() {
            let next = job.queue.0[place];
            if next.acknowledged {
                continue;
            }
            if next.alone {
                self.wait_for(job, &mut sent)?;
            }
            let delivery = loop {
                match self.enqueue(producer, job, next) {
                    // Records that come later must not overtake this one.
                    Err(ProduceError::QueueFull) if sent.is_empty() => self.pause(0)?,
                    Err(ProduceError::QueueFull) => self.wait_for(job, &mut sent)?,
                    delivery => break delivery,
                }
            };
            sent.push((place, delivery));
            if next.alone {
                self.wait_for(job, &mut sent)?;
            }
        }
        reached(Failpoint::Produced);
        self.wait_for(job, &mut sent)
    }

    /// Waits for the acknowledgements, and decides what to do about the records that were not acknowledged.
    fn wait_for(&self, job: &mut BatchJob, sent: &mut Sent) -> Result<(), ShuttingDown> {
        let (mut failed, mut first_error) = (0, None);
        for (place, delivery) in sent.drain(..) {
            let delivered = match delivery {
                Ok(delivery) => self.shutdown.wait_for(delivery)?,
                Err(error) => Err(error),
            };
            let (effects, pending) = (&mut job.effects, &mut job.queue.0[place]);
            match delivered {
                Ok(_) => {
                    pending.acknowledged = true;
                    self.note_permitted(effects, pending.outgoing);
                }
                Err(ProduceError::TooLarge) if !pending.alone => pending.alone = true,
                Err(ProduceError::NotPermitted) if self.waits_for_permission() => {
                    let topic = self.topic(effects, pending.outgoing).to_owned();
                    self.refusals
                        .refused(Permission::Write(topic), PARTITION_WAITS);
                }
                Err(error) if error.is_for_good() => {
                    pending.outgoing = self.replace_refused(effects, *pending, &error);
                }
                Err(error) => {
                    if let Some(permission) = error.permission("") {
                        self.refusals.refused(permission, PARTITION_WAITS);
                        continue;
                    }
                    failed += 1;
                    first_error.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first_error {
            tracing::warn!(%error, records = failed, "records were not acknowledged; producing them again");
        }
        Ok(())
    }

    fn enqueue(
        &self,
        producer: &Producer,
        job: &BatchJob,
        pending: PendingRecord,
    ) -> Result<Delivery, ProduceError> {
        let effects = &job.effects;
        match pending.outgoing {
            Outgoing::Emitted(emission, record) => {
                let emitted = &effects.emitted[emission];
                let record = emitted.records.get(record);
                producer.enqueue_to(&emitted.topic, None, &record, [])
            }
            Outgoing::Left(record) => {
                let (output, left) = self.left(effects);
                let record = left.record(record);
                let partition = output.partition(left.partition(), &record);
                producer.enqueue_to(&output.topic, partition, &record, [])
            }
            Outgoing::Dead(letter, kept) => {
                let (offset, reason) = &effects.dead[letter];
                let headers = dead_letter_headers(job.topic_partition(), *offset, reason, kept);
                let headers = headers.iter().map(|(name, value)| Header {
                    name: name.as_bytes(),
                    value: Some(value.as_bytes()),
                });
                let record = kept.of(job.original(pending.source));
                producer.enqueue_to(&self.dead_letter_topic, None, &record, headers)
            }
        }
    }

    /// Counts the dead letters of a batch whose effects have all happened.
    pub(super) fn count(&self, job: &BatchJob) {
        for pending in &job.queue.0 {
            if let Outgoing::Dead(letter, _) = pending.outgoing {
                match &job.effects.dead[letter].1.handler {
                    Some(name) => self.metrics.handler(name).dead_lettered(1),
                    None => self.metrics.unreadable(1),
                }
            }
        }
    }

    /// The topic of a record.
    fn topic<'a>(&'a self, effects: &'a Effects, outgoing: Outgoing) -> &'a str {
        match outgoing {
            Outgoing::Emitted(emission, _) => &effects.emitted[emission].topic,
            Outgoing::Left(_) => &self.left(effects).0.topic,
            Outgoing::Dead(..) => &self.dead_letter_topic,
        }
    }

    fn left<'a>(&'a self, effects: &'a Effects) -> (&'a Output, &'a Batch) {
        let left = self.output.as_ref().zip(effects.left.as_deref());
        left.expect("records that leave the chain are kept only if there is an output topic")
    }

    /// Returns what is produced in place of a record that the broker refuses for good: a dead letter of its source. A dead
    /// letter that is refused is produced again, with less in it if it was too large.
    fn replace_refused(
        &self,
        effects: &mut Effects,
        pending: PendingRecord,
        error: &ProduceError,
    ) -> Outgoing {
        let outgoing = pending.outgoing;
        let permission = error.permission(self.topic(effects, outgoing));
        let is_permission_missing = permission.is_some();
        if let Some(permission) = permission {
            let consequence = match outgoing {
                Outgoing::Emitted(..) | Outgoing::Left(_) => RECORDS_DIE,
                Outgoing::Dead(..) => PARTITION_WAITS,
            };
            self.refusals.refused(permission, consequence);
        }
        match outgoing {
            Outgoing::Emitted(emission, _) => {
                let emitted = &effects.emitted[emission];
                let mut reason = refusal(FailureKind::Emit, &emitted.topic, error);
                let (name, digest) = emitted.handler.clone();
                (reason.handler, reason.digest) = (Some(name), Some(digest));
                add_dead_letter(effects, pending.source, reason)
            }
            Outgoing::Left(_) => {
                let topic = &self.left(effects).0.topic;
                let reason = refusal(FailureKind::OutputTopic, topic, error);
                add_dead_letter(effects, pending.source, reason)
            }
            Outgoing::Dead(letter, kept) => {
                let less = match error {
                    ProduceError::TooLarge => kept.less(),
                    _ => None,
                };
                self.log_refused_letter(pending.source, less, is_permission_missing, error);
                Outgoing::Dead(letter, less.unwrap_or(kept))
            }
        }
    }

    fn log_refused_letter(
        &self,
        offset: Offset,
        less: Option<Kept>,
        is_permission_missing: bool,
        error: &ProduceError,
    ) {
        let topic = &self.dead_letter_topic;
        match less {
            // A partition does not wait until its dead-letter topic takes larger records.
            Some(kept) => {
                tracing::warn!(topic, %offset, ?kept, "a dead letter is larger than its topic allows; leaving a part of it out");
            }
            // The missing permission is logged already.
            None if is_permission_missing => {}
            None => {
                tracing::error!(%error, topic, %offset, "the broker refuses a dead letter; its partition waits until the broker takes it");
            }
        }
    }

    /// Returns whether records wait for a missing permission. In a transaction the broker does not always say which topic it
    /// refuses, so no record becomes a dead letter for that.
    fn waits_for_permission(&self) -> bool {
        self.guarantee == Guarantee::ExactlyOnce
    }

    /// The permission to write to every topic that these batches produce to.
    pub(super) fn permission<'b>(&'b self, jobs: &'b [BatchJob]) -> Permission {
        let topics = |job: &'b BatchJob| {
            let pending = job.queue.0.iter();
            pending.map(|pending| self.topic(&job.effects, pending.outgoing))
        };
        let topics: BTreeSet<_> = jobs.iter().flat_map(topics).collect();
        let topics: Vec<_> = topics.into_iter().collect();
        match *topics {
            [only] => Permission::Write(only.to_owned()),
            _ => Permission::WriteAny(topics.join(", ")),
        }
    }

    fn note_permitted(&self, effects: &Effects, outgoing: Outgoing) {
        if self.refusals.are_there_any() {
            let topic = self.topic(effects, outgoing).to_owned();
            self.refusals.granted(&Permission::Write(topic));
            self.refusals.granted(&Permission::Produce);
        }
    }
}

/// The reason of a dead letter whose record led to one that a topic refuses.
fn refusal(kind: FailureKind, topic: &str, error: &ProduceError) -> DeadLetterReason {
    let message = format!("cannot produce a record to the topic {topic}: {error}");
    DeadLetterReason {
        attempts: Some(1),
        ..DeadLetterReason::new(kind, message)
    }
}

fn add_dead_letter(effects: &mut Effects, offset: Offset, reason: DeadLetterReason) -> Outgoing {
    effects.dead.push((offset, reason));
    Outgoing::Dead(effects.dead.len() - 1, Kept::Whole)
}
