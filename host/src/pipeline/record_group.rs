//! Sending a group of records of some batches, and judging what the broker did with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    batch::BatchJob,
    delivery::Deliverer,
    delivery_queue::{Outgoing, PendingRecord, QueuePlace, next_group},
    effects::dead_letter_headers,
    failpoint::{Failpoint, reached},
    shutdown::{PATIENCE, ShuttingDown},
    verdict::{SentResult, Verdict, judge, single_out},
};
use crate::{
    event::{Header, RecordRef},
    kafka::{OrderedProducer, ProduceError, ProduceFailure, SentRecord},
};

/// How long a group may take before it is checked whether its topics exist.
const SLOW: Duration = Duration::from_secs(1);

/// A group of records that is being sent.
pub(super) struct RecordGroup {
    /// The place of each record, with the index of its batch.
    places: Vec<(usize, QueuePlace)>,
    sent: Vec<Result<SentRecord, ProduceFailure>>,
}

/// What a group came to.
pub(super) struct JudgedGroup {
    /// The place of each record, with the index of its batch.
    pub(super) places: Vec<(usize, QueuePlace)>,
    pub(super) verdicts: Vec<Verdict>,
    /// Topics that rejected a batch for its size, and most bytes that it had.
    pub(super) crowded: BTreeMap<String, usize>,
}

impl Deliverer {
    /// Enqueues the next group of records. It ends early if the queue of the producer is full.
    pub(super) fn send_group(&self, producer: &OrderedProducer, jobs: &[BatchJob]) -> RecordGroup {
        let mut filled = BTreeMap::<&str, (usize, usize)>::new();
        let queues = jobs.iter().map(|job| &job.queue);
        let places = next_group(queues, |of, pending| {
            let job = &jobs[of];
            let topic = self.topic(&job.effects, pending.outgoing);
            let (records, bytes) = filled.entry(topic).or_default();
            *records += 1;
            *bytes += self.size_in_batch(job, pending);
            *records <= producer.max_records(topic) && *bytes <= producer.max_batch_size(topic)
        });
        let mut sent = Vec::with_capacity(places.len());
        for (of, place) in &places {
            let job = &jobs[*of];
            match self.enqueue(producer, job, job.queue.at(*place)) {
                Err(ProduceError::QueueFull) if !sent.is_empty() => break,
                enqueued => sent.push(enqueued.map_err(|error| ProduceFailure {
                    // An empty queue that has no room for a record never has.
                    error: match error {
                        ProduceError::QueueFull => ProduceError::TooLarge,
                        error => error,
                    },
                    partition: None,
                })),
            }
        }
        producer.start_sending();
        reached(Failpoint::Produced);
        RecordGroup { places, sent }
    }

    /// Waits until the broker has accepted or rejected each record of a group. The group is given up when one of its topics
    /// is missing, which is returned then.
    pub(super) fn wait_for(
        &self,
        producer: &OrderedProducer,
        jobs: &[BatchJob],
        group: &RecordGroup,
    ) -> Result<Option<String>, ShuttingDown> {
        let mut asked = Instant::now();
        let mut shutting_down = None::<Instant>;
        while !producer.finish_group() {
            if !self.shutdown.is_pending() {
                let since = *shutting_down.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return Err(ShuttingDown);
                }
            }
            if asked.elapsed() < SLOW {
                continue;
            }
            asked = Instant::now();
            let topics = group.places.iter().map(|(of, place)| {
                let job = &jobs[*of];
                self.topic(&job.effects, job.queue.at(*place).outgoing)
            });
            let topics: BTreeSet<_> = topics.collect();
            if let Some(topic) = topics.iter().find(|topic| self.topics.is_missing(topic)) {
                producer.give_up();
                return Ok(Some((*topic).to_owned()));
            }
            self.topics.request_check(topics);
        }
        Ok(None)
    }

    /// Takes the results of a group, and decides what each of them means.
    pub(super) fn judge(
        &self,
        producer: &OrderedProducer,
        jobs: &[BatchJob],
        group: RecordGroup,
    ) -> Result<JudgedGroup, ShuttingDown> {
        let RecordGroup { mut places, sent } = group;
        places.truncate(sent.len());
        let mut results = Vec::with_capacity(sent.len());
        for ((of, place), sent) in places.iter().zip(sent) {
            let delivered = match sent {
                Ok(sent) => self.shutdown.wait_for(sent)?,
                Err(failure) => Err(failure),
            };
            let (partition, error) = match delivered {
                Ok(delivered) => (Some(delivered.partition), None),
                Err(failure) => (failure.partition, Some(failure.error)),
            };
            let job = &jobs[*of];
            results.push(SentResult {
                topic: self.topic(&job.effects, job.queue.at(*place).outgoing),
                partition,
                error,
            });
        }
        let mut verdicts = judge(&results);
        let is_suspect = |(_, verdict): &(_, &Verdict)| **verdict == Verdict::Suspect;
        let suspects = results.iter().zip(&verdicts).filter(is_suspect);
        let suspected: BTreeSet<_> = suspects.map(|(result, _)| result.topic).collect();
        if !suspected.is_empty() {
            for topic in suspected {
                self.shutdown.wait_for(producer.learn(topic))?;
            }
            single_out(&mut verdicts, &results, |i| {
                let (of, place) = places[i];
                let (record, _) = self.record(&jobs[of], jobs[of].queue.at(place));
                producer.rejects(results[i].topic, &record)
            });
        }
        let mut topics = BTreeSet::new();
        let mut crowded = BTreeMap::new();
        for ((of, place), (result, verdict)) in places.iter().zip(results.iter().zip(&verdicts)) {
            if !matches!(verdict, Verdict::Later(_)) {
                topics.insert(result.topic);
            }
            if *verdict == Verdict::Crowded {
                let job = &jobs[*of];
                let size = self.size_in_batch(job, job.queue.at(*place));
                *crowded.entry(result.topic.to_owned()).or_insert(0) += size;
            }
        }
        for topic in topics {
            producer.set_known(topic);
        }
        Ok(JudgedGroup {
            places,
            verdicts,
            crowded,
        })
    }

    fn size_in_batch(&self, job: &BatchJob, pending: PendingRecord) -> usize {
        let (record, added) = self.record(job, pending);
        OrderedProducer::size_in_batch(&record, headers(&added))
    }

    fn enqueue(
        &self,
        producer: &OrderedProducer,
        job: &BatchJob,
        pending: PendingRecord,
    ) -> Result<SentRecord, ProduceError> {
        let topic = self.topic(&job.effects, pending.outgoing);
        let (record, added) = self.record(job, pending);
        let partition = match pending.outgoing {
            Outgoing::Left(_) => {
                let (output, left) = self.left(&job.effects);
                output.partition(left.partition(), &record)
            }
            Outgoing::Emitted(..) | Outgoing::Dead(..) => None,
        };
        producer.enqueue(topic, partition, &record, headers(&added))
    }

    /// Returns a record to produce, and the headers that are added to its own.
    fn record<'j>(&'j self, job: &'j BatchJob, pending: PendingRecord) -> (RecordRef<'j>, Added) {
        let effects = &job.effects;
        match pending.outgoing {
            Outgoing::Emitted(emission, record) => {
                (effects.emitted[emission].records.get(record), Vec::new())
            }
            Outgoing::Left(record) => (self.left(effects).1.record(record), Vec::new()),
            Outgoing::Dead(letter, kept) => {
                let (offset, reason) = &effects.dead[letter];
                let original = job.original(pending.source);
                let position = (*offset, original.timestamp);
                let added = dead_letter_headers(job.topic_partition(), position, reason, kept);
                (kept.of(original), added)
            }
        }
    }
}

/// The headers that are added to a record.
type Added = Vec<(&'static str, String)>;

fn headers(added: &Added) -> impl Iterator<Item = Header<'_>> {
    added.iter().map(|(name, value)| Header {
        name: name.as_bytes(),
        value: Some(value.as_bytes()),
    })
}
