//! The results of a group of records: what librdkafka reports of each of them.

use std::{sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};
use rdkafka::{
    ClientContext, Message as _, Statistics, config::RDKafkaLogLevel, error::KafkaError,
    message::DeliveryResult, producer::ProducerContext as RdkafkaContext,
};

use super::ProducerContext;
use crate::{event::Partition, kafka::produce_error::ProduceError};

/// Number of bits of a tag that hold the index of the record. The others number its group.
const INDEX_BITS: u32 = 32;

const _: () = assert!(usize::BITS == 64, "a tag takes 64 bits");

/// Why a record was not produced, and where it would have been.
#[derive(Clone, Debug)]
pub struct ProduceFailure {
    /// The error of the record, or of the batch that it was in.
    pub error: ProduceError,
    /// Its partition, unless it was not sent at all.
    pub partition: Option<Partition>,
}

/// The context of a producer that sends groups. librdkafka's reports about the records of the current group are kept there.
#[derive(Clone)]
pub(in crate::kafka) struct GroupContext {
    inner: ProducerContext,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    group: Mutex<Group>,
    changed: Condvar,
}

/// The records that were enqueued since the results were last taken.
#[derive(Default)]
struct Group {
    /// Reports with the number of another group are ignored: that one was given up.
    number: u32,
    /// By the order in which the records were enqueued.
    results: Vec<RecordResult>,
    pending: usize,
}

/// What is known of a record.
enum RecordResult {
    Pending,
    Accepted,
    Failed(Box<(KafkaError, Option<Partition>)>),
}

/// Identifies a record to librdkafka, which returns this with its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordTag(usize);

impl RecordTag {
    fn new(group: u32, index: usize) -> Self {
        Self((group as usize) << INDEX_BITS | index)
    }

    pub(super) fn to_opaque(self) -> usize {
        self.0
    }

    fn group(self) -> usize {
        self.0 >> INDEX_BITS
    }

    fn index(self) -> usize {
        self.0 & ((1 << INDEX_BITS) - 1)
    }
}

impl GroupContext {
    pub(super) fn new(inner: ProducerContext) -> Self {
        Self {
            inner,
            shared: Arc::default(),
        }
    }

    /// Adds a record to the group, which is enqueued next.
    pub(super) fn add(&self) -> RecordTag {
        let mut group = self.shared.group.lock();
        let tag = RecordTag::new(group.number, group.results.len());
        group.results.push(RecordResult::Pending);
        group.pending += 1;
        tag
    }

    /// Removes the record that was added last, because it could not be enqueued.
    pub(super) fn remove_last(&self) {
        let mut group = self.shared.group.lock();
        group.results.pop();
        group.pending -= 1;
    }

    /// Waits until the result of every record is known, but no longer than this. Returns whether it is.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let mut group = self.shared.group.lock();
        self.shared
            .changed
            .wait_while_for(&mut group, |group| group.pending > 0, timeout);
        group.pending == 0
    }

    /// Ends the group, and returns the records that failed, by the order in which they were enqueued. The error of a record
    /// whose result is not known is `None`.
    pub(super) fn take_failures(&self) -> Vec<(usize, Option<KafkaError>, Option<Partition>)> {
        let mut group = self.shared.group.lock();
        group.number = group.number.wrapping_add(1);
        group.pending = 0;
        let results = group.results.drain(..).enumerate();
        let failures = results.filter_map(|(index, result)| match result {
            RecordResult::Accepted => None,
            RecordResult::Pending => Some((index, None, None)),
            RecordResult::Failed(failure) => {
                let (error, partition) = *failure;
                Some((index, Some(error), partition))
            }
        });
        failures.collect()
    }

    fn report(&self, tag: RecordTag, result: RecordResult) {
        let mut group = self.shared.group.lock();
        if tag.group() != group.number as usize {
            return;
        }
        if let Some(record @ RecordResult::Pending) = group.results.get_mut(tag.index()) {
            *record = result;
            group.pending -= 1;
            if group.pending == 0 {
                self.shared.changed.notify_all();
            }
        }
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.inner.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.inner.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.inner.stats(statistics);
    }
}

impl RdkafkaContext for GroupContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, opaque: usize) {
        let result = match delivered {
            Ok(_) => RecordResult::Accepted,
            Err((error, record)) => {
                let partition = Some(Partition(record.partition())).filter(|it| it.0 >= 0);
                RecordResult::Failed(Box::new((error.clone(), partition)))
            }
        };
        self.report(RecordTag(opaque), result);
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    fn failed() -> RecordResult {
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        RecordResult::Failed(Box::new((error, Some(Partition(3)))))
    }

    #[test]
    fn failures_are_returned_by_their_order_and_late_reports_are_ignored() {
        let context = GroupContext::new(ProducerContext::new("eventos", |_| {}));
        let tags = [(); 4].map(|()| context.add());
        context.add();
        context.remove_last();
        context.report(tags[2], failed());
        context.report(tags[0], RecordResult::Accepted);
        context.report(tags[0], failed());
        assert!(!context.wait(Duration::ZERO));
        context.report(tags[3], RecordResult::Accepted);
        let failures = context.take_failures();
        let [(1, None, None), (2, Some(_), Some(Partition(3)))] = failures[..] else {
            panic!("{failures:?}")
        };

        // The group was given up, and a record of it is reported during the next one.
        let next = context.add();
        assert_ne!(next, tags[0]);
        context.report(tags[1], failed());
        assert!(!context.wait(Duration::ZERO));
        context.report(next, RecordResult::Accepted);
        assert!(context.wait(Duration::ZERO) && context.take_failures().is_empty());
    }
}
