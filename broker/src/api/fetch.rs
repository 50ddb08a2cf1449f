//! `Fetch`: whole batches as they are stored, waiting for them if the client likes to.
//!
//! Fetch sessions (KIP-227) are declined: every answer has session id 0, so every request lists its partitions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId, ResponseKind};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{check_leader_epoch, isolation, storage_error};
use crate::Shared;
use crate::ids::{Offset, PartitionId, TopicId};
use crate::log::{Aborted, Isolation, Partition, ReadError};
use crate::topics::Topic;

/// The most that one answer holds, but for a single larger batch, unless the client waits for more. An answer is in
/// memory as a whole, twice for a moment; larger ones are slower, since getting such memory from the system takes longer
/// than filling it.
const ANSWER_BYTES: usize = 1 << 20;
/// The most that a client can wait for; `fetch.max.bytes` of Kafka's brokers.
const MAX_BYTES: usize = 55 << 20;
/// From this version on topics are named by their ids.
const FIRST_VERSION_OF_IDS: i16 = 13;

/// Answers once `min_bytes` are there, or `max_wait_ms` are over, or a partition has an error to tell.
pub async fn handle(shared: &Shared, request: FetchRequest, version: i16) -> FetchResponse {
    if request.session_id != 0 {
        return FetchResponse::default()
            .with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let by_id = version >= FIRST_VERSION_OF_IDS;
    let wanted: Vec<_> = request
        .topics
        .iter()
        .map(|t| Wanted::find(shared, t, by_id))
        .collect();
    let isolation = isolation(request.isolation_level);
    wait_until_ready(&wanted, &request, isolation).await;

    let mut left = answer_bytes(&request);
    let mut nothing_yet = true;
    let mut topics = Vec::with_capacity(wanted.len());
    for topic in &wanted {
        let mut partitions = Vec::with_capacity(topic.request.partitions.len());
        for partition in &topic.request.partitions {
            let data = read(topic, partition, left, nothing_yet, isolation);
            let length = data.records.as_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
            nothing_yet &= length == 0;
            partitions.push(data);
        }
        topics.push(
            FetchableTopicResponse::default()
                .with_topic(topic.request.topic.clone())
                .with_topic_id(topic.request.topic_id)
                .with_partitions(partitions),
        );
    }
    FetchResponse::default().with_responses(topics)
}

/// Bytes of records that the answer may hold.
fn answer_bytes(request: &FetchRequest) -> usize {
    let [min, max] =
        [request.min_bytes, request.max_bytes].map(|bytes| usize::try_from(bytes).unwrap_or(0));
    max.min(min.clamp(ANSWER_BYTES, MAX_BYTES))
}

/// The bytes of the records in an answer, to make room for them at once; 0 for other answers.
pub fn records_len(response: &ResponseKind) -> usize {
    let ResponseKind::Fetch(response) = response else {
        return 0;
    };
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| 64 + partition.records.as_ref().map_or(0, Bytes::len))
        .sum()
}

/// A topic of the request, looked up.
struct Wanted<'a> {
    request: &'a FetchTopic,
    topic: Result<Arc<Topic>, ResponseError>,
}

impl<'a> Wanted<'a> {
    fn find(shared: &Shared, request: &'a FetchTopic, by_id: bool) -> Wanted<'a> {
        let topic = if by_id {
            let id = TopicId(request.topic_id.as_u128());
            shared.topics.by_id(id).ok_or(ResponseError::UnknownTopicId)
        } else {
            let topic = shared.topics.get(&request.topic);
            topic.ok_or(ResponseError::UnknownTopicOrPartition)
        };
        Wanted { request, topic }
    }

    fn log(&self, request: &FetchPartition) -> Result<&Arc<Partition>, ResponseError> {
        check_leader_epoch(request.current_leader_epoch)?;
        self.topic
            .as_ref()
            .map_err(|error| *error)?
            .partition(PartitionId(request.partition))
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }
}

async fn wait_until_ready(wanted: &[Wanted<'_>], request: &FetchRequest, isolation: Isolation) {
    let min_bytes = u64::try_from(request.min_bytes).unwrap_or(0);
    let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    if is_ready(wanted, min_bytes, isolation) || max_wait.is_zero() {
        return;
    }
    let deadline = Instant::now() + max_wait;
    let append = Arc::new(Notify::new());
    loop {
        for topic in wanted {
            for partition in &topic.request.partitions {
                if let Ok(log) = topic.log(partition) {
                    log.wake_on_append(&append);
                }
            }
        }
        if is_ready(wanted, min_bytes, isolation) {
            return;
        }
        if tokio::time::timeout_at(deadline, append.notified())
            .await
            .is_err()
        {
            return;
        }
    }
}

fn is_ready(wanted: &[Wanted<'_>], min_bytes: u64, isolation: Isolation) -> bool {
    let mut bytes = 0;
    if min_bytes == 0 {
        return true;
    }
    for topic in wanted {
        for partition in &topic.request.partitions {
            let Ok(log) = topic.log(partition) else {
                return true;
            };
            let from = Offset(partition.fetch_offset);
            let bounds = log.bounds();
            // What lies between, a committed reader may not have yet.
            if (bounds.end_for(isolation)..=bounds.end).contains(&from) {
                continue;
            }
            if min_bytes == 1 {
                return true;
            }
            match log.bytes_for(isolation, from) {
                Ok(more) => bytes += more,
                Err(_) => return true,
            }
            if bytes >= min_bytes {
                return true;
            }
        }
    }
    false
}

fn read(
    topic: &Wanted<'_>,
    request: &FetchPartition,
    left: usize,
    nothing_yet: bool,
    isolation: Isolation,
) -> PartitionData {
    let data = PartitionData::default()
        .with_partition_index(request.partition)
        .with_preferred_read_replica(BrokerId(-1))
        .with_aborted_transactions(None)
        .with_records(Some(Bytes::new()));
    let refuse = |data: PartitionData, error: ResponseError| {
        data.with_error_code(error.code())
            .with_high_watermark(-1)
            .with_last_stable_offset(-1)
            .with_log_start_offset(-1)
    };
    let log = match topic.log(request) {
        Ok(log) => log,
        Err(error) => return refuse(data, error),
    };
    let max_bytes = usize::try_from(request.partition_max_bytes)
        .unwrap_or(0)
        .min(left);
    let from = Offset(request.fetch_offset);
    let read = match isolation {
        // The answer is full. Whether there is such an offset is told without looking for it on the disk.
        _ if max_bytes == 0 && !nothing_yet => {
            let bounds = log.bounds();
            if (bounds.start..=bounds.end).contains(&from) {
                Ok((Bytes::new(), None, bounds))
            } else {
                Err(ReadError::OutOfRange(bounds))
            }
        }
        Isolation::Uncommitted => log
            .read(from, max_bytes, nothing_yet)
            .map(|(records, bounds)| (records, None, bounds)),
        Isolation::Committed => log
            .read_committed(from, max_bytes, nothing_yet)
            .map(|(records, aborted, bounds)| (records, Some(aborted), bounds)),
    };
    match read {
        Ok((records, aborted, bounds)) => data
            .with_high_watermark(bounds.end.0)
            .with_last_stable_offset(bounds.stable.0)
            .with_log_start_offset(bounds.start.0)
            .with_aborted_transactions(aborted.map(listed))
            .with_records(Some(records)),
        Err(ReadError::OutOfRange(_)) => refuse(data, ResponseError::OffsetOutOfRange),
        Err(error @ ReadError::Storage(_)) => refuse(data, storage_error(&error)),
    }
}

/// In the order of their first records, as consumers walk them.
fn listed(mut aborted: Vec<Aborted>) -> Vec<AbortedTransaction> {
    aborted.sort_unstable_by_key(|aborted| aborted.first);
    let listed = aborted.into_iter().map(|aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(aborted.producer.0))
            .with_first_offset(aborted.first.0)
    });
    listed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_small_unless_the_client_waits_for_more() {
        let bytes = |min, max| {
            let request = FetchRequest::default();
            answer_bytes(&request.with_min_bytes(min).with_max_bytes(max))
        };
        assert_eq!(bytes(1, i32::MAX), ANSWER_BYTES);
        assert_eq!(bytes(1, 1_000), 1_000);
        assert_eq!(bytes(2 << 20, i32::MAX), 2 << 20);
        assert_eq!(bytes(2 << 20, 1_000), 1_000);
        assert_eq!(bytes(i32::MAX, i32::MAX), MAX_BYTES);
        assert_eq!(bytes(-1, -1), 0);
    }
}
