//! Offsets by timestamp, and timestamps that the broker sets.

use eventos_testkit::{
    DEADLINE,
    raw::{EARLIEST, LATEST, OF_MAX_TIME, UNCOMMITTED, now, verdict},
};
use kafka_protocol::error::ResponseError;
use rdkafka::{
    Message, Offset, Timestamp, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::{
    batch::Batch,
    on_both,
    subject::{Subject, at, next, to},
};

/// Creates a topic that keeps messages of 1970.
fn lasting(subject: &Subject, partitions: i32) -> String {
    subject.topic_with(partitions, &[("retention.ms", "-1")])
}

/// Creates a topic with a message at each of these timestamps.
fn timed(subject: &Subject, times: &[i64]) -> String {
    let topic = lasting(subject, 2);
    let producer = subject.producer(&[]);
    for time in times {
        let record = to(&topic).partition(0).payload(b"x").timestamp(*time);
        subject.send(&producer, record).expect("sent");
    }
    topic
}

/// Returns where librdkafka finds a timestamp in a partition.
fn offset_for(subject: &Subject, topic: &str, partition: i32, time: i64) -> Offset {
    let consumer: BaseConsumer = subject.client(&[]).create().expect("a client");
    let mut requested = TopicPartitionList::new();
    let added = requested.add_partition_offset(topic, partition, Offset::Offset(time));
    added.expect("added");
    let found = consumer.offsets_for_times(requested, DEADLINE);
    found.expect("answered").elements()[0].offset()
}

#[test]
fn a_time_is_found_at_the_first_message_that_is_not_before_it() {
    on_both(|subject| {
        let topic = timed(subject, &[1000, 2000, 2000, 4000]);
        let times = [500, 1000, 1001, 2000, 3000, 4000, 4001];
        let found = times.map(|time| offset_for(subject, &topic, 0, time));
        (found, offset_for(subject, &topic, 1, 1000))
    })
    .agree_on((
        [
            Offset::Offset(0),
            Offset::Offset(0),
            Offset::Offset(1),
            Offset::Offset(1),
            Offset::Offset(3),
            Offset::Offset(3),
            Offset::End,
        ],
        Offset::End,
    ));
}

#[test]
fn times_that_go_back_are_found_at_the_first_that_is_late_enough() {
    on_both(|subject| {
        let topic = timed(subject, &[5000, 1000, 7000, 3000]);
        [1000, 3000, 5001, 7001].map(|time| offset_for(subject, &topic, 0, time))
    })
    .agree_on([
        Offset::Offset(0),
        Offset::Offset(0),
        Offset::Offset(2),
        Offset::End,
    ]);
}

#[test]
fn a_time_is_found_within_a_compressed_batch() {
    on_both(|subject| {
        let topic = lasting(subject, 1);
        let settings = [("compression.type", "gzip"), ("linger.ms", "500")];
        let producer = subject.producer(&settings);
        let value = [b'x'; 500];
        let sent = [10_000, 20_000, 30_000, 40_000].map(|time| {
            let record = to(&topic).payload(&value[..]).timestamp(time);
            producer
                .send_result(record)
                .map_err(|(e, _)| e)
                .expect("queued")
        });
        for sent in sent {
            let sent = subject.wait(sent).expect("not cancelled");
            sent.map_err(|(error, _)| error).expect("acknowledged");
        }
        let mut raw = subject.raw();
        [10_000, 10_001, 30_000, 39_999].map(|time| raw.list_offset(&topic, 0, time, 0))
    })
    .agree_on([
        (None, 0, 10_000),
        (None, 1, 20_000),
        (None, 2, 30_000),
        (None, 3, 40_000),
    ]);
}

#[test]
fn the_special_times_are_the_ends_and_the_latest_message() {
    on_both(|subject| {
        let topic = timed(subject, &[1000, 9000, 3000]);
        let mut raw = subject.raw();
        let times = [EARLIEST, LATEST, OF_MAX_TIME, 8999, 9001];
        times.map(|time| raw.list_offset(&topic, 0, time, UNCOMMITTED))
    })
    .agree_on([
        (None, 0, -1),
        (None, 3, -1),
        (None, 1, 9000),
        (None, 1, 9000),
        (None, -1, -1),
    ]);
}

#[test]
fn an_empty_partition_has_ends_and_no_times() {
    on_both(|subject| {
        let (topic, mut raw) = (subject.topic(1), subject.raw());
        let times = [EARLIEST, LATEST, OF_MAX_TIME, 0, now()];
        times.map(|time| raw.list_offset(&topic, 0, time, UNCOMMITTED))
    })
    .agree_on([
        (None, 0, -1),
        (None, 0, -1),
        (None, -1, -1),
        (None, -1, -1),
        (None, -1, -1),
    ]);
}

#[test]
fn offsets_of_what_is_not_there_are_refused() {
    on_both(|subject| {
        let (topic, mut raw) = (subject.topic(1), subject.raw());
        [
            raw.list_offset(&topic, 1, LATEST, UNCOMMITTED),
            raw.list_offset(&subject.name("none"), 0, LATEST, UNCOMMITTED),
        ]
    })
    .agree_on([(Some(ResponseError::UnknownTopicOrPartition), -1, -1); 2]);
}

#[test]
fn a_topic_may_have_the_brokers_time_for_its_messages() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("message.timestamp.type", "LogAppendTime")]);
        let mut raw = subject.raw();
        let before = now();
        let produced = raw.produce_with(-1, None, &topic, 0, Batch::of(3).at(1000).bytes());
        let results = produced.log_append_time_ms;
        // The broker refuses a batch with a wrong checksum.
        let reader = subject.consumer(&subject.name("g"), &[("check.crcs", "true")]);
        reader
            .assign(&at(&topic, 0, Offset::Beginning))
            .expect("assigned");
        let times = [(); 3].map(|()| next(&reader).timestamp());
        (
            verdict(produced.error_code),
            (before..=now()).contains(&results),
            times.map(|time| time == Timestamp::LogAppendTime(results)),
            raw.list_offset(&topic, 0, before, UNCOMMITTED).1,
            raw.list_offset(&topic, 0, results + 1, UNCOMMITTED).1,
        )
    })
    .agree_on((None, true, [true; 3], 0, -1));
}

#[test]
fn a_topic_with_the_producers_times_tells_none_of_its_own() {
    on_both(|subject| {
        let topic = lasting(subject, 1);
        let batch = Batch::of(1).at(1000).bytes();
        let produced = subject.raw().produce_with(-1, None, &topic, 0, batch);
        (produced.log_append_time_ms, produced.log_start_offset)
    })
    .agree_on((-1, 0));
}
