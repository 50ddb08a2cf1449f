//! Sending a group of records of some batches, and judging what the broker did with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    batch::BatchJob,
    config::Guarantee,
    delivery::Deliverer,
    delivery_queue::{Outgoing, PendingRecord, RecordPlace, next_group},
    effects::dead_letter_headers,
    failpoint::{Failpoint, reached},
    shutdown::{PATIENCE, ShuttingDown},
    verdict::{SentResult, Verdict, judge, single_out},
};
use crate::{
    event::{Header, RecordRef},
    kafka::{OrderedProducer, ProduceError, ProduceFailure},
};

/// How long a group may take before it is checked whether its topics exist.
const SLOW: Duration = Duration::from_secs(1);

/// A group of records that is being sent.
pub(super) struct RecordGroup {
    /// The records that are enqueued.
    places: Vec<RecordPlace>,
    /// The record behind them that could not be enqueued, if there is one.
    not_enqueued: Option<(RecordPlace, ProduceError)>,
}

/// What a group came to.
pub(super) struct JudgedGroup {
    pub(super) places: Vec<RecordPlace>,
    /// What to do about each record, or nothing if the broker has accepted all of them.
    pub(super) verdicts: Vec<Verdict>,
    /// Topics that rejected a batch for its size, and most bytes that it had.
    pub(super) crowded: BTreeMap<String, usize>,
}

/// How much of a group is for one topic, and how much may be.
struct TopicShare {
    records: usize,
    bytes: usize,
    max_records: usize,
    max_bytes: usize,
}

impl Deliverer {
    /// Enqueues the next group of records. It ends early if the queue of the producer is full, or a record cannot be enqueued.
    pub(super) fn send_group(&self, producer: &OrderedProducer, jobs: &[BatchJob]) -> RecordGroup {
        let mut shares = BTreeMap::<&str, TopicShare>::new();
        let queues = jobs.iter().map(|job| &job.queue);
        let mut places = next_group(queues, |of, pending| {
            let job = &jobs[of];
            let topic = self.topic(&job.effects, pending.outgoing);
            let share = shares.entry(topic).or_insert_with(|| TopicShare {
                records: 0,
                bytes: 0,
                max_records: producer.max_records(topic),
                max_bytes: producer.max_batch_size(topic),
            });
            share.records += 1;
            share.bytes += self.size_in_batch(job, pending);
            share.records <= share.max_records && share.bytes <= share.max_bytes
        });
        let mut not_enqueued = None;
        for (sent, place) in places.iter().enumerate() {
            let job = &jobs[place.job];
            let Err(error) = self.enqueue(producer, job, job.queue.at(*place)) else {
                continue;
            };
            not_enqueued = match error {
                ProduceError::QueueFull if sent > 0 => None,
                // An empty queue that has no room for a record never has.
                ProduceError::QueueFull => Some((*place, ProduceError::TooLarge)),
                error => Some((*place, error)),
            };
            // No record overtakes this one.
            places.truncate(sent);
            break;
        }
        producer.start_sending();
        reached(Failpoint::Produced);
        RecordGroup {
            places,
            not_enqueued,
        }
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
            let topics = group.places.iter().map(|place| self.topic_at(jobs, *place));
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
        let RecordGroup {
            mut places,
            not_enqueued,
        } = group;
        let mut failures = producer.take_failures();
        if let Some((place, error)) = not_enqueued {
            let partition = None;
            failures.push((places.len(), ProduceFailure { error, partition }));
            places.push(place);
        }
        if failures.is_empty() {
            self.set_known(producer, jobs, places.iter());
            return Ok(JudgedGroup {
                places,
                verdicts: Vec::new(),
                crowded: BTreeMap::new(),
            });
        }
        let accepted = places.iter().map(|place| SentResult {
            topic: self.topic_at(jobs, *place),
            partition: None,
            error: None,
        });
        let mut results = Vec::from_iter(accepted);
        for (index, failure) in failures {
            results[index].partition = failure.partition;
            results[index].error = Some(failure.error);
        }
        let mut verdicts = judge(&results);
        let rejected = results.iter().zip(&verdicts);
        let rejected = rejected.filter(|(_, verdict)| self.is_worth_learning(verdict));
        let rejecting: BTreeSet<_> = rejected.map(|(result, _)| result.topic).collect();
        if !rejecting.is_empty() {
            for topic in rejecting {
                self.shutdown.wait_for(producer.learn(topic))?;
            }
            single_out(&mut verdicts, &results, |i| {
                let job = &jobs[places[i].job];
                self.exclusion(producer, job, places[i]).is_some()
            });
        }
        let mut crowded = BTreeMap::new();
        for (place, verdict) in places.iter().zip(&verdicts) {
            if *verdict == Verdict::Crowded {
                let job = &jobs[place.job];
                let topic = self.topic_at(jobs, *place).to_owned();
                *crowded.entry(topic).or_insert(0) += self.size_in_batch(job, job.queue.at(*place));
            }
        }
        let judged = places.iter().zip(&verdicts);
        let known = judged.filter(|(_, verdict)| !matches!(verdict, Verdict::Later(_)));
        self.set_known(producer, jobs, known.map(|(place, _)| place));
        Ok(JudgedGroup {
            places,
            verdicts,
            crowded,
        })
    }

    /// Returns whether to ask what a topic accepts after this verdict about a record. In a transaction, each record that is
    /// excluded before it begins saves one that is aborted.
    fn is_worth_learning(&self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Suspect => true,
            Verdict::Guilty(_) => self.guarantee == Guarantee::ExactlyOnce,
            _ => false,
        }
    }

    /// Takes note of the topics of records that the broker has accepted or rejected.
    fn set_known<'p>(
        &self,
        producer: &OrderedProducer,
        jobs: &[BatchJob],
        places: impl Iterator<Item = &'p RecordPlace>,
    ) {
        let mut last = None;
        for place in places {
            let topic = self.topic_at(jobs, *place);
            if last != Some(topic) {
                producer.set_known(topic);
                last = Some(topic);
            }
        }
    }

    /// Returns the topic of the record at a place.
    pub(super) fn topic_at<'j>(&'j self, jobs: &'j [BatchJob], place: RecordPlace) -> &'j str {
        let job = &jobs[place.job];
        self.topic(&job.effects, job.queue.at(place).outgoing)
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
    ) -> Result<(), ProduceError> {
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
    pub(super) fn record<'j>(
        &'j self,
        job: &'j BatchJob,
        pending: PendingRecord,
    ) -> (RecordRef<'j>, Added) {
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
pub(super) type Added = Vec<(&'static str, String)>;

pub(super) fn headers(added: &Added) -> impl Iterator<Item = Header<'_>> {
    added.iter().map(|(name, value)| Header {
        name: name.as_bytes(),
        value: Some(value.as_bytes()),
    })
}
