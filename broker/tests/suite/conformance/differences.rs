//! The intended differences between the built-in broker and Apache Kafka: each row of the table in the README has a check
//! here, or in [`validating`](super::validating) if it is about batches that are refused, or in [`tools`](super::tools). Two rows
//! have none: the order in the response to OffsetDelete, which varies in Kafka, and the control batches that compaction
//! keeps, which Kafka only drops after a day.

use std::collections::BTreeSet;

use bytes::{BufMut, BytesMut};
use eventos_testkit::{
    eventually,
    raw::{fetch_partition, fetch_request, text, verdict},
};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeTopicPartitionsRequest, GroupId, IncrementalAlterConfigsRequest, MetadataRequest,
        OffsetDeleteRequest, TopicName,
        describe_topic_partitions_request::TopicRequest,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    },
};
use rdkafka::{consumer::Consumer, types::RDKafkaErrorCode};

use super::{
    batch::Batch,
    member::{Member, Terms, USUAL},
    on_both,
    settings::{SET, alter},
    subject::{Subject, code, to},
    transactor::Transactor,
};

#[test]
fn nothing_is_thrown_away_after_a_week() {
    on_both(|subject| setting(subject, "retention.ms"))
        .differ("604800000".to_owned(), "-1".to_owned());
}

#[test]
fn segments_are_smaller() {
    on_both(|subject| setting(subject, "segment.bytes"))
        .differ("1073741824".to_owned(), "67108864".to_owned());
}

#[test]
fn messages_may_be_larger() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.producer(&[("message.max.bytes", "10000000")]);
        let value = vec![b'x'; 8 << 20];
        let sent = subject.send(&producer, to(&topic).payload(&value));
        (setting(subject, "max.message.bytes"), sent)
    })
    .differ(
        (
            "1048588".to_owned(),
            Err(RDKafkaErrorCode::MessageSizeTooLarge),
        ),
        ("10485760".to_owned(), Ok(0)),
    );
}

fn setting(subject: &Subject, name: &str) -> String {
    let topic = subject.topic(1);
    subject.settings(&topic)[name].0.clone()
}

#[test]
fn batches_are_not_compressed_anew() {
    on_both(|subject| subject.create(&subject.name("t"), 1, &[("compression.type", "zstd")]))
        .differ(Ok(()), Err(RDKafkaErrorCode::InvalidConfig));
}

#[test]
fn a_ratio_is_a_plain_number_from_0_to_1() {
    on_both(|subject| {
        ["NaN", "0.5f", "0.5"].map(|ratio| {
            let settings = [("min.cleanable.dirty.ratio", ratio)];
            subject.create(&subject.name("t"), 1, &settings)
        })
    })
    .differ(
        [Ok(()), Ok(()), Ok(())],
        [
            Err(RDKafkaErrorCode::InvalidConfig),
            Err(RDKafkaErrorCode::InvalidConfig),
            Ok(()),
        ],
    );
}

#[test]
fn an_operation_on_a_setting_that_nobody_knows_is_an_invalid_request() {
    on_both(|subject| {
        let topic = subject.topic(1);
        alter(subject, &topic, &[("retention.ms", 9, Some("1"))])
    })
    .differ(
        Some(ResponseError::UnknownServerError),
        Some(ResponseError::InvalidRequest),
    );
}

#[test]
fn only_topics_have_settings_that_can_be_altered() {
    on_both(|subject| {
        let setting = AlterableConfig::default()
            .with_name(text("log.cleaner.threads"))
            .with_config_operation(SET)
            .with_value(Some(text("1")));
        let broker = AlterConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(text("1"))
            .with_configs(vec![setting]);
        // All checks share this Kafka.
        let request = IncrementalAlterConfigsRequest::default()
            .with_validate_only(true)
            .with_resources(vec![broker]);
        verdict(subject.raw().call(1, &request).responses[0].error_code)
    })
    .differ(None, Some(ResponseError::InvalidRequest));
}

#[test]
fn an_empty_name_among_others_spoils_only_its_own_answer() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let named = |name: &str| TopicRequest::default().with_name(text::<TopicName>(name));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(vec![named(&topic), named("")])
            .with_response_partition_limit(10);
        let answer = subject.raw().call(0, &request);
        let results = answer.topics.iter().map(|t| verdict(t.error_code));
        let mut results: Vec<_> = results.collect();
        results.sort_by_key(Option::is_some);
        results
    })
    .differ(
        vec![Some(ResponseError::UnknownServerError); 2],
        vec![None, Some(ResponseError::InvalidTopicException)],
    );
}

#[test]
fn the_newer_protocol_of_groups_is_not_there() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut config = subject.client(&[("group.protocol", "consumer")]);
        config.set("group.id", subject.name("g"));
        let consumer: rdkafka::consumer::BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[&topic]).expect("subscribed");
        eventually("an assignment or an error", || {
            let polled = consumer.poll(std::time::Duration::from_millis(50));
            let assigned = consumer.assignment().expect("an assignment").count();
            match polled {
                Some(Err(error)) => Some(Err(code(&error))),
                _ => (assigned > 0).then_some(Ok(assigned)),
            }
        })
    })
    .differ(Ok(1), Err(RDKafkaErrorCode::UnsupportedVersion));
}

#[test]
fn offsets_of_a_group_that_was_not_added_are_always_refused() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut one = Transactor::new(subject, &subject.name("p"));
        let added = subject.name("g");
        let same = same_partition(&added);
        let before = one.commit_offset(&added, &topic, 1);
        one.add_offsets(&added);
        let verdicts = (before, one.commit_offset(&same, &topic, 1));
        one.end(false);
        verdicts
    })
    .differ(
        (Some(ResponseError::InvalidTxnState), None),
        (
            Some(ResponseError::InvalidTxnState),
            Some(ResponseError::InvalidTxnState),
        ),
    );
}

/// Returns another group whose offsets are in the same partition of Kafka's offsets topic, which has four partitions.
/// The partition follows from Java's hash of the name.
fn same_partition(group: &str) -> String {
    let hash = |name: &str| {
        let hash = |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
        let hash = name.encode_utf16().fold(0, |h, unit| hash(h, unit as i16));
        hash.checked_abs().unwrap_or(0) % 4
    };
    let mut others = ('a'..='z').map(|letter| format!("{group}{letter}"));
    others
        .find(|other| hash(other) == hash(group))
        .expect("one of so many")
}

#[test]
fn a_plain_batch_after_a_refused_transactional_one_is_taken() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut one = Transactor::new(subject, &subject.name("p"));
        let refused = one.produce(&topic, 0);
        let (id, epoch) = one.producer;
        let plain = Batch::of(1).from(id, epoch, 5).bytes();
        (refused, one.raw.produce(&topic, 0, plain).0)
    })
    .differ(
        (
            Some(ResponseError::InvalidTxnState),
            Some(ResponseError::OutOfOrderSequenceNumber),
        ),
        (Some(ResponseError::InvalidTxnState), None),
    );
}

#[test]
fn sessions_of_members_may_be_shorter() {
    on_both(|subject| {
        let terms = Terms {
            // This Kafka has a `group.min.session.timeout.ms` of one second.
            session_timeout_ms: 999,
            ..USUAL
        };
        Member::new(subject, &subject.name("g")).join(terms)
    })
    .differ(Some(ResponseError::InvalidSessionTimeout), None);
}

#[test]
fn a_group_whose_last_offset_was_deleted_is_gone() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        Member::new(subject, &group).commit(&topic, 1);
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(text::<TopicName>(&topic))
            .with_partitions(vec![partition]);
        let request = OffsetDeleteRequest::default()
            .with_group_id(text::<GroupId>(&group))
            .with_topics(vec![topic]);
        let deleted = subject.raw().call(0, &request);
        (verdict(deleted.error_code), subject.group(&group))
    })
    .differ((None, Some(("Empty".to_owned(), 0))), (None, None));
}

#[test]
fn what_is_not_supported_is_answered_and_the_connection_stays_open() {
    on_both(|subject| {
        let mut raw = subject.raw();
        // API key, version, correlation id, no client id.
        let frame = |key, version| {
            let mut frame = BytesMut::new();
            frame.put_i16(key);
            frame.put_i16(version);
            frame.put_i32(7);
            frame.put_i16(-1);
            frame
        };
        raw.send_frame(&frame(1, 99));
        raw.receive_frame().is_some()
    })
    .differ(false, true);
}

#[test]
fn there_are_no_sessions_of_fetches() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let request = fetch_request(&topic, vec![fetch_partition(0, 0)]).with_session_epoch(0);
        let answer = subject.raw().fetch_with(&request);
        (verdict(answer.error_code), answer.session_id != 0)
    })
    .differ((None, true), (None, false));
}

#[test]
fn there_are_no_topics_of_the_brokers_own() {
    on_both(|subject| {
        Member::new(subject, &subject.name("g")).commit(&subject.topic(1), 1);
        Transactor::new(subject, &subject.name("p"));
        let all = MetadataRequest::default().with_topics(None);
        let answer = subject.raw().call(12, &all);
        let internal = answer.topics.iter().filter(|topic| topic.is_internal);
        let names = internal.filter_map(|topic| Some(topic.name.as_ref()?.to_string()));
        names.collect::<BTreeSet<_>>()
    })
    .differ(
        ["__consumer_offsets", "__transaction_state"]
            .map(str::to_owned)
            .into(),
        BTreeSet::new(),
    );
}
