//! Records that the settings of their topic exclude become dead letters before they are produced in a transaction. The broker would
//! reject them with all else in the transaction, which would have to be aborted and begin again for each of them.

use std::collections::BTreeSet;

use super::{
    batch::BatchJob,
    delivery::Deliverer,
    delivery_queue::{Outgoing, RecordPlace},
    record_group::headers,
    shutdown::ShuttingDown,
};
use crate::kafka::{OrderedProducer, ProduceError};

impl Deliverer {
    /// Puts dead letters in the place of the records that their topics certainly reject, by settings that were read a moment ago.
    /// Whatever else a topic rejects is noticed when it is produced.
    pub(super) fn exclude_records(
        &self,
        producer: &OrderedProducer,
        jobs: &mut [BatchJob],
    ) -> Result<(), ShuttingDown> {
        let rejecting = self.rejecting_topics(producer, jobs)?;
        if rejecting.is_empty() {
            return Ok(());
        }
        // Dead letters come second, since records become such.
        for is_letter in [false, true] {
            for of in 0..jobs.len() {
                for place in Vec::from_iter(jobs[of].queue.waiting_places(of, is_letter)) {
                    if rejecting.contains(self.topic_at(jobs, place)) {
                        self.exclude(producer, &mut jobs[of], place);
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the topics that exclude any of the records, of those whose settings are known well enough.
    fn rejecting_topics(
        &self,
        producer: &OrderedProducer,
        jobs: &[BatchJob],
    ) -> Result<BTreeSet<String>, ShuttingDown> {
        let mut suspected = BTreeSet::new();
        for (of, job) in jobs.iter().enumerate() {
            let records = job.queue.waiting_places(of, false);
            for place in records.chain(job.queue.waiting_places(of, true)) {
                let topic = self.topic_at(jobs, place);
                if self.exclusion(producer, job, place).is_some() && !suspected.contains(topic) {
                    suspected.insert(topic.to_owned());
                }
            }
        }
        let mut rejecting = BTreeSet::new();
        for topic in suspected {
            if self
                .shutdown
                .wait_for(producer.learn_unless_fresh(&topic))?
            {
                rejecting.insert(topic);
            }
        }
        Ok(rejecting)
    }

    /// Puts a dead letter in the place of a record that its topic excludes, or leaves out parts of a dead letter until its topic
    /// does not exclude it any more. One of which nothing can be left out is produced as it is.
    fn exclude(&self, producer: &OrderedProducer, job: &mut BatchJob, place: RecordPlace) {
        while let Some(error) = self.exclusion(producer, job, place) {
            let is_least = match job.queue.at(place).outgoing {
                Outgoing::Dead(_, kept) => kept.less(&error).is_none(),
                Outgoing::Emitted(..) | Outgoing::Left(_) => false,
            };
            if is_least {
                return;
            }
            self.resolve_rejection(job, place, &error);
        }
    }

    /// Returns why the topic of a record that waits certainly rejects it.
    pub(super) fn exclusion(
        &self,
        producer: &OrderedProducer,
        job: &BatchJob,
        place: RecordPlace,
    ) -> Option<ProduceError> {
        let pending = job.queue.at(place);
        if !pending.is_waiting() {
            return None;
        }
        let topic = self.topic(&job.effects, pending.outgoing);
        let (record, added) = self.record(job, pending);
        producer.exclusion(topic, &record, headers(&added))
    }
}
