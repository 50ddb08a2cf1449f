//! Tests of describing and altering settings.

use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    alter_configs_request as legacy,
    describe_configs_request::DescribeConfigsResource,
    describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult},
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
};

use super::*;
use crate::{api::text, shared::Shared, testing::broker};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn describe(shared: &Shared, kind: i8, name: &str, keys: &[&'static str]) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(Some(keys.iter().map(|key| text(*key)).collect()));
    let request = DescribeConfigsRequest::default()
        .with_include_synonyms(true)
        .with_include_documentation(true)
        .with_resources(vec![resource]);
    describe::handle(shared, request).results.remove(0)
}

fn of_topic(shared: &Shared, key: &'static str) -> DescribeConfigsResourceResult {
    describe(shared, TOPIC, "t", &[key]).configs.remove(0)
}

type SettingRequest<'a> = (&'static str, i8, Option<&'a str>);

fn resource(kind: i8, name: &str, requested: &[SettingRequest]) -> AlterConfigsResource {
    let configs = requested.iter().map(|(name, operation, value)| {
        AlterableConfig::default()
            .with_name(text(*name))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect())
}

fn alter_all(
    shared: &Shared,
    resources: Vec<AlterConfigsResource>,
    validate_only: bool,
) -> Vec<i16> {
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(resources)
        .with_validate_only(validate_only);
    let responses = alter::incremental(shared, request).responses;
    responses
        .iter()
        .map(|response| response.error_code)
        .collect()
}

fn alter(shared: &Shared, kind: i8, name: &str, requested: &[SettingRequest]) -> i16 {
    alter_all(shared, vec![resource(kind, name, requested)], false)[0]
}

fn replace(shared: &Shared, requested: &[(&'static str, Option<&str>)]) -> i16 {
    let configs = requested.iter().map(|(name, value)| {
        legacy::AlterableConfig::default()
            .with_name(text(*name))
            .with_value(value.map(text))
    });
    let resource = legacy::AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("t"))
        .with_configs(configs.collect());
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    alter::replace(shared, request).responses[0].error_code
}

fn value(shared: &Shared, key: &'static str) -> String {
    of_topic(shared, key).value.expect("a value").to_string()
}

#[tokio::test]
async fn a_setting_says_where_it_comes_from_and_what_it_is_for() {
    let (_dir, broker) = broker().await;
    let shared = &broker.shared;
    shared.topics.get_or_create("t").expect("made");
    let source = |entry: &DescribeConfigsResourceResult| {
        let sources = entry
            .synonyms
            .iter()
            .map(|s| (s.name.to_string(), s.source));
        (entry.config_source, sources.collect::<Vec<_>>())
    };
    let log = ("log.segment.bytes".to_owned(), 5);
    let entry = of_topic(shared, "segment.bytes");
    assert_eq!(source(&entry), (5, vec![log.clone()]));
    assert_eq!((entry.config_type, entry.read_only), (3, false));
    assert!(entry.documentation.is_some());

    let set = [("segment.bytes", SET, Some("1048576"))];
    assert_eq!(alter(shared, TOPIC, "t", &set), 0);
    let entry = of_topic(shared, "segment.bytes");
    let own = ("segment.bytes".to_owned(), 1);
    assert_eq!(source(&entry), (1, vec![own, log]));
    assert_eq!(entry.value.as_deref(), Some("1048576"));
    // Without keys, all settings are described.
    let all = describe(shared, TOPIC, "t", &[]).configs;
    assert_eq!(all.len(), crate::topics::all_settings().len());
}

#[tokio::test]
async fn operations_set_delete_append_and_subtract() {
    let (_dir, broker) = broker().await;
    let shared = &broker.shared;
    shared.topics.get_or_create("t").expect("made");
    let step = |name, operation, new, expected: &str| {
        assert_eq!(alter(shared, TOPIC, "t", &[(name, operation, new)]), 0);
        assert_eq!(value(shared, name), expected);
    };
    step("retention.ms", SET, Some("5"), "5");
    step("cleanup.policy", APPEND, Some("compact"), "delete,compact");
    step("cleanup.policy", SUBTRACT, Some("delete"), "compact");
    step("retention.ms", DELETE, None, "-1");
    step("cleanup.policy", SUBTRACT, Some("compact"), "");
    step("cleanup.policy", DELETE, None, "delete");
}

#[tokio::test]
async fn a_replacement_resets_what_it_does_not_name() {
    let (_dir, broker) = broker().await;
    let shared = &broker.shared;
    shared.topics.get_or_create("t").expect("made");
    assert_eq!(replace(shared, &[("retention.ms", Some("5"))]), 0);
    assert_eq!(replace(shared, &[("retention.bytes", Some("7"))]), 0);
    assert_eq!(value(shared, "retention.ms"), "-1");
    assert_eq!(value(shared, "retention.bytes"), "7");
    let invalid = ResponseError::InvalidRequest.code();
    assert_eq!(replace(shared, &[("retention.bytes", None)]), invalid);
    let twice = [("retention.ms", Some("1")); 2];
    assert_eq!(replace(shared, &twice), invalid);
    assert_eq!(value(shared, "retention.bytes"), "7");
    assert_eq!(replace(shared, &[]), 0);
    assert_eq!(value(shared, "retention.bytes"), "-1");
}

#[tokio::test]
async fn each_resource_stands_for_itself_and_is_changed_as_a_whole() {
    let (_dir, broker) = broker().await;
    let shared = &broker.shared;
    shared.topics.get_or_create("t").expect("made");
    shared.topics.get_or_create("u").expect("made");
    let set = |value| [("retention.ms", SET, Some(value))];
    let all = vec![
        resource(TOPIC, "t", &set("1")),
        resource(TOPIC, "none", &set("1")),
        resource(TOPIC, "u", &set("1")),
        resource(TOPIC, "u", &set("2")),
    ];
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let invalid = ResponseError::InvalidRequest.code();
    let codes = alter_all(shared, all, false);
    assert_eq!(codes, [0, unknown, invalid, invalid]);
    assert_eq!(value(shared, "retention.ms"), "1");

    let half = [
        ("retention.bytes", SET, Some("1")),
        ("retention.ms", SET, Some("-5")),
    ];
    let invalid = ResponseError::InvalidConfig.code();
    assert_eq!(alter(shared, TOPIC, "t", &half), invalid);
    assert_eq!(value(shared, "retention.bytes"), "-1");
    let only = vec![resource(TOPIC, "t", &set("9"))];
    assert_eq!(alter_all(shared, only, true), [0]);
    assert_eq!(value(shared, "retention.ms"), "1");
}

#[tokio::test]
async fn what_cannot_be_altered_has_kafkas_code() {
    let (_dir, broker) = broker().await;
    let shared = &broker.shared;
    shared.topics.get_or_create("t").expect("made");
    let partitions = [("num.partitions", SET, Some("1"))];
    let retention = [("retention.ms", SET, Some("1"))];
    for (kind, name, requested, expected) in [
        (
            TOPIC,
            "t",
            &[("bogus", SET, Some("1"))],
            ResponseError::InvalidConfig,
        ),
        (
            TOPIC,
            "t",
            &[("retention.ms", APPEND, Some("1"))],
            ResponseError::InvalidConfig,
        ),
        (
            TOPIC,
            "t",
            &[("retention.ms", SET, None)],
            ResponseError::InvalidRequest,
        ),
        (
            TOPIC,
            "t",
            &[("cleanup.policy", SUBTRACT, None)],
            ResponseError::InvalidRequest,
        ),
        (
            TOPIC,
            "t",
            &[("retention.ms", 4, Some("1"))],
            ResponseError::InvalidRequest,
        ),
        (TOPIC, "", &retention, ResponseError::InvalidRequest),
        (
            TOPIC,
            "a b",
            &retention,
            ResponseError::InvalidTopicException,
        ),
        (BROKER, "1", &partitions, ResponseError::InvalidRequest),
        (BROKER, "", &partitions, ResponseError::InvalidRequest),
        (BROKER, "9", &partitions, ResponseError::InvalidRequest),
        (BROKER, "x", &partitions, ResponseError::InvalidRequest),
        (99, "t", &retention, ResponseError::InvalidRequest),
    ] {
        let code = alter(shared, kind, name, requested);
        assert_eq!(code, expected.code(), "{kind} {name:?} {requested:?}");
    }
    assert_eq!(alter(shared, TOPIC, "t", &[("bogus", DELETE, None)]), 0);
    assert_eq!(alter(shared, BROKER, "1", &[]), 0);
}

#[tokio::test]
async fn the_broker_describes_itself_and_the_defaults_of_topics() {
    let (_dir, broker) = broker().await;
    let shared = &broker.shared;
    let all = describe(shared, BROKER, "1", &[]).configs;
    let of = |name: &str| {
        all.iter()
            .find(|entry| entry.name.as_str() == name)
            .expect("it is there")
    };
    assert_eq!(of("num.partitions").value.as_deref(), Some("4"));
    assert_eq!(of("num.partitions").config_source, 4);
    assert_eq!(of("message.max.bytes").value.as_deref(), Some("10485760"));
    assert!(all.iter().all(|entry| entry.read_only));
    assert_eq!(describe(shared, BROKER, "", &[]).configs, []);
    for (kind, name, expected) in [
        (BROKER, "9", ResponseError::InvalidRequest),
        (BROKER, "x", ResponseError::InvalidRequest),
        (TOPIC, "none", ResponseError::UnknownTopicOrPartition),
        (TOPIC, "", ResponseError::InvalidTopicException),
        (32, "g", ResponseError::InvalidRequest),
    ] {
        let code = describe(shared, kind, name, &[]).error_code;
        assert_eq!(code, expected.code(), "{kind} {name:?}");
    }
}

#[tokio::test]
async fn a_reason_is_short_whatever_it_quotes() {
    let (_dir, broker) = broker().await;
    let shared = &broker.shared;
    shared.topics.get_or_create("t").expect("made");
    let long = "é".repeat(16_000);
    let value = [("retention.ms", SET, Some(long.as_str()))];
    for resource in [resource(TOPIC, "t", &value), resource(TOPIC, &long, &value)] {
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response = alter::incremental(shared, request).responses.remove(0);
        let reason = response.error_message.expect("a reason");
        assert!(reason.len() <= 1_000 && reason.contains('é'), "{reason}");
    }
}
