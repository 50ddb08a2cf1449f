//! Finding the way past a batch that cannot be read, with a client of its own: forward to an offset that can be read, then
//! back to the first one.
//!
//! A fetch returns the batch that contains an offset. librdkafka gives out no part of a batch that it cannot decompress or
//! parse, and asks for it again and again. In most cases only its statistics say so. So every offset of such a
//! batch is unreadable, and the one after it is not.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio_util::sync::CancellationToken;

use super::{
    Cluster, Error,
    client::log,
    native::{ConsumerQueue, QueueEvent},
};
use crate::event::{Offset, TopicPartition};

/// Properties of the client. It fetches little, and asks again soon for what it could not parse.
const DEFAULTS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("fetch.queue.backoff.ms", "2"),
    ("fetch.error.backoff.ms", "50"),
    ("fetch.wait.max.ms", "50"),
    ("queued.max.messages.kbytes", "1024"),
    ("allow.auto.create.topics", "false"),
    ("statistics.interval.ms", "100"),
];

/// How long the request for the end of the partition may take, which shows that the broker responds at all.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to read at one offset, or to fail. A batch that inflates to gigabytes takes its time.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one wait may take. The end of the daemon is noticed after it.
const SLICE: Duration = Duration::from_millis(50);

/// How long the statistics may still count what was fetched at the offset before.
const SETTLING: Duration = Duration::from_millis(150);

/// The number of fetches in a row that could not be parsed, after which an offset counts as unreadable. A broker sends at
/// least one whole batch (KIP-74).
const MAX_FAILURES: i64 = 2;

/// Up to this far, each offset is tried. From there on, a quarter of the way so far is passed over each time.
const NEAR: i64 = 16;

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchSearchResult {
    /// The first offset can be read after all.
    Readable,
    /// The offsets before `next` cannot be read.
    Unreadable {
        /// The first offset that can be read.
        next: Offset,
        /// Why those before cannot be read, as far as the client says.
        reason: String,
    },
    /// The broker does not answer, or the daemon stops.
    NoAnswer,
}

/// What happened at one offset.
enum Probe {
    Readable,
    Unreadable(String),
    NoAnswer,
}

/// A client that tries to read at certain offsets of a partition.
struct BatchProber<'a> {
    queue: ConsumerQueue<FailureCount>,
    partition: &'a TopicPartition,
    stop: &'a CancellationToken,
}

/// Counts what the client could not parse. It is updated with each statistics, ten times a second.
#[derive(Default)]
struct FailureCount(AtomicI64);

impl ClientContext for FailureCount {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "search for a readable batch");
    }

    fn stats(&self, statistics: Statistics) {
        let failures: u64 = statistics.brokers.values().map(|one| one.rxpartial).sum();
        self.0
            .store(i64::try_from(failures).unwrap_or(i64::MAX), Relaxed);
    }
}

impl ConsumerContext for FailureCount {}

/// Searches for the first offset of a partition from `from` on that can be read. The one at `end`, where no record is yet,
/// can: the partition ends there. Blocks for seconds, or minutes if a batch takes long to fail.
///
/// # Errors
/// [`Error::Properties`], or [`Error::Request`] if librdkafka rejects the partition.
pub fn search_readable(
    cluster: &Cluster,
    partition: &TopicPartition,
    (from, end): (Offset, Offset),
    stop: &CancellationToken,
) -> Result<BatchSearchResult, Error> {
    let inner: BaseConsumer<FailureCount> = cluster
        .properties(DEFAULTS)
        // librdkafka assigns no partitions to a client without a group, but this client does not join it.
        .set("group.id", &cluster.config().group_id)
        .create_with_context(FailureCount::default())
        .map_err(Error::Properties)?;
    let prober = BatchProber {
        queue: ConsumerQueue::new(inner).map_err(Error::Properties)?,
        partition,
        stop,
    };
    if !matches!(prober.probe(end, CONTROL_TIMEOUT)?, Probe::Readable) {
        return Ok(BatchSearchResult::NoAnswer);
    }
    search(from, end, |offset| prober.probe(offset, PROBE_TIMEOUT))
}

/// Searches forward for an offset that can be read, then back for the first one. `end` can be read.
fn search<E>(
    from: Offset,
    end: Offset,
    mut probe: impl FnMut(Offset) -> Result<Probe, E>,
) -> Result<BatchSearchResult, E> {
    let (mut unreadable, mut readable) = (from.0, end.0);
    let mut candidate = from.0;
    let mut first_reason = None;
    while candidate < readable {
        match probe(Offset(candidate))? {
            Probe::NoAnswer => return Ok(BatchSearchResult::NoAnswer),
            Probe::Readable => readable = candidate,
            Probe::Unreadable(reason) => {
                first_reason.get_or_insert(reason);
                unreadable = candidate;
            }
        }
        let distance = candidate - from.0;
        let step = if distance < NEAR { 1 } else { distance / 4 };
        let forward = candidate.saturating_add(step);
        // Once something can be read, or the step leads beyond the end, offsets before it were passed over.
        candidate = match readable < end.0 || forward >= readable {
            true => unreadable + (readable - unreadable) / 2,
            false => forward,
        };
        if candidate <= unreadable {
            break;
        }
    }
    Ok(match first_reason {
        None => BatchSearchResult::Readable,
        Some(reason) => BatchSearchResult::Unreadable {
            next: Offset(readable),
            reason,
        },
    })
}

impl BatchProber<'_> {
    /// Tries to read at an offset.
    fn probe(&self, offset: Offset, at_most: Duration) -> Result<Probe, Error> {
        let what = "look for a readable batch";
        let failed = |source| Error::Request { what, source };
        let TopicPartition { topic, partition } = self.partition;
        let mut list = TopicPartitionList::with_capacity(1);
        let at = rdkafka::Offset::Offset(offset.0);
        list.add_partition_offset(topic, partition.0, at)
            .and_then(|()| self.queue.client().assign(&list))
            .map_err(failed)?;
        let began = Instant::now();
        let failures = &self.queue.client().context().0;
        let mut failures_before = None;
        while began.elapsed() < at_most && !self.stop.is_cancelled() {
            match self.queue.poll(SLICE) {
                Some(QueueEvent::Record(record))
                    if record.partition() == *partition && record.offset() >= offset =>
                {
                    return Ok(Probe::Readable);
                }
                Some(QueueEvent::PartitionEnd(ended, at))
                    if ended.partition == *partition && at >= offset =>
                {
                    return Ok(Probe::Readable);
                }
                Some(QueueEvent::Error(error)) if is_unreadable(error.code) => {
                    return Ok(Probe::Unreadable(error.reason));
                }
                _ => {}
            }
            if began.elapsed() >= SETTLING {
                let now = failures.load(Relaxed);
                if now - *failures_before.get_or_insert(now) >= MAX_FAILURES {
                    let reason = "its records cannot be parsed".to_owned();
                    return Ok(Probe::Unreadable(reason));
                }
            }
        }
        Ok(Probe::NoAnswer)
    }
}

/// Returns whether an error says that a batch cannot be read. The client reports it with the partition of the batch.
pub(super) fn is_unreadable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BadCompression
            | Code::BadMessage
            | Code::InvalidMessage
            | Code::MessageSizeTooLarge
            | Code::NotImplemented
    )
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, ops::Range};

    use proptest::prelude::*;

    use super::*;

    /// Searches in a partition with these unreadable offsets, and returns the result and the number of probes.
    fn search_in(from: i64, end: i64, unreadable: &[Range<i64>]) -> (BatchSearchResult, usize) {
        let mut probes = 0;
        let found = search(Offset(from), Offset(end), |offset| {
            probes += 1;
            assert!((from..end).contains(&offset.0), "{offset}");
            let is_unreadable = unreadable.iter().any(|range| range.contains(&offset.0));
            Ok::<_, Infallible>(match is_unreadable {
                true => Probe::Unreadable(format!("at {offset}")),
                false => Probe::Readable,
            })
        });
        (found.expect("it cannot fail"), probes)
    }

    fn next(found: &BatchSearchResult) -> Option<i64> {
        match found {
            BatchSearchResult::Unreadable { next, .. } => Some(next.0),
            _ => None,
        }
    }

    #[test]
    fn a_batch_between_others_is_passed() {
        assert_eq!(search_in(5, 100, &[]).0, BatchSearchResult::Readable);
        for length in [1, 2, 10, 16, 17, 100, 10_000, 1_000_000] {
            let unreadable = 5..5 + length;
            let (found, probes) = search_in(5, 2_000_000, std::slice::from_ref(&unreadable));
            assert_eq!(next(&found), Some(5 + length));
            assert!(probes < 90, "{length}: {probes}");
        }
    }

    #[test]
    fn a_short_readable_batch_between_two_others_is_found() {
        assert_eq!(next(&search_in(0, 50, &[0..5, 6..30]).0), Some(5));
    }

    proptest! {
        #[test]
        fn the_first_readable_offset_is_found(from in 0..1_000i64, length in 1..5_000i64, behind in 0..5_000i64) {
            let unreadable = from..from + length;
            let (found, _) = search_in(from, unreadable.end + behind, std::slice::from_ref(&unreadable));
            prop_assert_eq!(next(&found), Some(unreadable.end));
        }
    }
}
