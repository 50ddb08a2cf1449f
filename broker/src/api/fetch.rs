//! `Fetch`: returns stored batches as they are, and waits for new ones if the client asks for that.
//!
//! The broker declines fetch sessions (KIP-227): every response has session id 0, so every request lists its partitions.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, FetchRequest, FetchResponse, ProducerId, ResponseKind,
        fetch_request::{FetchPartition, FetchTopic},
        fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData},
    },
};
use tokio::{sync::Notify, time::Instant};

use super::{check_leader_epoch, isolation, storage_error};
use crate::{
    ids::{Offset, PartitionId, TopicId},
    log::{AbortedTxn, Isolation, PartitionLog, ReadError},
    shared::Shared,
    topics::Topic,
};

/// The largest size of the records in a response, unless a single batch is larger or the client waits for more.
///
/// A response is in memory as a whole, for a moment even twice. Larger responses are slower, because allocating that much
/// memory takes longer than filling it.
const RESPONSE_BYTES: usize = 1 << 20;
/// The largest size that a client can wait for: Kafka's default of `fetch.max.bytes` for brokers.
const MAX_BYTES: usize = 55 << 20;
/// The first version that names topics by their ids.
const FIRST_VERSION_OF_IDS: i16 = 13;

/// Waits until `min_bytes` are there, `max_wait_ms` are over, or a partition has an error; then returns what is there.
pub(crate) async fn handle(shared: &Shared, request: FetchRequest, version: i16) -> FetchResponse {
    if request.session_id != 0 {
        return FetchResponse::default()
            .with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let by_id = version >= FIRST_VERSION_OF_IDS;
    let requested: Vec<_> = request
        .topics
        .iter()
        .map(|t| RequestedTopic::find(shared, t, by_id))
        .collect();
    let isolation = isolation(request.isolation_level);
    wait_until_ready(&requested, &request, isolation).await;

    let mut left = response_bytes(&request);
    let mut is_empty = true;
    let mut topics = Vec::with_capacity(requested.len());
    for topic in &requested {
        let mut partitions = Vec::with_capacity(topic.request.partitions.len());
        for partition in &topic.request.partitions {
            let data = read(topic, partition, left, is_empty, isolation);
            let length = data.records.as_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
            is_empty &= length == 0;
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

/// Returns the number of bytes of records that the response may hold.
fn response_bytes(request: &FetchRequest) -> usize {
    let [min, max] =
        [request.min_bytes, request.max_bytes].map(|bytes| usize::try_from(bytes).unwrap_or(0));
    max.min(min.clamp(RESPONSE_BYTES, MAX_BYTES))
}

/// Returns the approximate size of the records in a fetch response, for its buffer; 0 for other responses.
pub(crate) fn records_len(response: &ResponseKind) -> usize {
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

/// A topic of the request, with the topic that it names.
struct RequestedTopic<'a> {
    request: &'a FetchTopic,
    topic: Result<Arc<Topic>, ResponseError>,
}

impl<'a> RequestedTopic<'a> {
    fn find(shared: &Shared, request: &'a FetchTopic, by_id: bool) -> RequestedTopic<'a> {
        let topic = if by_id {
            let id = TopicId(request.topic_id.as_u128());
            shared.topics.by_id(id).ok_or(ResponseError::UnknownTopicId)
        } else {
            let topic = shared.topics.get(&request.topic);
            topic.ok_or(ResponseError::UnknownTopicOrPartition)
        };
        RequestedTopic { request, topic }
    }

    fn log(&self, request: &FetchPartition) -> Result<&Arc<PartitionLog>, ResponseError> {
        check_leader_epoch(request.current_leader_epoch)?;
        self.topic
            .as_ref()
            .map_err(|error| *error)?
            .partition(PartitionId(request.partition))
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }
}

async fn wait_until_ready(
    requested: &[RequestedTopic<'_>],
    request: &FetchRequest,
    isolation: Isolation,
) {
    let min_bytes = u64::try_from(request.min_bytes).unwrap_or(0);
    let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    if is_ready(requested, min_bytes, isolation) || max_wait.is_zero() {
        return;
    }
    let deadline = Instant::now() + max_wait;
    let append = Arc::new(Notify::new());
    loop {
        for topic in requested {
            for partition in &topic.request.partitions {
                if let Ok(log) = topic.log(partition) {
                    log.wake_on_append(&append);
                }
            }
        }
        if is_ready(requested, min_bytes, isolation) {
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

fn is_ready(requested: &[RequestedTopic<'_>], min_bytes: u64, isolation: Isolation) -> bool {
    let mut bytes = 0;
    if min_bytes == 0 {
        return true;
    }
    for topic in requested {
        for partition in &topic.request.partitions {
            let Ok(log) = topic.log(partition) else {
                return true;
            };
            let from = Offset(partition.fetch_offset);
            let bounds = log.bounds();
            // A read_committed consumer may not have these records yet.
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
    topic: &RequestedTopic<'_>,
    request: &FetchPartition,
    left: usize,
    is_empty: bool,
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
        // The response is full. Whether the offset exists can be said without reading from disk.
        _ if max_bytes == 0 && !is_empty => {
            let bounds = log.bounds();
            if (bounds.start..=bounds.end).contains(&from) {
                Ok((Bytes::new(), None, bounds))
            } else {
                Err(ReadError::OutOfRange(bounds))
            }
        }
        Isolation::Uncommitted => log
            .read(from, max_bytes, is_empty)
            .map(|(records, bounds)| (records, None, bounds)),
        Isolation::Committed => log
            .read_committed(from, max_bytes, is_empty)
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

/// Returns them in the order of their first offsets, which consumers rely on.
fn listed(mut aborted: Vec<AbortedTxn>) -> Vec<AbortedTransaction> {
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
            response_bytes(&request.with_min_bytes(min).with_max_bytes(max))
        };
        assert_eq!(bytes(1, i32::MAX), RESPONSE_BYTES);
        assert_eq!(bytes(1, 1_000), 1_000);
        assert_eq!(bytes(2 << 20, i32::MAX), 2 << 20);
        assert_eq!(bytes(2 << 20, 1_000), 1_000);
        assert_eq!(bytes(i32::MAX, i32::MAX), MAX_BYTES);
        assert_eq!(bytes(-1, -1), 0);
    }
}
