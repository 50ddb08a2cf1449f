//! Topic settings: described, altered, and honoured.

use std::collections::BTreeMap;

use eventos_testkit::{
    ReceivedRecord, eventually,
    raw::{Verdict, text, verdict},
};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        AlterConfigsRequest, IncrementalAlterConfigsRequest, alter_configs_request,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    },
};
use rdkafka::types::RDKafkaErrorCode;

use super::{
    batch::Batch,
    on_both,
    subject::{Settings, Subject, to},
};

/// The resource type of topics.
const TOPIC: i8 = 2;
/// Operations on a setting.
pub(super) const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Returns the settings that were set for a topic.
fn own(subject: &Subject, topic: &str, names: &[&'static str]) -> BTreeMap<&'static str, String> {
    let settings = subject.settings(topic);
    let set = names.iter().filter_map(|name| {
        let (value, source) = settings.get(*name)?;
        (source == "DynamicTopic").then(|| (*name, value.clone()))
    });
    set.collect()
}

const NAMES: [&str; 4] = [
    "cleanup.policy",
    "max.message.bytes",
    "retention.ms",
    "segment.bytes",
];

fn pairs<const N: usize>(pairs: [(&'static str, &str); N]) -> BTreeMap<&'static str, String> {
    pairs.map(|(name, value)| (name, value.to_owned())).into()
}

#[test]
fn a_topic_has_the_settings_that_it_was_made_with() {
    on_both(|subject| {
        let settings = [("retention.ms", "1000000"), ("cleanup.policy", "compact")];
        let topic = subject.topic_with(1, &settings);
        own(subject, &topic, &NAMES)
    })
    .agree_on(pairs([
        ("retention.ms", "1000000"),
        ("cleanup.policy", "compact"),
    ]));
}

#[test]
fn what_is_not_set_is_told_with_its_default() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let names = [
            "cleanup.policy",
            "compression.type",
            "delete.retention.ms",
            "message.timestamp.type",
            "min.cleanable.dirty.ratio",
            "min.insync.replicas",
            "retention.bytes",
            "segment.ms",
            "no.such.setting",
        ];
        let settings = subject.settings(&topic);
        names.map(|name| {
            let (value, source) = settings.get(name)?;
            Some((value.clone(), source == "DynamicTopic"))
        })
    })
    .agree_on({
        let default = |value: &str| Some((value.to_owned(), false));
        [
            default("delete"),
            default("producer"),
            default("86400000"),
            default("CreateTime"),
            default("0.5"),
            default("1"),
            default("-1"),
            default("604800000"),
            None,
        ]
    });
}

#[test]
fn settings_that_are_not_known_or_not_possible_make_no_topic() {
    on_both(|subject| {
        let settings: [Settings<'_>; 7] = [
            &[("no.such.setting", "1")],
            &[("retention.ms", "soon")],
            &[("retention.ms", "-2")],
            &[("segment.bytes", "0")],
            &[("cleanup.policy", "forget")],
            &[("min.cleanable.dirty.ratio", "1.1")],
            &[("cleanup.policy", "compact,delete"), ("retention.ms", "-1")],
        ];
        settings.map(|settings| subject.create(&subject.name("t"), 1, settings))
    })
    .agree_on([
        Err(RDKafkaErrorCode::InvalidConfig),
        Err(RDKafkaErrorCode::InvalidConfig),
        Err(RDKafkaErrorCode::InvalidConfig),
        Err(RDKafkaErrorCode::InvalidConfig),
        Err(RDKafkaErrorCode::InvalidConfig),
        Err(RDKafkaErrorCode::InvalidConfig),
        Ok(()),
    ]);
}

#[test]
fn blanks_around_values_are_not_kept() {
    on_both(|subject| {
        let settings = [
            ("retention.ms", " 1000000 "),
            ("cleanup.policy", " compact , delete "),
        ];
        own(subject, &subject.topic_with(1, &settings), &NAMES)
    })
    .agree_on(pairs([
        ("retention.ms", "1000000"),
        ("cleanup.policy", "compact,delete"),
    ]));
}

#[test]
fn settings_are_replaced_all_at_once() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("retention.ms", "1000000")]);
        let altered = replace(subject, &topic, &[("max.message.bytes", "2000")]);
        let now = pairs([("max.message.bytes", "2000")]);
        let shown = eventually("the new settings", || {
            let own = own(subject, &topic, &NAMES);
            (own == now).then_some(own)
        });
        let bad = replace(subject, &topic, &[("max.message.bytes", "many")]);
        let unknown = replace(subject, &subject.name("none"), &[]);
        (altered, shown, bad, unknown, own(subject, &topic, &NAMES))
    })
    .agree_on({
        let now = pairs([("max.message.bytes", "2000")]);
        (
            None,
            now.clone(),
            Some(ResponseError::InvalidConfig),
            Some(ResponseError::UnknownTopicOrPartition),
            now,
        )
    });
}

/// Replaces the settings of a topic. Uses bytes, because rdkafka drops the verdict on a single topic.
fn replace(subject: &Subject, topic: &str, settings: Settings<'_>) -> Verdict {
    let setting = |(name, value): &(&str, &str)| {
        alter_configs_request::AlterableConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    };
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(settings.iter().map(setting).collect());
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    verdict(subject.raw().call(2, &request).responses[0].error_code)
}

/// Alters settings one by one in one request.
pub(super) fn alter(
    subject: &Subject,
    topic: &str,
    changes: &[(&str, i8, Option<&str>)],
) -> Verdict {
    let change = |&(name, operation, value): &(&str, i8, Option<&str>)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(operation)
            .with_value(value.map(text))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(changes.iter().map(change).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    verdict(subject.raw().call(1, &request).responses[0].error_code)
}

#[test]
fn single_settings_are_altered_and_the_others_stay() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("retention.ms", "1000000")]);
        let verdicts = [
            alter(
                subject,
                &topic,
                &[
                    ("cleanup.policy", APPEND, Some("compact")),
                    ("segment.bytes", SET, Some("1048576")),
                    ("max.message.bytes", SET, Some("2000")),
                ],
            ),
            alter(subject, &topic, &[("segment.bytes", DELETE, None)]),
            alter(
                subject,
                &topic,
                &[("cleanup.policy", SUBTRACT, Some("delete"))],
            ),
            alter(subject, &topic, &[("retention.ms", APPEND, Some("1"))]),
            alter(subject, &topic, &[("retention.ms", SET, Some("soon"))]),
            alter(subject, &topic, &[("retention.ms", SET, None)]),
            alter(
                subject,
                &topic,
                &[
                    ("retention.ms", SET, Some("1")),
                    ("retention.ms", SET, Some("2")),
                ],
            ),
        ];
        let now = pairs([
            ("cleanup.policy", "compact"),
            ("max.message.bytes", "2000"),
            ("retention.ms", "1000000"),
        ]);
        eventually("the new settings", || {
            (own(subject, &topic, &NAMES) == now).then_some(())
        });
        verdicts
    })
    .agree_on([
        None,
        None,
        None,
        Some(ResponseError::InvalidConfig),
        Some(ResponseError::InvalidConfig),
        Some(ResponseError::InvalidRequest),
        Some(ResponseError::InvalidRequest),
    ]);
}

#[test]
fn the_size_of_messages_is_honoured_from_the_next_one_on() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("max.message.bytes", "2000")]);
        let producer = subject.producer(&[]);
        let send = || subject.send(&producer, to(&topic).payload(&[b'x'; 3000]));
        let before = send();
        let larger = ("max.message.bytes", SET, Some("4000"));
        let altered = alter(subject, &topic, &[larger]);
        let after = eventually("the setting to be honoured", || send().ok());
        (before, altered, after)
    })
    .agree_on((Err(RDKafkaErrorCode::MessageSizeTooLarge), None, 0));
}

#[test]
fn a_compacted_topic_takes_only_messages_with_keys() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("cleanup.policy", "compact")]);
        let mut raw = subject.raw();
        let mut produce = |batch: Batch| {
            let answer = raw.produce_with(-1, None, &topic, 0, batch.bytes());
            let wrong = answer.record_errors.iter().map(|error| error.batch_index);
            (verdict(answer.error_code), wrong.collect::<Vec<_>>())
        };
        [produce(Batch::of(2).without_keys()), produce(Batch::of(2))]
    })
    .agree_on([
        (Some(ResponseError::InvalidRecord), vec![0, 1]),
        (None, vec![]),
    ]);
}

/// Sends keys and values in a batch each, with values of a size that makes each batch fill a segment.
fn fill_segments(subject: &Subject, topic: &str, pairs: &[(&str, Option<&str>)]) {
    let producer = subject.producer(&[]);
    let filling = " ".repeat(700_000);
    for (key, value) in pairs {
        let value = value.map(|value| format!("{value}{filling}"));
        let mut record = to(topic).key(key.as_bytes());
        record.payload = value.as_deref().map(str::as_bytes);
        subject.send(&producer, record).expect("sent");
    }
}

/// Returns the keys with the first letters of their values.
fn keys_and_values(read: &[ReceivedRecord]) -> String {
    let pair = |one: &ReceivedRecord| {
        let key = String::from_utf8(one.key.clone().expect("a key")).expect("text");
        let value = one.value.as_ref().map_or("-", |_| one.text().trim());
        format!("{key}={value}")
    };
    read.iter().map(pair).collect::<Vec<_>>().join(" ")
}

#[test]
fn compaction_leaves_the_last_message_of_each_key_where_it_was() {
    on_both(|subject| {
        let settings = [
            ("cleanup.policy", "compact"),
            ("segment.bytes", "1048576"),
            ("min.cleanable.dirty.ratio", "0"),
            ("delete.retention.ms", "1000000"),
        ];
        let topic = subject.topic_with(1, &settings);
        let sent = [
            ("a", Some("1")),
            ("b", Some("1")),
            ("a", Some("2")),
            ("c", Some("1")),
            ("b", None),
            // Compaction leaves the active segment alone.
            ("z", Some("1")),
            ("z", Some("2")),
        ];
        fill_segments(subject, &topic, &sent);
        let read = || subject.read(&topic, 0, "read_committed");
        let left = eventually("the compaction", || {
            let left = read();
            (left.len() == 5).then_some(left)
        });
        let places: Vec<_> = left.iter().map(|one| one.offset).collect();
        (
            keys_and_values(&left),
            places,
            subject.watermarks(&topic, 0),
        )
    })
    .agree_on((
        "a=2 c=1 b=- z=1 z=2".to_owned(),
        vec![2, 3, 4, 5, 6],
        (0, 7),
    ));
}
