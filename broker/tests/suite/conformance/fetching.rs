//! The results of fetches, and when they come.

use std::time::{Duration, Instant};

use eventos_testkit::raw::{UNCOMMITTED, fetch_partition, fetch_request, text, verdict};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        FetchResponse, OffsetForLeaderEpochRequest, TopicName,
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
    },
    records::RecordBatchDecoder,
};
use rdkafka::{Offset, types::RDKafkaErrorCode};

use super::{
    batch::Batch,
    on_both,
    subject::{Subject, texts},
};

/// Returns the number of batches of each partition.
fn batches(answer: &FetchResponse) -> Vec<usize> {
    let partitions = &answer.responses[0].partitions;
    let count = partitions.iter().map(|partition| {
        let mut records = partition.records.clone().unwrap_or_default();
        let batches = RecordBatchDecoder::decode_batch_info(&mut records);
        batches.expect("batches").len()
    });
    count.collect()
}

/// Creates a topic with three batches in each of two partitions; returns the size of a batch in bytes.
fn filled(subject: &Subject) -> (String, i32) {
    let (topic, mut raw) = (subject.topic(2), subject.raw());
    let batch = Batch::of(10).bytes();
    for partition in [0, 0, 0, 1, 1, 1] {
        let (error, _) = raw.produce(&topic, partition, batch.clone());
        assert_eq!(error, None);
    }
    (topic, i32::try_from(batch.len()).expect("short"))
}

#[test]
fn a_partition_gives_the_batches_that_fit_and_never_none() {
    on_both(|subject| {
        let (topic, size) = filled(subject);
        let mut raw = subject.raw();
        [1, size, 2 * size, 3 * size].map(|bytes| {
            let partition = fetch_partition(0, 0).with_partition_max_bytes(bytes);
            batches(&raw.fetch_with(&fetch_request(&topic, vec![partition])))
        })
    })
    .agree_on([vec![1], vec![1], vec![2], vec![3]]);
}

#[test]
fn an_answer_gives_what_fits_and_never_nothing() {
    on_both(|subject| {
        let (topic, size) = filled(subject);
        let mut raw = subject.raw();
        [1, size, 3 * size, 4 * size, 6 * size].map(|bytes| {
            let partitions = vec![fetch_partition(0, 0), fetch_partition(1, 0)];
            let request = fetch_request(&topic, partitions).with_max_bytes(bytes);
            batches(&raw.fetch_with(&request))
        })
    })
    .agree_on([vec![1, 0], vec![1, 0], vec![3, 0], vec![3, 1], vec![3, 3]]);
}

#[test]
fn a_fetch_from_within_a_batch_gives_all_of_it() {
    on_both(|subject| {
        let (topic, _) = filled(subject);
        let mut raw = subject.raw();
        [0, 9, 10, 29, 30].map(|offset| {
            let fetched = raw.fetch(&topic, 0, offset, UNCOMMITTED);
            let mut records = fetched.records.unwrap_or_default();
            let batches = RecordBatchDecoder::decode_batch_info(&mut records);
            let first = batches.expect("batches").first().map(|b| b.min_offset);
            (verdict(fetched.error_code), first)
        })
    })
    .agree_on([
        (None, Some(0)),
        (None, Some(0)),
        (None, Some(10)),
        (None, Some(20)),
        (None, None),
    ]);
}

#[test]
fn a_fetch_waits_for_its_least_bytes_but_not_beyond_its_time() {
    let wait = 400;
    on_both(|subject| {
        let (topic, size) = filled(subject);
        let mut raw = subject.raw();
        [(30, 1), (20, 1), (20, 2 * size), (0, 3 * size), (30, 0)].map(|(offset, least)| {
            let request = fetch_request(&topic, vec![fetch_partition(0, offset)])
                .with_min_bytes(least)
                .with_max_wait_ms(wait);
            let start = Instant::now();
            let batches = batches(&raw.fetch_with(&request));
            let waited = start.elapsed() >= Duration::from_millis(wait as u64);
            (waited, batches[0])
        })
    })
    .agree_on([(true, 0), (false, 1), (true, 1), (false, 3), (false, 0)]);
}

#[test]
fn a_waiting_fetch_is_answered_when_something_comes() {
    on_both(|subject| {
        let (topic, _) = filled(subject);
        let (mut raw, mut other) = (subject.raw(), subject.raw());
        let partitions = vec![fetch_partition(0, 30), fetch_partition(1, 30)];
        let request = fetch_request(&topic, partitions)
            .with_min_bytes(1)
            .with_max_wait_ms(30_000);
        let start = Instant::now();
        raw.send(11, &request);
        let (error, _) = other.produce(&topic, 1, Batch::of(1).bytes());
        let answer = raw.receive::<kafka_protocol::messages::FetchRequest>(11);
        let soon = start.elapsed() < Duration::from_secs(10);
        (error, batches(&answer), soon)
    })
    .agree_on((None, vec![0, 1], true));
}

#[test]
fn an_offset_out_of_range_is_told_with_nothing_else() {
    on_both(|subject| {
        let (topic, _) = filled(subject);
        let mut raw = subject.raw();
        [31, -5].map(|offset| {
            let fetched = raw.fetch(&topic, 0, offset, UNCOMMITTED);
            (
                verdict(fetched.error_code),
                fetched.high_watermark,
                fetched.last_stable_offset,
                fetched.log_start_offset,
                fetched.records.unwrap_or_default().len(),
            )
        })
    })
    .agree_on([(Some(ResponseError::OffsetOutOfRange), -1, -1, -1, 0); 2]);
}

#[test]
fn what_is_there_is_told_with_its_watermarks() {
    on_both(|subject| {
        let (topic, _) = filled(subject);
        let fetched = subject.raw().fetch(&topic, 0, 0, UNCOMMITTED);
        (
            fetched.high_watermark,
            fetched.last_stable_offset,
            fetched.log_start_offset,
            fetched.aborted_transactions.unwrap_or_default().len(),
            fetched.preferred_read_replica.0,
        )
    })
    .agree_on((30, 30, 0, 0, -1));
}

#[test]
fn a_topic_or_partition_that_is_not_there_is_told_as_such() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut raw = subject.raw();
        let mut of = |topic: &str, partition| {
            let fetched = raw.fetch(topic, partition, 0, UNCOMMITTED);
            verdict(fetched.error_code)
        };
        [of(&topic, 1), of(&subject.name("none"), 0), of(&topic, 0)]
    })
    .agree_on([
        Some(ResponseError::UnknownTopicOrPartition),
        Some(ResponseError::UnknownTopicOrPartition),
        None,
    ]);
}

#[test]
fn a_leader_epoch_that_is_to_come_is_not_known() {
    on_both(|subject| {
        let (topic, _) = filled(subject);
        let mut raw = subject.raw();
        [-1, 0, 1].map(|epoch| {
            let partition = fetch_partition(0, 0).with_current_leader_epoch(epoch);
            let answer = raw.fetch_with(&fetch_request(&topic, vec![partition]));
            verdict(answer.responses[0].partitions[0].error_code)
        })
    })
    .agree_on([None, None, Some(ResponseError::UnknownLeaderEpoch)]);
}

#[test]
fn the_end_of_a_leader_epoch_is_the_end_of_the_log_or_unknown() {
    on_both(|subject| {
        let (topic, _) = filled(subject);
        let mut raw = subject.raw();
        [0, 5].map(|epoch| {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(0)
                .with_current_leader_epoch(-1)
                .with_leader_epoch(epoch);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(text::<TopicName>(&topic))
                .with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default()
                .with_replica_id((-1).into())
                .with_topics(vec![topic]);
            let answer = raw.call(4, &request);
            let end = &answer.topics[0].partitions[0];
            (verdict(end.error_code), end.leader_epoch, end.end_offset)
        })
    })
    .agree_on([(None, 0, 30), (None, -1, -1)]);
}

#[test]
fn a_consumer_out_of_range_goes_where_its_setting_says() {
    on_both(|subject| {
        let topic = subject.topic(1);
        subject.fill(&topic, 0, &["a", "b", "c"]);
        ["earliest", "latest", "error"].map(|reset| {
            let settings = [("auto.offset.reset", reset)];
            let read = subject.read_from(&topic, 0, Offset::Offset(99), &settings);
            read.map(|all| texts(&all).join(" "))
        })
    })
    .agree_on([
        Ok("a b c".to_owned()),
        Ok(String::new()),
        Err(RDKafkaErrorCode::AutoOffsetReset),
    ]);
}

#[test]
fn a_consumer_begins_where_it_is_told() {
    on_both(|subject| {
        let topic = subject.topic(1);
        subject.fill(&topic, 0, &["a", "b", "c"]);
        let places = [
            Offset::Beginning,
            Offset::End,
            Offset::Offset(1),
            Offset::OffsetTail(1),
            Offset::Offset(3),
        ];
        places.map(|from| {
            let read = subject.read_from(&topic, 0, from, &[]).expect("read");
            texts(&read).join(" ")
        })
    })
    .agree_on(["a b c", "", "b c", "c", ""].map(str::to_owned));
}

#[test]
fn the_watermarks_of_a_partition_are_its_ends() {
    on_both(|subject| {
        let topic = subject.topic(2);
        let empty = subject.watermarks(&topic, 1);
        subject.fill(&topic, 1, &["a", "b"]);
        (
            empty,
            subject.watermarks(&topic, 1),
            subject.watermarks(&topic, 0),
        )
    })
    .agree_on(((0, 0), (0, 2), (0, 0)));
}

#[test]
fn a_session_that_nobody_opened_is_not_found() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let request = fetch_request(&topic, vec![fetch_partition(0, 0)])
            .with_session_id(4711)
            .with_session_epoch(1);
        let answer = subject.raw().fetch_with(&request);
        (verdict(answer.error_code), answer.responses.len())
    })
    .agree_on((Some(ResponseError::FetchSessionIdNotFound), 0));
}
